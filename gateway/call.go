package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
)

// serveCall answers a call of a service. What is checked first is what costs least: the address, the caller, the
// caller's role and rate, the key, the request.
func (g *Gateway) serveCall(x *exchange) error {
	path := x.r.URL.EscapedPath()
	verb := x.r.Method
	if verb == http.MethodHead {
		verb = http.MethodGet // the same, without the body (RFC 9110 section 9.3.2)
	}
	rt, allowed := find(g.table, verb, path)
	if rt == nil {
		if len(allowed) == 0 {
			return fault.RouteNotFound.New("")
		}
		x.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return fault.MethodNotAllowed.New("")
	}
	x.route, x.label = rt, rt.label
	if err := g.admit(x); err != nil {
		return err
	}
	req := rt.handler.fresh()
	call, err := g.read(x, path, req)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	status, err := g.run(x, call, req, buf)
	if err != nil {
		return err
	}
	return g.send(x, status, *buf)
}

// admit says who is asking, and whether they may ask this, now.
func (g *Gateway) admit(x *exchange) error {
	key, err := bearer(x.r.Header)
	if err != nil {
		return err
	}
	p, authErr := g.cfg.Authenticator.Authenticate(key)
	if authErr != nil {
		return authErr
	}
	x.principal = p
	if !x.route.Policy.admits(p.Role) {
		return fault.NotAllowed.New("a key of the role %s may not do this; it takes one of %s", p.Role, x.route.Policy.names())
	}
	if wait := g.limits.take(p, x.start); wait > 0 {
		x.retryAfter = wait
		return fault.RateLimited.New("")
	}
	return nil
}

func (p *Policy) admits(r rpc.Role) bool {
	for _, role := range p.Roles {
		if role == r {
			return true
		}
	}
	return false
}

// names lists the roles that may call.
func (p *Policy) names() string {
	words := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		words[i] = r.String()
	}
	return strings.Join(words, " or ")
}

// bearer returns the one key of the Authorization header (RFC 6750 §2.1).
func bearer(h http.Header) (string, *fault.Error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", fault.NoCredentials.New("")
	}
	scheme, key, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || key == "" {
		return "", fault.BadCredentials.New("expected one header Authorization: Bearer KEY")
	}
	return key, nil
}

// read reads the request into req, and makes the call that travels with it.
func (g *Gateway) read(x *exchange, path string, req proto.Message) (rpc.Call, error) {
	call := rpc.Call{Principal: x.principal, RequestID: x.id}
	m := req.ProtoReflect()
	if x.route.Verb == http.MethodGet {
		if err := x.route.decodePath(path, m); err != nil {
			return call, err
		}
		if err := decodeQuery(x.route.input, x.r.URL.RawQuery, m); err != nil {
			return call, err
		}
		return call, nil
	}
	key, ferr := idempotencyKey(x.r.Header)
	if ferr != nil {
		return call, ferr
	}
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	body, err := x.body((*buf)[:0])
	*buf = body
	if err != nil {
		return call, err
	}
	if err := decode(x.route.input, body, m); err != nil {
		return call, err
	}
	operation := x.route.Verb + " " + path
	canonical := append(body[:0], operation...) // the texts in req are copies
	canonical = append(canonical, '\n')
	canonical = appendCanonical(canonical, x.route.input, m, "async")
	*buf = canonical
	call.Key = g.bind.scope(x.principal, operation, key)
	call.Fingerprint = g.bind.fingerprint(canonical)
	if err := x.route.decodePath(path, m); err != nil {
		return call, err
	}
	return call, nil
}

// body appends the body to b. What is too large is refused before it is read, where its length is announced.
func (x *exchange) body(b []byte) ([]byte, error) {
	if x.r.URL.RawQuery != "" {
		return b, fault.InvalidRequest.New("a POST takes no query; put the members into the body")
	}
	if e := x.r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return b, fault.InvalidRequest.New("the body is encoded; send it as plain JSON")
	}
	if problem := mediaType(x.r.Header["Content-Type"]); problem != "" {
		return b, fault.UnsupportedMediaType.New("%s", problem)
	}
	if x.r.ContentLength > maxBody {
		x.w.Header().Set("Connection", "close")
		return b, fault.RequestTooLarge.New("the body has %d bytes; at most %d are taken", x.r.ContentLength, maxBody)
	}
	src := http.MaxBytesReader(x.w, x.r.Body, maxBody)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := src.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			x.read = true
			return b, nil
		}
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return b, fault.RequestTooLarge.New("the body has more than %d bytes", maxBody)
		}
		if err != nil {
			return b, fault.InvalidRequest.New("the body did not arrive whole").Because(err)
		}
	}
}

// mediaType returns what is wrong with how a body is announced, empty if nothing is. JSON needs no announcement, and is
// UTF-8 (RFC 8259 section 8.1); curl calls what it sends a form unless told otherwise.
func mediaType(header []string) string {
	if len(header) == 0 || len(header) == 1 && header[0] == "application/json" {
		return ""
	}
	if len(header) > 1 {
		return "Content-Type stands twice in the headers; send it once"
	}
	name, params, err := mime.ParseMediaType(header[0])
	if err != nil {
		return "the Content-Type cannot be read; send application/json"
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return "the body is announced in another character set; send UTF-8"
	}
	switch {
	case name == "application/json", name == "application/x-www-form-urlencoded":
	case strings.HasPrefix(name, "application/") && strings.HasSuffix(name, "+json"):
	default:
		return "the body is announced as something else than JSON; send application/json"
	}
	return ""
}

// buffers hold bodies and answers while they are worked on.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// keepBuffer is the largest buffer that is kept for the next call: one long list must not stay in memory for ever.
const keepBuffer = 64 << 10

func release(buf *[]byte) {
	if cap(*buf) <= keepBuffer {
		buffers.Put(buf)
	}
}

// run calls the handler and writes its answer into buf. When it returns, the call has left its slot, and what the handler
// made can go: an answer that nobody reads holds its bytes and no more.
func (g *Gateway) run(x *exchange, call rpc.Call, req proto.Message, buf *[]byte) (status int, err error) {
	slots := g.inFlight
	if x.route.Policy.Waits {
		slots = g.waiting
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return 0, fault.Overloaded.New("")
	}
	if len(x.route.path) > 0 {
		x.object = req.ProtoReflect().Get(x.route.path[0].fd).String()
	}
	timeout := orElse(x.route.Policy.Timeout, g.cfg.Timeout)
	call.Deadline, call.Pace = g.cfg.Pace.Now().Add(timeout), g.cfg.Pace
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	defer g.cfg.Pace.AfterFunc(timeout, func() { cancel(errTimeout) })()
	if x.route.Policy.Waits {
		defer context.AfterFunc(g.draining, func() { cancel(nil) })()
	}
	ctx, reply := rpc.With(ctx, call)
	resp, err := x.route.handler.call(ctx, req)
	x.retryAfter = reply.RetryAfter
	if err != nil {
		var known *fault.Error
		if !errors.As(err, &known) && errors.Is(context.Cause(ctx), errTimeout) {
			return 0, fault.Timeout.New("").Because(err)
		}
		return 0, err
	}
	if !resp.ProtoReflect().IsValid() {
		return 0, fault.Bug.New("the handler gave neither an answer nor a fault")
	}
	if made := idOf(resp.ProtoReflect()); made != "" {
		x.object = made
	}
	*buf = append(appendMessage((*buf)[:0], x.route.output, resp.ProtoReflect()), '\n')
	return x.route.status(reply), nil
}

// idOf returns the public id of what an answer shows, "" for a list or what has none.
func idOf(m protoreflect.Message) string {
	f := m.Descriptor().Fields().ByName("id")
	if f == nil || f.Kind() != protoreflect.StringKind || f.IsList() {
		return ""
	}
	return m.Get(f).String()
}

// status is what an answer that is no fault is sent with.
func (r *route) status(reply *rpc.Reply) int {
	switch {
	case reply.Status != 0:
		return reply.Status
	case r.Verb == http.MethodPost:
		return http.StatusCreated
	}
	return http.StatusOK
}

// What callers do not read stands in memory until they do, or until the deadline of the answer.
const (
	smallAnswer    = 32 << 10 // goes into the buffers of the connection
	maxUnread      = 64 << 20 // of larger answers, all together
	unreadPatience = 10 * time.Second
	slowestReader  = 64 << 10 // bytes a second
)

// send writes an answer. A large one counts until it has been taken; where too much waits already it is refused, which a
// caller of something that was done hears as busy: the same key gives the same answer later.
func (g *Gateway) send(x *exchange, status int, body []byte) error {
	if n := int64(len(body)); n > smallAnswer {
		defer g.unread.Add(-n)
		if g.unread.Add(n) > maxUnread {
			return fault.Overloaded.New("too many answers wait to be read; read those first, then ask again")
		}
		patience := unreadPatience + time.Duration(n/slowestReader)*time.Second
		_ = http.NewResponseController(x.w).SetWriteDeadline(clock.Deadline(patience)) // only a real connection has one
	}
	if x.retryAfter > 0 {
		x.setRetryAfter()
	}
	x.write(status, jsonType, body)
	return nil
}
