package gateway

import (
	"context"
	"crypto/rand"
	_ "embed" // openapi.yaml
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
)

//go:embed openapi.yaml
var openapi []byte

// Config says how a gateway works. Secret, Authenticator and Clock are required; the rest may be left at zero.
type Config struct {
	Secret        []byte // at least 32 bytes; idempotency keys and fingerprints are HMACs under it
	Authenticator Authenticator
	Clock         clock.Clock
	Log           *slog.Logger                // access log and panics; nil: none
	Metrics       *prometheus.Registry        // served at /metrics; nil: a fresh one
	Ready         func(context.Context) error // whether every book answers; nil: always
	Degraded      func() []string             // what is found wrong while it serves, in words of ASCII; nil: nothing
	Version       string                      // of the program, shown in /healthz; "": not shown
	GuardMetrics  bool                        // /metrics wants an operator's key: for a door that strangers reach
	Pace          clock.Clock                 // of callers' patience, where Clock can be moved; nil: Clock
	Demo          bool                        // the money is made up; /healthz says so
	Rehearsal     func() string               // what is not as in production, in a line of ASCII; nil: this is production

	Timeout     time.Duration // of a call; 10 s
	MaxInFlight int           // calls at once; 2048. More are answered overloaded
	MaxWaiting  int           // calls at once that may wait for events; 1024

	MaxConns           int // connections at once, see Listener; 8192
	MaxConnsPerAddress int // of one address; 4096: a proxy in front is one address

	Rate  rate.Limit              // requests per second of one principal; 1000
	Burst int                     // requests at once of one principal; 1000
	Ease  func(rpc.Principal) int // multiplies both for a principal; nil: by one

	RequestID func() string // names requests; nil: 100 random bits
}

// Limits of the HTTP server.
const (
	maxBody    = 64 << 10
	maxHeaders = 16 << 10
)

// Gateway is the front door, an http.Handler.
type Gateway struct {
	cfg      Config
	table    []*route
	bind     *binder
	limits   *limiter
	inFlight chan struct{}
	waiting  chan struct{}
	unread   atomic.Int64 // bytes of large answers that were not taken yet
	metrics  *metrics
	scrape   http.Handler
	errors   *schema
	standby  bool // it serves nobody yet
	draining context.Context
	drain    context.CancelFunc
}

// New returns a gateway over the handlers of reg. It fails if a method of the contracts has no handler or no policy.
func New(cfg Config, reg *Registry) (*Gateway, error) {
	if len(cfg.Secret) < 32 || cfg.Authenticator == nil || cfg.Clock == nil {
		return nil, fmt.Errorf("gateway: a secret of at least 32 bytes, an authenticator and a clock are needed")
	}
	cfg.fill()
	g := &Gateway{cfg: cfg, bind: newBinder(cfg.Secret), limits: newLimiter(&cfg)}
	g.inFlight = make(chan struct{}, cfg.MaxInFlight)
	g.waiting = make(chan struct{}, cfg.MaxWaiting)
	g.draining, g.drain = context.WithCancel(context.Background())
	var err error
	if g.table, err = routeTable(reg.contracts); err != nil {
		return nil, err
	}
	g.table = g.cfg.offered(g.table)
	if err := bind(g.table, reg); err != nil {
		return nil, err
	}
	if g.errors, err = (schemas{}).of(errorDescriptor); err != nil {
		return nil, err
	}
	if g.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, err
	}
	g.scrape = promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{})
	return g, nil
}

func (c *Config) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Ready == nil {
		c.Ready = func(context.Context) error { return nil }
	}
	if c.Pace == nil {
		c.Pace = c.Clock
	}
	if c.Ease == nil {
		c.Ease = func(rpc.Principal) int { return 1 }
	}
	if c.RequestID == nil {
		c.RequestID = newRequestID
	}
	c.Timeout = orElse(c.Timeout, 10*time.Second)
	c.MaxInFlight = orElse(c.MaxInFlight, 2048)
	c.MaxWaiting = orElse(c.MaxWaiting, 1024)
	c.MaxConns = orElse(c.MaxConns, 8192)
	c.MaxConnsPerAddress = orElse(c.MaxConnsPerAddress, 4096)
	c.Rate = orElse(c.Rate, 1000)
	c.Burst = orElse(c.Burst, 1000)
}

func orElse[T comparable](v, standard T) T {
	if v == *new(T) {
		return standard
	}
	return v
}

func newRequestID() string {
	b := append(make([]byte, 0, 16), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	rand.Read(b) // never fails: it ends the process instead
	return "req_" + macAlphabet.EncodeToString(b)[:20]
}

// Server returns an HTTP server for g with every limit set. The caller listens, through Listener, and
// shuts down; Shutdown ends what waits for events first.
func (g *Gateway) Server() *http.Server {
	s := &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaders,
		ErrorLog:          slog.NewLogLogger(g.cfg.Log.Handler(), slog.LevelWarn),
	}
	s.RegisterOnShutdown(g.Drain)
	return s
}

// Drain ends the context of calls that wait for events, those under way and those to come.
func (g *Gateway) Drain() { g.drain() }

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, id: g.cfg.RequestID(), start: g.cfg.Pace.Now(), rehearsal: g.cfg.Rehearsal}
	w.Header()["Request-Id"] = []string{x.id}
	defer g.finish(x)
	if len(r.TransferEncoding) > 0 {
		// net/http has forgotten by now whether a Content-Length stood beside it. If one did, somebody on the way may have
		// cut this request elsewhere, so nothing that follows on this connection is to be believed (RFC 9112 section 6.1).
		w.Header().Set("Connection", "close")
	}
	switch r.URL.EscapedPath() { // as it was written: what a proxy's rule lets pass must not mean something else here
	case "/healthz", "/readyz", "/metrics", "/openapi.yaml":
		g.serveOwn(x)
	default:
		call := g.serveCall
		if g.standby {
			call = func(*exchange) error { return g.cfg.Ready(r.Context()) }
		}
		if err := call(x); err != nil {
			g.fail(x, err)
		}
	}
}

// serveOwn answers the addresses that are the gateway's own.
func (g *Gateway) serveOwn(x *exchange) {
	x.label = "GET " + x.r.URL.Path
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.w.Header().Set("Allow", "GET, HEAD")
		g.fail(x, fault.MethodNotAllowed.New(""))
		return
	}
	switch x.r.URL.Path {
	case "/healthz":
		x.write(http.StatusOK, jsonType, g.healthy())
	case "/readyz":
		if err := g.cfg.Ready(x.r.Context()); err != nil {
			if !fault.HasCode(err, fault.NotReady) { // else it says why, in words for strangers
				err = fault.NotReady.New("").Because(err)
			}
			g.fail(x, err)
			return
		}
		x.write(http.StatusOK, jsonType, g.healthy())
	case "/openapi.yaml":
		x.write(http.StatusOK, yamlType, openapi)
	case "/metrics":
		if err := g.mayScrape(x); err != nil {
			g.fail(x, err)
			return
		}
		x.status = http.StatusOK
		x.mark()
		g.scrape.ServeHTTP(x.w, x.r)
	}
}

// mayScrape says whether the figures are for who asks. They name no customer, but tell a competitor how business goes.
func (g *Gateway) mayScrape(x *exchange) error {
	if !g.cfg.GuardMetrics {
		return nil
	}
	if g.standby { // it knows no keys: they are in the books
		return g.cfg.Ready(x.r.Context())
	}
	key, err := bearer(x.r.Header)
	if err != nil {
		return err
	}
	p, authErr := g.cfg.Authenticator.Authenticate(key)
	if authErr != nil {
		return authErr
	}
	x.principal = p
	if p.Role != rpc.Operator {
		return fault.NotAllowed.New("figures are for operators' keys")
	}
	return nil
}

// Scrape returns the handler of /metrics alone, for a listener of its own that strangers do not reach.
func (g *Gateway) Scrape() http.Handler { return g.scrape }

// errTimeout ends the context of a call that took its time.
var errTimeout = errors.New("the call took too long")
