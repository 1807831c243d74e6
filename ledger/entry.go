package ledger

import "github.com/koban-pay/koban/money"

// Entry is one journal entry: what a chain led to. It carries outcomes only, so that it can be applied without a rule.
type Entry[R comparable] struct {
	Day   Day             // the business day that limits count it in
	Legs  []Leg[R]        // what is posted: at most one leg for each side of an account
	Holds []HoldChange[R] // what happens to holds: at most one change for each hold
}

// Leg is one line of an entry.
type Leg[R comparable] struct {
	Account R
	Side    Side
	Amount  money.Amount // above zero
}

// Check returns nil if e can be (I1): debits equal credits per currency, there are two legs or more (or none, but a
// hold's change), every amount is above zero, and what is posted from holds is in the legs. Otherwise data_damaged,
// and what is wrong.
func (e *Entry[R]) Check() error {
	if len(e.Legs) == 1 || len(e.Legs) == 0 && len(e.Holds) == 0 {
		return damaged("entry of %d legs and %d changes of holds", len(e.Legs), len(e.Holds))
	}
	for i := range e.Legs {
		l := &e.Legs[i]
		if l.Side != Debit && l.Side != Credit || l.Amount.Minor <= 0 || l.Amount.Minor > money.MaxStored {
			return damaged("leg of %d on side %d", l.Amount.Minor, l.Side)
		}
		if e.leg(l.Account, l.Side) != l {
			return damaged("entry with two legs on the %s side of one account", l.Side)
		}
		if err := e.checkCurrency(i); err != nil {
			return err
		}
	}
	for i := range e.Holds {
		if err := e.checkHold(i); err != nil {
			return err
		}
	}
	return nil
}

// checkCurrency checks that the legs in the currency of leg i balance, if leg i is the first in it.
func (e *Entry[R]) checkCurrency(i int) error {
	currency := e.Legs[i].Amount.Currency
	for j := range e.Legs[:i] {
		if e.Legs[j].Amount.Currency == currency {
			return nil
		}
	}
	net := int64(0)
	for j := i; j < len(e.Legs); j++ {
		minor := e.Legs[j].Amount.Minor
		if e.Legs[j].Amount.Currency != currency {
			continue
		}
		if e.Legs[j].Side == Credit {
			minor = -minor
		}
		sum, err := money.AddInt(net, minor)
		if err != nil {
			return damaged("entry whose legs in %v add up to more than can be counted", currency)
		}
		net = sum
	}
	if net != 0 {
		return damaged("entry with %d more debited than credited in %v", net, currency)
	}
	return nil
}

// checkHold checks change i: its amounts, that it is the hold's only one, and that the hold's account has a leg for all
// that is posted from holds on it.
func (e *Entry[R]) checkHold(i int) error {
	c := &e.Holds[i]
	if c.Side != Debit && c.Side != Credit || c.Opened < 0 || c.Posted < 0 || c.Released < 0 || c.Opened|c.Posted|c.Released == 0 {
		return damaged("hold on side %d with %d opened, %d posted, %d released", c.Side, c.Opened, c.Posted, c.Released)
	}
	if c.Opened > money.MaxStored || c.Posted > money.MaxStored || c.Released > money.MaxStored {
		return damaged("hold with more opened, posted or released than can be stored")
	}
	if e.change(c.Hold) != c {
		return damaged("entry with two changes of one hold")
	}
	if c.Posted == 0 {
		return nil
	}
	l := e.leg(c.Account, c.Side)
	if l == nil {
		return damaged("entry that posts a hold without a leg")
	}
	left := l.Amount.Minor
	for j := range e.Holds {
		if o := &e.Holds[j]; o.Account == c.Account && o.Side == c.Side {
			left -= o.Posted
		}
		if left < 0 {
			return damaged("entry that posts more from holds than its leg of %v", l.Amount)
		}
	}
	return nil
}

// leg returns the first leg on one side of an account, or nil.
func (e *Entry[R]) leg(account R, side Side) *Leg[R] {
	for i := range e.Legs {
		if l := &e.Legs[i]; l.Account == account && l.Side == side {
			return l
		}
	}
	return nil
}

// change returns the first change of a hold, or nil.
func (e *Entry[R]) change(hold R) *HoldChange[R] {
	for i := range e.Holds {
		if c := &e.Holds[i]; c.Hold == hold {
			return c
		}
	}
	return nil
}

// add merges one step of a chain into the entry. Sums stay below money.MaxStored, because the accounts' own do.
func (e *Entry[R]) add(s *step[R]) {
	if s.posts {
		for i := range s.legs {
			if l := e.leg(s.legs[i].Account, s.legs[i].Side); l != nil {
				l.Amount.Minor += s.legs[i].Amount.Minor
			} else {
				e.Legs = append(e.Legs, s.legs[i])
			}
		}
	}
	if s.holds {
		if c := e.change(s.change.Hold); c != nil {
			c.Opened += s.change.Opened
			c.Posted += s.change.Posted
			c.Released += s.change.Released
		} else {
			e.Holds = append(e.Holds, s.change)
		}
	}
}
