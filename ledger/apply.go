package ledger

import "fmt"

// Rows is how Apply changes rows. Whatever is asked for is changed, so the owner marks it as such. EditHold makes an
// empty row where there is none; the pointers need to be valid only until the next call.
type Rows[R comparable] interface {
	EditAccount(R) *Account
	EditHold(R) *Hold[R]
}

// Apply changes rows by an entry that Plan returned for them. It evaluates no rule, and never fails: an entry that does
// not balance, a row that is not there, and a row that would break an invariant are impossible, and panic.
func Apply[R comparable](rows Rows[R], e Entry[R]) {
	if err := e.Check(); err != nil {
		panic("ledger: " + err.Error())
	}
	for i := range e.Holds {
		c := &e.Holds[i]
		h := rows.EditHold(c.Hold)
		if c.Opened > 0 && h.Amount != 0 || c.Opened == 0 && (h.Account != c.Account || h.Side != c.Side || h.HeldOn != c.HeldOn) {
			panic(fmt.Sprintf("ledger: %+v of %+v", *c, *h))
		}
		h.change(c)
		if err := h.Check(); err != nil {
			panic("ledger: " + err.Error())
		}
		a := account(rows, c.Account)
		pend(a, c, e.Day)
		if !e.touches(c.Account, i+1, 0) {
			a.settle()
		}
	}
	for i := range e.Legs {
		l := &e.Legs[i]
		a := account(rows, l.Account)
		if a.Currency != l.Amount.Currency {
			panic(fmt.Sprintf("ledger: %v posted to an account in %v", l.Amount, a.Currency))
		}
		a.post(l.Side, l.Amount.Minor, e.Day)
		if !e.touches(l.Account, len(e.Holds), i+1) {
			a.settle()
		}
	}
}

func account[R comparable](rows Rows[R], ref R) *Account {
	a := rows.EditAccount(ref)
	if a == nil {
		panic(fmt.Sprintf("ledger: no account %v", ref))
	}
	return a
}

// touches reports whether the account is in e from the given change of a hold, or the given leg, on.
func (e *Entry[R]) touches(account R, fromHold, fromLeg int) bool {
	for i := fromHold; i < len(e.Holds); i++ {
		if e.Holds[i].Account == account {
			return true
		}
	}
	for i := fromLeg; i < len(e.Legs); i++ {
		if e.Legs[i].Account == account {
			return true
		}
	}
	return false
}

// settle ends an entry's work on an account: only now do its invariants have to hold again.
func (a *Account) settle() {
	a.Version++
	a.carry()
	if err := a.Check(); err != nil {
		panic("ledger: " + err.Error())
	}
}
