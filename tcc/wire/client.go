package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// Config says where a participant stands and how it is called.
type Config struct {
	// URL is http:// or https://host/path for HTTP and JSON; grpc:// or grpcs://host:port for gRPC, the former in clear.
	URL       string
	Names     Names             // nil: Plain
	Header    http.Header       // sent with every call: credentials
	Transport http.RoundTripper // nil: the client's own
	Clock     clock.Clock       // measures; nil: the machine's
	Observe   func(Exchange)    // is told of every call, from many goroutines; nil: nobody is
}

// Exchange is one call as it went over the wire.
type Exchange struct {
	Verb    Verb
	Request []byte // JSON; of gRPC, what it would be
	Status  string // "200", "UNAVAILABLE"; "" if no answer came
	Answer  []byte // as it came; of gRPC, as JSON
	Err     error  // how it was understood; nil: done
	Took    time.Duration
}

// Client is a participant, and a receiver, that stands at a URL. It keeps connections open and is safe for concurrent use.
type Client struct {
	names   Names
	clock   clock.Clock
	observe func(Exchange)
	carrier carrier
	idle    func()
}

var (
	_ tcc.Participant = (*Client)(nil)
	_ tcc.Receiver    = (*Client)(nil)
)

// carrier brings a request over and its answer back. body is one of the bodies of wire.go, or raw JSON.
type carrier interface {
	carry(ctx context.Context, verb Verb, body any, raw []byte) (status string, answer []byte, receipt tcc.Receipt, err error)
}

// ErrUnsayable is what Send returns for a request that the protocol cannot carry. Nothing was sent.
var ErrUnsayable = errors.New("the protocol cannot carry this request")

// Dial returns a client. It does not connect.
//
// Errors: the URL is none, or of another scheme.
func Dial(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no address of a participant: expected http://host/path or grpc://host:port", c.URL)
	}
	out := &Client{names: c.Names, clock: c.Clock, observe: c.Observe, idle: func() {}}
	if out.names == nil {
		out.names = Plain{}
	}
	if out.clock == nil {
		out.clock = clock.NewSystem()
	}
	switch u.Scheme {
	case "http", "https":
	case "grpc":
		u.Scheme = "http"
	case "grpcs":
		u.Scheme = "https"
	default:
		return nil, fmt.Errorf("%q: expected http, https, grpc or grpcs, found %q", c.URL, u.Scheme)
	}
	transport := c.Transport
	if transport == nil {
		own := NewTransport(c.URL)
		transport, out.idle = own, own.CloseIdleConnections
	}
	h := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	address := strings.TrimSuffix(u.String(), "/")
	if strings.HasPrefix(c.URL, "grpc") {
		out.carrier = newGRPC(h, address, c.Header)
	} else {
		out.carrier = &overHTTP{client: h, url: address, header: c.Header}
	}
	return out, nil
}

// NewTransport returns the transport of a client for url, with every limit set. It sends nothing twice: a POST goes again
// only if none of it was written.
func NewTransport(url string) *http.Transport {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 128, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 32 << 10, DisableCompression: true,
	}
	if strings.HasPrefix(url, "grpc") {
		inClear := strings.HasPrefix(url, "grpc:")
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP2(!inClear)
		t.Protocols.SetUnencryptedHTTP2(inClear)
	}
	return t
}

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.idle() }

// Try sets the amount aside: see tcc.Participant.
func (c *Client) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	return c.call(ctx, Try, toTry(c.names, r), nil)
}

// Confirm takes what Try set aside: see tcc.Participant.
func (c *Client) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	return c.call(ctx, Confirm, toConfirm(c.names, r), nil)
}

// Cancel lets go: see tcc.Participant.
func (c *Client) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	return c.call(ctx, Cancel, toCancel(c.names, r), nil)
}

// Add adds: see tcc.Receiver.
func (c *Client) Add(ctx context.Context, r tcc.AddRequest) (tcc.Receipt, error) {
	return c.call(ctx, Add, toAdd(c.names, r), nil)
}

// TryBody returns the JSON of a Try, for sending it changed.
func (c *Client) TryBody(r tcc.TryRequest) []byte {
	text, err := json.Marshal(toTry(c.names, r))
	if err != nil {
		panic("tcc: a request that JSON cannot say: " + err.Error())
	}
	return text
}

// Send sends a body as it is, right or wrong, for examining how a participant takes it. Errors: as of the verbs; and
// ErrUnsayable.
func (c *Client) Send(ctx context.Context, verb Verb, raw []byte) (tcc.Receipt, error) {
	return c.call(ctx, verb, nil, raw)
}

func (c *Client) call(ctx context.Context, verb Verb, body any, raw []byte) (tcc.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if raw == nil {
		text, err := json.Marshal(body)
		if err != nil {
			return tcc.Receipt{}, fault.InvalidRequest.New("the request cannot be written: %s", err.Error())
		}
		raw = text
	}
	began := c.clock.Now()
	status, answer, receipt, err := c.carrier.carry(ctx, verb, body, raw)
	if c.observe != nil && !errors.Is(err, ErrUnsayable) {
		c.observe(Exchange{Verb: verb, Request: raw, Status: status, Answer: bytes.TrimSpace(answer), Err: err, Took: c.clock.Now().Sub(began)})
	}
	return receipt, err
}

// lost is the outcome of a call that brought no answer.
func lost(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Timeout.New("no answer came in time").Because(err)
	}
	return unclear("no answer came").Because(err)
}
