package points

import (
	"fmt"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// TestPointsCanAlwaysBeTakenAndReturned grants all the points there can be, and has them spent and refunded until far
// more has passed through the volume's own accounts than any counter holds. Granting more is refused, and binds no key;
// nothing else is.
func TestPointsCanAlwaysBeTakenAndReturned(t *testing.T) {
	h := booktest.New(t, "points", func() book.Machine { return NewMachine(0, 1, nil) })
	n := 0
	do := func(cmd any, want fault.Code) any {
		t.Helper()
		reply, err := h.Do(branch.CommandOf(cmd, branch.Japan))
		if err == nil && want == "" || fault.HasCode(err, want) {
			return reply
		}
		t.Fatalf("%T: %v, want %q", cmd, err, want)
		return nil
	}
	grant := func(owner string, amount int64, want fault.Code) {
		t.Helper()
		n++
		do(&Grant{
			Tenant: tenant, Key: name(fmt.Sprint("key", n)), ID: name(fmt.Sprint("grant", n)), Account: account(owner),
			Amount: points(amount), Class: Free,
		}, want)
	}
	most := ledger.Supply(1)
	spend := func(owner string) *tcc.AddRequest {
		n++
		pay, back := part(fmt.Sprint(n)), part(fmt.Sprint(n, "back"))
		do(&tcc.TryRequest{Branch: pay, Account: account(owner), Amount: points(most), NotAfter: h.Clock.Now() + clock.Minute}, "")
		do(&tcc.ConfirmRequest{Branch: pay, Account: account(owner), Capture: 1, Amount: points(most), Final: true}, "")
		return &tcc.AddRequest{Branch: back, Account: account(owner), Amount: points(most), Purpose: tcc.Refund, Origin: pay.ID}
	}
	rounds := int64(0)
	for i := range 6 {
		owner := fmt.Sprint("owner", i)
		do(&Open{Tenant: tenant, Owner: name(owner)}, "")
		grant(owner, most+1, fault.SupplyExhausted)
		grant(owner, most, "")
		grant(owner, 1, fault.SupplyExhausted)
		for range 300 {
			do(spend(owner), "")
			rounds++
		}
		last := spend(owner)
		do(&SetStatus{Tenant: tenant, Account: account(owner), Status: ledger.NoIn}, "")
		if r := do(last, "").(tcc.Receipt); !r.Suspense { // and so the next owner can have them
			t.Fatal("points came to a suspended account")
		}
	}
	if rounds < money.MaxStored/most {
		t.Fatalf("%d rounds of %d points: the counters have room for them", rounds, most)
	}
	h.Rebuild()
	verify(t, h)
}
