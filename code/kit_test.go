package code

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/kit"
)

// TestConformance puts sessions, which are taken whole, before the demands of the contract that concern them.
func TestConformance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		kit.Run(t, func(t *testing.T) kit.Fixture { return conformance(t, open) })
	})
}

// conformance is the platform as the conformance kit sees it: one customer, who scans the code of one shop.
func conformance(t *testing.T, open func(string) *store.DB) kit.Fixture {
	clk := clock.NewManual(booktest.Start)
	dbs := map[string]*store.DB{"journal": open("journal"), "code": open("code")}
	again := func(name string) *store.DB { return dbs[name] }
	p := startAt(t, again, clk)
	shop, err := p.RegisterShop(t.Context(), request(1), Details{Name: "cafe"})
	check(t, err)
	scans := uint64(0)
	return kit.Fixture{
		Participant: p, Tenant: tenant, Currency: money.JPY, Now: clk.Now, Advance: clk.Advance,
		Fund: func(ctx context.Context, _ int64) (id.ID, error) {
			r := Request{Tenant: tenant} // all in one slot, and so in one volume
			scans++
			binary.BigEndian.PutUint64(r.Key[8:], scans)
			s, err := p.OpenSession(ctx, r, name("ann"), shop.Payload)
			return s.ID, err
		},
		Payment: func(id.ID) id.ID { return p.ids.New(clk.Now(), p.ids.Slot()) },
		Restart: func(context.Context) (tcc.Participant, tcc.Receiver, error) {
			dead := p
			dead.writer.Close(context.Background())
			p = startAt(t, again, clk) // the tables are behind, as after a crash
			dead.stop()
			return p, nil, nil
		},
		AdjustTry: func(r *tcc.TryRequest) { r.Customer, r.Merchant = name("ann"), shop.Merchant },
	}
}
