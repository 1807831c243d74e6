package points

import (
	"context"
	"testing"

	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/kit"
)

// TestConformance puts the service before every demand of the contract.
func TestConformance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		kit.Run(t, func(t *testing.T) kit.Fixture { return conformance(t, open) })
	})
}

// conformance is the platform as the conformance kit sees it.
func conformance(t *testing.T, open func(string) *store.DB) kit.Fixture {
	clk := clock.NewManual(booktest.Start)
	dbs := map[string]*store.DB{"journal": open("journal"), "points": open("points")}
	again := func(name string) *store.DB { return dbs[name] }
	p := startAt(t, again, clk)
	return kit.Fixture{
		Participant: p, Receiver: p, Tenant: tenant, Currency: money.PT, Now: clk.Now, Advance: clk.Advance,
		Fund: func(ctx context.Context, minor int64) (id.ID, error) { return p.fund(ctx, minor) },
		Balance: func(ctx context.Context, x id.ID) (available, held int64, err error) {
			v, err := p.Account(ctx, tenant, x)
			return v.Available, v.Held, err
		},
		Payment: func(id.ID) id.ID { return p.ids.New(clk.Now(), p.ids.Slot()) },
		Restart: func(context.Context) (tcc.Participant, tcc.Receiver, error) {
			dead := p
			dead.writer.Close(context.Background())
			p = startAt(t, again, clk) // the tables are behind, as after a crash
			dead.stop()
			return p, p, nil
		},
		Suspend: func(ctx context.Context, x id.ID) error {
			_, err := p.SetStatus(ctx, tenant, x, ledger.NoOut)
			return err
		},
	}
}

// fund opens an account of volume 1 with two lots: one that expires in a month, and one that never does.
func (p *platform) fund(ctx context.Context, minor int64) (id.ID, error) {
	now := p.clk.Now()
	v, err := p.Open(ctx, tenant, p.ids.New(now, id.FirstSlot(1, volumes)))
	if err != nil {
		return id.Nil, err
	}
	for _, lot := range []struct {
		n       int64
		expires clock.Micros
	}{{minor / 3, now + 30*clock.Day}, {minor - minor/3, 0}} {
		r := Request{Tenant: tenant, Key: p.ids.New(now, 0)}
		if _, err := p.Credit(ctx, r, v.ID, points(lot.n), Free, lot.expires); err != nil {
			return id.Nil, err
		}
	}
	return v.ID, nil
}
