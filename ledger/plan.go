package ledger

import (
	"cmp"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/money"
)

// View is how Plan reads rows. Both methods return nil where there is no such row. What they return is not changed.
type View[R comparable] interface {
	Account(R) *Account
	Hold(R) *Hold[R]
}

// Plan decides a chain on a business day: all of it stands, as the entry it returns, or it falls, with the reason of
// the first transfer that cannot be. It changes nothing. Each transfer sees what those before it did.
//
// The entry holds until the rows change: apply it before the next chain is planned, or plan in a Batch.
func Plan[R comparable](view View[R], day Day, chain ...Transfer[R]) (Entry[R], *fault.Error) {
	var p Planner[R]
	return p.Plan(view, day, chain...)
}

// Planner plans chains that are applied and forgotten one after another: it has memory for one entry, and uses it again.
// The zero Planner is ready. It is not safe for concurrent use.
type Planner[R comparable] struct {
	legs  []Leg[R]
	holds []HoldChange[R]
	seen  overlay[R]
}

// Plan decides as the function Plan does. The entry is good until the next call.
func (p *Planner[R]) Plan(view View[R], day Day, chain ...Transfer[R]) (Entry[R], *fault.Error) {
	if err := checkChain(chain); err != nil {
		return Entry[R]{}, err
	}
	legs, holds := size(chain)
	p.legs, p.holds = again(p.legs, legs), again(p.holds, holds)
	p.seen = overlay[R]{base: view, accounts: p.seen.accounts[:0], holds: p.seen.holds[:0]}
	e := Entry[R]{day, p.legs, p.holds}
	if err := e.plan(&p.seen, chain); err != nil {
		return Entry[R]{}, err
	}
	e.Legs, e.Holds = fit(e.Legs), fit(e.Holds)
	return e, nil
}

// again empties a slice, and makes another if n elements have no room in it.
func again[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, 0, n)
	}
	return s[:0]
}

func checkChain[R comparable](chain []Transfer[R]) *fault.Error {
	if n := len(chain); n == 0 || n > MaxChain {
		return fault.InvalidRequest.New("a chain of %d transfers; it must be of 1 to %d", n, MaxChain)
	}
	return nil
}

// size returns how many legs and changes of holds a chain can come to.
func size[R comparable](chain []Transfer[R]) (legs, holds int) {
	for i := range chain {
		if chain[i].posts() {
			legs += 2
		}
		if chain[i].holds() {
			holds++
		}
	}
	return legs, holds
}

// fit cuts off the room that was not needed, so that nobody appends into another entry's, and makes nothing nil, as it
// is in an entry that was decoded.
func fit[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s[:len(s):len(s)]
}

// plan fills e, which has the room for it, with what the chain leads to.
func (e *Entry[R]) plan(o *overlay[R], chain []Transfer[R]) *fault.Error {
	for i := range chain {
		s, err := o.decide(&chain[i], e.Day)
		if err != nil {
			return err
		}
		e.add(&s)
		if i < len(chain)-1 { // nothing comes that could see the last
			o.apply(&s, e.Day)
		}
	}
	return nil
}

// step is what one transfer leads to.
type step[R comparable] struct {
	posts, holds bool
	legs         [2]Leg[R]
	change       HoldChange[R]
}

func (o *overlay[R]) decide(t *Transfer[R], day Day) (s step[R], err *fault.Error) {
	if t.kind != void {
		if err := checkAmount(t.amount); err != nil {
			return s, err
		}
	}
	switch t.kind {
	case move:
		err = o.decideMove(t, day, &s)
	case hold:
		err = o.decideHold(t, day, &s)
	case post:
		err = o.decidePost(t, day, &s)
	case void:
		err = o.decideVoid(t, &s)
	default:
		err = fault.InvalidRequest.New("a transfer that says nothing")
	}
	return s, err
}

func (o *overlay[R]) decideMove(t *Transfer[R], day Day, s *step[R]) *fault.Error {
	if t.account == t.other {
		return fault.SameAccount.New("")
	}
	debit, credit := o.account(t.account), o.account(t.other)
	if debit == nil || credit == nil {
		return fault.AccountNotFound.New("")
	}
	if err := cmp.Or(debit.checkCurrency(t.amount), credit.checkCurrency(t.amount)); err != nil {
		return err
	}
	if err := debit.admit(Debit, t.amount, day); err != nil {
		return err
	}
	if err := credit.admit(Credit, t.amount, day); err != nil {
		return err
	}
	s.leg(t.account, Debit, t.other, t.amount)
	return nil
}

func (o *overlay[R]) decideHold(t *Transfer[R], day Day, s *step[R]) *fault.Error {
	if o.hold(t.hold) != nil {
		return fault.IDReused.New("the hold exists already")
	}
	a := o.account(t.account)
	if a == nil {
		return fault.AccountNotFound.New("")
	}
	if err := a.checkCurrency(t.amount); err != nil {
		return err
	}
	if err := a.admit(t.side, t.amount, day); err != nil {
		return err
	}
	s.holds = true
	s.change = HoldChange[R]{
		Hold: t.hold, Account: t.account, Side: t.side, HeldOn: max(day, a.Used.Day), Opened: t.amount.Minor,
	}
	return nil
}

func (o *overlay[R]) decidePost(t *Transfer[R], day Day, s *step[R]) *fault.Error {
	h, a, err := o.openHold(t.hold)
	if err != nil {
		return err
	}
	if h.Account == t.other {
		return fault.SameAccount.New("")
	}
	other := o.account(t.other)
	if other == nil {
		return fault.AccountNotFound.New("")
	}
	if err := cmp.Or(a.checkCurrency(t.amount), other.checkCurrency(t.amount)); err != nil {
		return err
	}
	if t.amount.Minor > h.Open() {
		return fault.ExceedsHold.New("%v is more than is left of the hold", t.amount)
	}
	if err := other.admit(h.Side.Opposite(), t.amount, day); err != nil {
		return err
	}
	s.leg(h.Account, h.Side, t.other, t.amount)
	s.touch(t.hold, h)
	s.change.Posted = t.amount.Minor
	if t.final {
		s.change.Released = h.Open() - t.amount.Minor
	}
	return nil
}

func (o *overlay[R]) decideVoid(t *Transfer[R], s *step[R]) *fault.Error {
	h, _, err := o.openHold(t.hold)
	if err != nil {
		return err
	}
	s.touch(t.hold, h)
	s.change.Released = h.Open()
	return nil
}

// openHold returns a hold that has not ended, and its account.
func (o *overlay[R]) openHold(ref R) (*Hold[R], *Account, *fault.Error) {
	h := o.hold(ref)
	switch {
	case h == nil:
		return nil, nil, fault.HoldNotFound.New("")
	case h.Ended():
		return nil, nil, fault.HoldEnded.New("")
	}
	a := o.account(h.Account)
	if a == nil {
		return nil, nil, fault.DataDamaged.New("a hold is open on an account that does not exist")
	}
	return h, a, nil
}

func (s *step[R]) leg(account R, side Side, other R, amount money.Amount) {
	s.posts = true
	s.legs[0] = Leg[R]{account, side, amount}
	s.legs[1] = Leg[R]{other, side.Opposite(), amount}
}

func (s *step[R]) touch(ref R, h *Hold[R]) {
	s.holds = true
	s.change = HoldChange[R]{Hold: ref, Account: h.Account, Side: h.Side, HeldOn: h.HeldOn}
}
