package conformance

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/platform"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/kit"
	"github.com/koban-pay/koban/tcc/wire"
)

const tenant = id.Tenant(9)

// house is a platform whose participants stand behind a wire.
type house struct {
	t    *testing.T
	dir  string
	clk  *clock.Manual
	ids  *id.Source
	door atomic.Pointer[http.Handler]
	url  string

	offer func(*platform.App) wire.Server
	app   *platform.App
}

func open(t *testing.T, offer func(*platform.App) wire.Server) *house {
	h := &house{t: t, dir: t.TempDir(), clk: clock.NewManual(clock.NewSystem().Now()), ids: id.NewSource(nil), offer: offer}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*h.door.Load()).ServeHTTP(w, r) }))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() { server.Close(); _ = h.app.Close(context.Background()) })
	h.url = server.URL
	return h
}

func (h *house) start() (err error) {
	// One volume: a branch is known only where its account is.
	if h.app, err = platform.Start(context.Background(), platform.Config{Data: h.dir, Volumes: 1, MinFree: 1, Clock: h.clk}); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", wire.Handler(h.offer(h.app)))
	mux.Handle(wire.ServicePath, wire.Service(h.offer(h.app)))
	door := http.Handler(mux)
	h.door.Store(&door)
	return nil
}

// fixture is what both services have in common, through a client.
func (h *house) fixture(t *testing.T, url string) kit.Fixture {
	c, err := wire.Dial(wire.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kit.Fixture{
		Participant: c, Receiver: c, Tenant: tenant, Now: h.clk.Now, Advance: h.clk.Advance, Body: c.TryBody,
		Payment: func(id.ID) id.ID { return h.ids.New(h.clk.Now(), h.ids.Slot()) },
		Send: func(ctx context.Context, body []byte) error {
			_, err := c.Send(ctx, wire.Try, body)
			if errors.Is(err, wire.ErrUnsayable) {
				return kit.ErrUnsayable
			}
			return err
		},
		Restart: func(ctx context.Context) (tcc.Participant, tcc.Receiver, error) {
			err := errors.Join(h.app.Close(ctx), h.start())
			return c, c, err
		},
	}
}

// eachWire runs the kit against a platform over HTTP, and against another over gRPC.
func eachWire(t *testing.T, offer func(*platform.App) wire.Server, complete func(h *house, f *kit.Fixture)) {
	for _, scheme := range []string{"http", "grpc"} {
		t.Run(scheme, func(t *testing.T) {
			kit.Run(t, func(t *testing.T) kit.Fixture {
				h := open(t, offer)
				f := h.fixture(t, strings.Replace(h.url, "http", scheme, 1))
				complete(h, &f)
				return f
			})
		})
	}
}

// TestBalanceOverTheWire: what balance keeps in one process, it keeps behind a wire.
func TestBalanceOverTheWire(t *testing.T) {
	offer := func(a *platform.App) wire.Server { return wire.Server{Participant: a.Balance, Receiver: a.Balance} }
	eachWire(t, offer, func(h *house, f *kit.Fixture) {
		f.Currency = money.JPY
		f.Fund = func(ctx context.Context, minor int64) (id.ID, error) {
			now := h.clk.Now()
			key := h.ids.New(now, h.ids.Slot())
			owner, err := h.app.Balance.OpenOwner(ctx, balance.OpenOwner{
				Key:   book.Key{Tenant: tenant, ID: key},
				Owner: h.ids.New(now, id.SlotOf(key[:])), Kind: balance.Balance, Terms: balance.Terms{Currency: money.JPY}, Opening: minor,
			})
			return owner.Facet(uint8(balance.Balance)), err
		}
		f.Balance = func(ctx context.Context, x id.ID) (available, held int64, err error) {
			a, err := h.app.Balance.Account(ctx, tenant, x)
			return a.Available(), a.Held(), err
		}
		f.Suspend = func(ctx context.Context, x id.ID) error {
			_, err := h.app.Balance.Suspend(ctx, tenant, x, ledger.NoOut)
			return err
		}
		f.AdjustAdd = func(r *tcc.AddRequest) { r.Funding = []tcc.Funding{{From: "payment_clearing", Amount: r.Amount}} }
	})
}

// TestPointsOverTheWire: what points keeps in one process, it keeps behind a wire.
func TestPointsOverTheWire(t *testing.T) {
	offer := func(a *platform.App) wire.Server { return wire.Server{Participant: a.Points, Receiver: a.Points} }
	eachWire(t, offer, func(h *house, f *kit.Fixture) {
		f.Currency = money.PT
		f.Fund = func(ctx context.Context, minor int64) (id.ID, error) {
			now := h.clk.Now()
			v, err := h.app.Points.Open(ctx, tenant, h.ids.New(now, 0))
			if err != nil {
				return id.Nil, err
			}
			_, err = h.app.Points.Credit(ctx, points.Request{Tenant: tenant, Key: h.ids.New(now, 0)}, v.ID, money.Of(minor, money.PT), points.Free, 0)
			return v.ID, err
		}
		f.Balance = func(ctx context.Context, x id.ID) (available, held int64, err error) {
			v, err := h.app.Points.Account(ctx, tenant, x)
			return v.Available, v.Held, err
		}
		f.Suspend = func(ctx context.Context, x id.ID) error {
			_, err := h.app.Points.SetStatus(ctx, tenant, x, ledger.NoOut)
			return err
		}
	})
}
