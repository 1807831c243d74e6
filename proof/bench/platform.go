package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/platform"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// What a platform under test holds, and what every payment takes.
const (
	merchants   = 100
	opening     = 1_000_000_000 // yen, and points, of each customer
	fromBalance = 1000
	fromPoints  = 200
	tenant      = id.Tenant(1) // the demo company, whose keys the platform hands out
	makers      = 512          // customers made at once
)

// running is a whole process of the platform, and the customers and merchants made for the run.
type running struct {
	*bench
	at        *place
	app       *platform.App
	customers []id.ID
	merchants []id.ID
	http      target
}

func (b *bench) openPlatform(ctx context.Context, at *place) (subject, error) {
	b.tell("starting a platform with "+thousands(int64(2*b.Customers)+merchants)+" accounts", "")
	a, err := platform.Start(ctx, platform.Config{Data: at.dir, StoreURL: at.url, Tenant: "demo", Listen: "127.0.0.1:0"})
	if err != nil {
		return nil, err
	}
	p := &running{bench: b, at: at, app: a, customers: make([]id.ID, b.Customers), merchants: make([]id.ID, merchants)}
	if err := p.populate(ctx); err != nil {
		return nil, errors.Join(err, a.Close(ctx))
	}
	p.aim()
	return p, nil
}

// populate opens the accounts, and saves them, so that a run begins with tables that stand still.
func (p *running) populate(ctx context.Context) error {
	var next atomic.Int64
	var once sync.Once
	var failed error
	var all sync.WaitGroup
	for range makers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(p.customers)+merchants; i = int(next.Add(1)) - 1 {
				var err error
				if i < merchants {
					p.merchants[i], err = p.owner(ctx, balance.Payable, 0)
				} else {
					p.customers[i-merchants], err = p.customer(ctx)
				}
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	all.Wait()
	if failed != nil {
		return failed
	}
	return p.settle(ctx)
}

func (p *running) customer(ctx context.Context) (id.ID, error) {
	x, err := p.owner(ctx, balance.Balance, opening)
	if err != nil {
		return x, err
	}
	if _, err := p.app.Points.Open(ctx, tenant, x); err != nil {
		return x, err
	}
	_, err = p.app.Points.Credit(ctx, points.Request{Tenant: tenant, Key: randomKey()}, x.Facet(tcc.PointsAccount), money.Of(opening, money.PT), points.Free, 0)
	return x, err
}

// owner names an owner and opens an account.
func (p *running) owner(ctx context.Context, kind balance.Kind, opening int64) (id.ID, error) {
	key := id.ID(randomKey())
	now := p.app.Clock.Now()
	return p.app.Balance.OpenOwner(ctx, balance.OpenOwner{
		Key: book.Key{Tenant: tenant, ID: key}, Owner: p.app.Fresh.New(now, id.SlotOf(key[:])),
		Kind: kind, Terms: balance.Terms{Currency: money.JPY}, Opening: opening, EffectiveAt: now,
	})
}

func randomKey() (k [16]byte) {
	rand.Read(k[:]) // never fails: it ends the process instead
	return k
}

// pick draws who pays whom.
func (p *running) pick(r *mrand.Rand) (customer, merchant int) {
	if p.Hot && r.IntN(2) == 0 {
		return r.IntN(len(p.customers)), 0
	}
	return r.IntN(len(p.customers)), r.IntN(merchants)
}

func (p *running) caller(n int) (func(context.Context) (int64, error), error) {
	r := mrand.New(mrand.NewPCG(uint64(n), 1)) //nolint:gosec // it draws shops, not secrets
	if p.mode == REST {
		return p.http.caller(func() (int, int) { return p.pick(r) })
	}
	return func(ctx context.Context) (int64, error) {
		customer, merchant := p.pick(r)
		return p.pay(ctx, p.customers[customer], p.merchants[merchant])
	}, nil
}

// pay makes one payment from two sources, and waits for its end.
func (p *running) pay(ctx context.Context, customer, merchant id.ID) (int64, error) {
	o, err := p.app.Payment.Create(ctx, payment.Request{
		Caller: payment.Caller{Key: book.Key{Tenant: tenant, ID: randomKey()}}, Tenant: tenant, Customer: customer, Merchant: merchant,
		Amount: money.Yen(fromBalance + fromPoints), Capture: payment.Automatic, Sources: []payment.Source{
			{Type: payment.FromPoints, Account: customer.Facet(tcc.PointsAccount), Amount: fromPoints},
			{Type: payment.FromBalance, Account: customer.Facet(tcc.BalanceAccount), Amount: fromBalance},
		},
	})
	if err != nil {
		return 0, err
	}
	if o = p.app.Payment.Settle(ctx, o); o.Payment.Status != payment.Captured {
		return 0, fmt.Errorf("a payment ended %s: %s", o.Payment.Status, o.Payment.Failure)
	}
	return 1, nil
}

// figures reads what the platform tells whoever watches it.
func (p *running) figures() figures {
	j := p.app.Journal.Stats()
	f := figures{commits: j.Commits, blocks: j.Blocks, bytes: j.Bytes, saves: map[string]int64{}, rows: map[string]int64{}}
	w := &page{header: http.Header{}}
	r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", http.NoBody) // a constant, which is well formed
	p.app.Gateway.ServeHTTP(w, r)
	for line := range strings.Lines(w.String()) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			continue
		}
		metric, label, _ := strings.Cut(strings.TrimSuffix(name, `"}`), "{")
		_, label, _ = strings.Cut(label, `"`)
		switch metric {
		case "koban_state_saves_total":
			f.saves[label] = int64(n)
		case "koban_state_rows_total":
			f.rows[label] = int64(n)
		case "koban_book_state_lag_blocks":
			f.lag = max(f.lag, int64(n))
		}
	}
	return f
}

// page is an answer in memory.
type page struct {
	bytes.Buffer
	header http.Header
}

// Header, Write and WriteHeader make it an http.ResponseWriter.
func (p *page) Header() http.Header { return p.header }

// WriteHeader does nothing: what is no page of figures has no lines we look for.
func (p *page) WriteHeader(int) {}

// settle waits until the tables hold what is durable.
func (p *running) settle(ctx context.Context) error {
	for range 2000 {
		if p.figures().lag == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-clock.Pause(5 * 1e6):
		}
	}
	return errors.New("the state tables do not follow their journals")
}

// rowBytes looks at the tables themselves.
func (p *running) rowBytes(ctx context.Context) (map[string]float64, error) {
	out := map[string]float64{}
	for name, tables := range map[string][]book.Table{
		"balance": balance.NewMachine(0, 1).Tables(), "points": points.NewMachine(0, 1, nil).Tables(), "payment": payment.NewMachine(0, 1).Tables(),
	} {
		var names []string
		for _, t := range tables {
			names = append(names, book.TableName(t))
		}
		folder := "state/"
		if p.at.url != "" {
			folder = "" // there the schema has the name of the service
		}
		db, err := p.at.open(ctx, folder+name, store.Relaxed, true)
		if err != nil {
			return nil, err
		}
		out[name], err = meanRow(ctx, db, names)
		if err := errors.Join(err, db.Close()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// verify judges the books as koban verify does, then asks whether every yen and point is where the payments that were
// done must have left it.
func (p *running) verify(ctx context.Context, done int64) error {
	if err := p.settle(ctx); err != nil {
		return err
	}
	report, err := platform.Verify(ctx, platform.VerifyConfig{Data: p.at.dir, StoreURL: p.at.url})
	if err != nil {
		return err
	}
	for _, i := range report.Invariants {
		if i.Violations > 0 {
			return fmt.Errorf("%s is violated %d times: %v", i.ID, i.Violations, i.Examples)
		}
	}
	if !report.OK {
		return errors.New("koban verify finds the books wrong")
	}
	return p.count(ctx, done)
}

func (p *running) count(ctx context.Context, done int64) error {
	var cash, pts, payable int64
	given := int64(len(p.customers)) * opening
	for _, x := range p.customers {
		a, err := p.app.Balance.Account(ctx, tenant, x.Facet(tcc.BalanceAccount))
		if err != nil {
			return err
		}
		v, err := p.app.Points.Account(ctx, tenant, x.Facet(tcc.PointsAccount))
		if err != nil {
			return err
		}
		cash, pts = cash+a.Available(), pts+v.Available
	}
	for _, x := range p.merchants {
		a, err := p.app.Balance.Account(ctx, tenant, x.Facet(tcc.PayableAccount))
		if err != nil {
			return err
		}
		payable += a.Available()
	}
	for _, c := range []struct {
		what      string
		have, due int64
	}{
		{"yen of the customers", cash, given - done*fromBalance},
		{"points of the customers", pts, given - done*fromPoints},
		{"yen of the merchants", payable, done * (fromBalance + fromPoints)},
	} {
		if c.have != c.due {
			return fmt.Errorf("after %d payments there are %d %s, not %d", done, c.have, c.what, c.due)
		}
	}
	return nil
}

func (p *running) close(ctx context.Context) error { return p.app.Close(ctx) }
