package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
)

// exchange is one request and what became of it.
type exchange struct {
	w          http.ResponseWriter
	r          *http.Request
	id         string
	start      clock.Micros
	rehearsal  func() string // nil in production
	route      *route        // nil until found
	label      string        // of the route, for logs and metrics; "" for an address that does not exist
	principal  rpc.Principal
	retryAfter time.Duration
	status     int // 0 until answered
	code       fault.Code
	bytes      int
	read       bool   // the body was read to its end
	object     string // public id of what the call was about or made; "" for none
}

var (
	jsonType = []string{"application/json"}
	yamlType = []string{"application/yaml"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}

	errorDescriptor = (&typev1.ErrorResponse{}).ProtoReflect().Descriptor()
)

// write answers. Nothing that the API says is for a cache to keep or for a browser to guess at.
func (x *exchange) write(status int, contentType []string, body []byte) {
	h := x.w.Header()
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	x.mark()
	x.status, x.bytes = status, len(body)
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // a caller that went away is none of our business
	}
}

// setRetryAfter writes whole seconds, at least one (RFC 9110 §10.2.3).
func (x *exchange) setRetryAfter() {
	s := (x.retryAfter + time.Second - 1) / time.Second
	x.w.Header().Set("Retry-After", strconv.FormatInt(max(1, int64(s)), 10))
}

// fail answers with a fault. An error that is none is unknown; one inside the platform shows its request id only.
func (g *Gateway) fail(x *exchange, err error) {
	f := fault.Of(err)
	x.code = f.Code
	e := &typev1.Error{
		Code: string(f.Code), Kind: string(f.Kind), Message: f.Message, Retryable: f.Retryable(), RequestId: x.id,
	}
	if f.Kind == fault.Internal {
		e.Message = f.Code.Summary()
	}
	if f.Param != "" {
		e.Param = proto.String(f.Param)
	}
	var o *rpc.Outcome
	if errors.As(err, &o) {
		if o.Payment != "" {
			x.object = o.Payment
			e.Payment = proto.String(o.Payment)
		}
		if o.RequestID != "" {
			e.RequestId = o.RequestID
		}
	}
	if f.Status() == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if f.Retryable() {
		x.setRetryAfter()
	}
	if f.Kind == fault.Internal || f.Kind == fault.Unknown {
		g.cfg.Log.Error("call failed", slog.String("request_id", x.id), slog.String("route", x.label), slog.String("error", err.Error()))
	}
	x.unread()
	body := appendMessage(nil, g.errors, (&typev1.ErrorResponse{Error: e}).ProtoReflect())
	x.write(f.Status(), jsonType, append(body, '\n'))
}

// linger is how long a body that nobody reads may go on to come after the answer: long enough for its sender to see it.
const linger = time.Second

// unread lets go of a connection whose request is refused before its body was read. net/http would wait for the body, up
// to the time that a body may take, to use the connection again: so a stranger without a key could hold many.
func (x *exchange) unread() {
	if x.r.Body == nil || x.r.Body == http.NoBody || x.read {
		return
	}
	x.w.Header().Set("Connection", "close")
	_ = http.NewResponseController(x.w).SetReadDeadline(clock.Deadline(linger)) // only a real connection has one
}

// finish turns a panic into an answer, counts and logs. The log holds no key, no body, no query and no header.
func (g *Gateway) finish(x *exchange) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { //nolint:errorlint // a panic carries the very value (net/http)
			panic(p)
		}
		g.cfg.Log.Error("panic", slog.String("request_id", x.id), slog.String("route", x.label), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		if x.status == 0 {
			g.fail(x, fault.Bug.New(""))
		}
	}
	took := g.cfg.Pace.Now() - x.start
	g.metrics.observe(x, took)
	if !g.cfg.Log.Enabled(x.r.Context(), slog.LevelInfo) {
		return
	}
	g.cfg.Log.LogAttrs(x.r.Context(), slog.LevelInfo, "request",
		slog.String("request_id", x.id),
		slog.String("route", orElse(x.label, "none")),
		slog.Int("status", x.status),
		slog.String("code", string(x.code)),
		slog.Uint64("tenant", uint64(x.principal.Tenant)),
		slog.String("principal", x.principal.Name),
		slog.String("object", x.object),
		slog.Int64("micros", int64(took)),
		slog.Int("bytes", x.bytes),
		g.mode(),
	)
}
