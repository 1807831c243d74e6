package balance

import (
	"math/rand/v2"
	"testing"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// TestCreditsEndWhereTheyCannotBeCountedExactly: an operator who credits for ever meets a refusal that says so, and then
// nothing that stands on any account is more than every JSON reader keeps exact.
func TestCreditsEndWhereTheyCannotBeCountedExactly(t *testing.T) {
	s := newOnThread(t)
	a, b := s.yen(Balance, 0), s.yen(Payable, 0)
	most := ledger.Supply(1)
	credit := func(x id.ID, n int64) error {
		_, err := s.Credit(t.Context(), AddCredit{Key: s.key(), ID: s.new(), Account: x, Amount: money.Yen(n), EffectiveAt: s.Clock.Now()})
		return err
	}
	refused(t, credit(a, money.MaxWire), fault.SupplyExhausted)
	refused(t, credit(a, most+1), fault.SupplyExhausted)
	if err := credit(a, most-1); err != nil {
		t.Fatal(err)
	}
	for range 3 { // for ever, whatever the account
		refused(t, credit(b, 2), fault.SupplyExhausted)
	}
	if err := credit(b, 1); err != nil {
		t.Fatal(err)
	}
	refused(t, credit(a, 1), fault.SupplyExhausted)
	_, err := s.OpenOwner(t.Context(), OpenOwner{
		Key: s.key(), Owner: s.ids.New(s.Clock.Now(), 0), Kind: Balance,
		Terms: Terms{Currency: money.JPY}, Opening: 1, EffectiveAt: s.Clock.Now(),
	})
	refused(t, err, fault.SupplyExhausted)
	s.expect(a, most-1, 0)
	s.expect(b, 1, 0)
	s.audit()
}

// TestAddAfterTheDecisionAlwaysLands pays all the money there is round and round, in parts of points, refunds it, leaves
// calls undone and makes them late, until far more has passed through the volume's own accounts than any counter holds.
// Once a Try held, nothing that follows it is refused.
func TestAddAfterTheDecisionAlwaysLands(t *testing.T) {
	s := newOnThread(t)
	w := &trade{onThread: s, luck: rand.New(rand.NewPCG(1, 2)), points: ledger.Supply(1)}
	for range 3 {
		w.payers = append(w.payers, s.yen(Balance, 0))
		w.shops = append(w.shops, s.yen(Payable, 0))
	}
	gone := s.yen(Payable, 0)
	if _, err := s.Close(t.Context(), tenant, gone); err != nil {
		t.Fatal(err)
	}
	w.shops = append(w.shops, gone)
	for range 16000 {
		switch w.luck.IntN(8) {
		case 0:
			w.credit()
		case 1, 2, 3:
			w.pay(w.payers, w.shops)
		case 4, 5:
			w.pay(w.shops[:3], w.payers)
		default:
			w.goOn(w.luck.IntN(4))
		}
	}
	w.goOn(len(w.owed))
	if w.moved < money.MaxStored>>10 {
		t.Fatalf("only %d times 1024 yen passed: the counters have room for them", w.moved)
	}
	s.audit()
}

type trade struct {
	*onThread
	luck          *rand.Rand
	payers, shops []id.ID
	points        int64    // that are not spent
	owed          []func() // calls that were decided and not made yet
	moved         int64    // in 1024 yen
}

func (w *trade) credit() {
	x := w.payers[w.luck.IntN(len(w.payers))]
	_, err := w.Credit(w.t.Context(), AddCredit{
		Key: w.key(), ID: w.new(), Account: x, Amount: money.Yen(1 + w.luck.Int64N(money.MaxWire)),
		EffectiveAt: w.Clock.Now(),
	})
	if err != nil && !fault.HasCode(err, fault.SupplyExhausted) && !fault.HasCode(err, fault.LimitExceeded) {
		w.t.Fatal(err)
	}
}

// pay moves all or a part of what an account has, and sometimes points or what was paid with them.
func (w *trade) pay(from, to []id.ID) {
	x, y := from[w.luck.IntN(len(from))], to[w.luck.IntN(len(to))]
	a := w.account(x)
	amount := a.Available()
	if w.luck.IntN(3) == 0 && amount > 1 {
		amount = 1 + w.luck.Int64N(amount)
	}
	if amount == 0 {
		return
	}
	back := KindOf(x) == Payable
	spent := w.luck.Int64N(min(amount, w.points) + 1)
	r := w.tryRequest(x, amount)
	add, confirm := w.addRequest(y, amount), confirmOf(r, 1, amount, true)
	if back && spent > 0 && spent < amount { // a refund, of which a part goes back to where points are paid from
		w.points += spent
		confirm.To = []tcc.Funding{{From: "payment_clearing", Amount: money.Yen(amount - spent)}, {From: "points_funding", Amount: money.Yen(spent)}}
		add = w.addRequest(y, amount-spent)
	} else if !back && spent > 0 {
		w.points -= spent
		add = w.addRequest(y, amount+spent, tcc.Funding{From: "payment_clearing", Amount: money.Yen(amount)},
			tcc.Funding{From: "points_funding", Amount: money.Yen(spent)})
	}
	done(w.t)(w.Try(w.t.Context(), r))
	w.moved += amount >> 10
	calls := []func(){
		func() { done(w.t)(w.Confirm(w.t.Context(), confirm)) },
		func() { done(w.t)(w.Add(w.t.Context(), add)) },
	}
	w.luck.Shuffle(2, func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
	calls[0]()
	w.owed = append(w.owed, calls[1])
}

// goOn makes some of the calls that are owed, and looks at every account.
func (w *trade) goOn(n int) {
	for ; n > 0 && len(w.owed) > 0; n-- {
		i := w.luck.IntN(len(w.owed))
		w.owed[i]()
		w.owed[i] = w.owed[len(w.owed)-1]
		w.owed = w.owed[:len(w.owed)-1]
	}
	for _, x := range append(w.payers, w.shops...) {
		if a := w.account(x); a.Posted() > money.MaxWire {
			w.t.Fatalf("%d stand on an account", a.Posted())
		}
	}
}
