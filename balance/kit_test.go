package balance

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
	dbs := map[string]*store.DB{"journal": open("journal"), "balance": open("balance")}
	again := func(name string) *store.DB { return dbs[name] }
	p := startAt(t, again, clk)
	return kit.Fixture{
		Participant: p, Receiver: p, Tenant: tenant, Currency: money.JPY, Now: clk.Now, Advance: clk.Advance,
		Fund: func(_ context.Context, minor int64) (id.ID, error) { return p.open(1, Balance, minor) },
		Balance: func(ctx context.Context, x id.ID) (available, held int64, err error) {
			a, err := p.Account(ctx, tenant, x)
			return a.Available(), a.Held(), err
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
			_, err := p.Suspend(ctx, tenant, x, ledger.NoOut)
			return err
		},
		AdjustAdd: func(r *tcc.AddRequest) { r.Funding = []tcc.Funding{{From: "payment_clearing", Amount: r.Amount}} },
	}
}
