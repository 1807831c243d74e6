package ledger

// Hold is one hold's row. R names accounts and holds. Amounts are in minor units of the account's currency.
type Hold[R comparable] struct {
	Account  R
	Side     Side // of the account, on which it is pending
	HeldOn   Day  // the business day on which it counts against the account's limits
	Amount   int64
	Posted   int64
	Released int64
}

// Open returns what is left: neither posted nor released.
func (h *Hold[R]) Open() int64 { return h.Amount - h.Posted - h.Released }

// Ended reports whether nothing is left. An ended hold never opens again.
func (h *Hold[R]) Ended() bool { return h.Open() == 0 }

// Check returns nil if h can be: on a side, of an amount above zero, with no part below zero, and no more posted and
// released than was held (I6). Otherwise data_damaged, and what is wrong.
func (h *Hold[R]) Check() error {
	if h.Side != Debit && h.Side != Credit || h.Amount <= 0 || h.Posted < 0 || h.Released < 0 || h.Open() < 0 {
		return damaged("hold of %d on side %d with %d posted and %d released", h.Amount, h.Side, h.Posted, h.Released)
	}
	return nil
}

// HoldChange is what an entry does to one hold and to the account it is on, in minor units. Several of the three can
// happen in one entry.
type HoldChange[R comparable] struct {
	Hold     R
	Account  R
	Side     Side
	HeldOn   Day
	Opened   int64 // the hold is new, of this amount
	Posted   int64 // taken; the entry has a leg on the same account and side for it
	Released int64 // let go
}

// pend counts c on its account. What is posted was counted against the limits when it was held, and is counted by its
// leg again: so it is taken back here.
func pend[R comparable](a *Account, c *HoldChange[R], day Day) {
	*a.pending(c.Side) += stillHeld(c.Opened, c.Posted, c.Released)
	receives := c.Side == a.Normal
	a.Used = a.Used.on(day)
	a.Used.count(receives, c.Opened-c.Posted)
	a.Used.uncount(receives, c.Released, c.HeldOn)
}

// change counts c on its hold.
func (h *Hold[R]) change(c *HoldChange[R]) {
	if c.Opened > 0 {
		*h = Hold[R]{Account: c.Account, Side: c.Side, HeldOn: c.HeldOn, Amount: c.Opened}
	}
	h.Posted += c.Posted
	h.Released += c.Released
}
