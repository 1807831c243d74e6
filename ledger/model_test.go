package ledger_test

import (
	"math/big"

	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// model is a second ledger, written to be obviously right and not to be fast: it keeps every flow that ever was, in
// numbers without bounds, and adds them up again for every question. It shares no rule with the package.
type model struct {
	accounts []*modelAccount
	holds    map[int]*modelHold
}

type modelAccount struct {
	terms  ledger.Account // read for its terms only
	latest int            // day
	flows  []modelFlow
	dues   int      // entries
	off    *big.Int // what was taken off both sides when the account was brought forward; nil: nothing
	full   bool     // more counted against limits than can be stored: what is left of it cannot be compared
}

// modelFlow is an amount on one side. What a hold takes is pending until it is posted or released.
type modelFlow struct {
	side    ledger.Side
	amount  *big.Int
	day     int
	pending bool
	hold    int // or -1
}

type modelHold struct {
	account int
	side    ledger.Side
	day     int
	open    *big.Int
	posted  *big.Int
}

type modelStep struct {
	kind           string // move, hold, post, void
	account, other int
	hold           int
	side           ledger.Side
	amount         int64
	currency       money.Currency
	final          bool
}

func (m *model) clone() *model {
	c := &model{holds: map[int]*modelHold{}}
	for _, a := range m.accounts {
		row := *a
		row.flows = append([]modelFlow(nil), a.flows...)
		c.accounts = append(c.accounts, &row)
	}
	for k, h := range m.holds {
		row := *h
		c.holds[k] = &row
	}
	return c
}

// do returns the model after a chain and "ok", or itself and the code of the refusal.
func (m *model) do(day int, chain []modelStep) (*model, string) {
	c := m.clone()
	touched := map[int]bool{}
	for _, s := range chain {
		if code := c.step(day, s, touched); code != "ok" {
			return m, code
		}
	}
	for i := range touched {
		c.accounts[i].dues++
		c.accounts[i].bringForward()
	}
	return c, "ok"
}

var (
	two62 = new(big.Int).Lsh(big.NewInt(1), 62)
	none  = -1
)

func (m *model) step(day int, s modelStep, touched map[int]bool) string {
	amount := big.NewInt(s.amount)
	if s.kind != "void" && amount.Sign() <= 0 {
		return "invalid_amount"
	}
	if s.kind != "void" && amount.Cmp(two62) >= 0 {
		return "amount_overflow"
	}
	switch s.kind {
	case "move":
		if s.account == s.other {
			return "same_account"
		}
		debit, credit := m.accounts[s.account], m.accounts[s.other]
		if debit.terms.Currency != s.currency || credit.terms.Currency != s.currency {
			return "currency_mismatch"
		}
		if code := debit.admit(ledger.Debit, amount, day); code != "ok" {
			return code
		}
		if code := credit.admit(ledger.Credit, amount, day); code != "ok" {
			return code
		}
		debit.add(modelFlow{side: ledger.Debit, amount: amount, hold: none}, day)
		credit.add(modelFlow{side: ledger.Credit, amount: amount, hold: none}, day)
		touched[s.account], touched[s.other] = true, true
	case "hold":
		if m.holds[s.hold] != nil {
			return "id_reused"
		}
		a := m.accounts[s.account]
		if a.terms.Currency != s.currency {
			return "currency_mismatch"
		}
		if code := a.admit(s.side, amount, day); code != "ok" {
			return code
		}
		at := a.add(modelFlow{side: s.side, amount: amount, pending: true, hold: s.hold}, day)
		m.holds[s.hold] = &modelHold{s.account, s.side, at, amount, new(big.Int)}
		touched[s.account] = true
	default:
		return m.end(day, s, amount, touched)
	}
	return "ok"
}

// end posts or voids a hold.
func (m *model) end(day int, s modelStep, amount *big.Int, touched map[int]bool) string {
	h := m.holds[s.hold]
	switch {
	case h == nil:
		return "hold_not_found"
	case h.open.Sign() == 0:
		return "hold_ended"
	}
	a := m.accounts[h.account]
	rest := new(big.Int)
	if s.kind == "post" {
		other := m.accounts[s.other]
		switch {
		case h.account == s.other:
			return "same_account"
		case other.terms.Currency != s.currency || a.terms.Currency != s.currency:
			return "currency_mismatch"
		case amount.Cmp(h.open) > 0:
			return "exceeds_hold"
		}
		opposite := ledger.Credit
		if h.side == ledger.Credit {
			opposite = ledger.Debit
		}
		if code := other.admit(opposite, amount, day); code != "ok" {
			return code
		}
		other.add(modelFlow{side: opposite, amount: amount, hold: none}, day)
		touched[s.other] = true
		h.posted = new(big.Int).Add(h.posted, amount)
		if rest.Sub(h.open, amount); s.final {
			rest.SetInt64(0)
		}
	} else {
		amount = new(big.Int)
	}
	// The hold's flow is replaced by what is posted, on the day it was held, and what is left, if anything.
	for i := range a.flows {
		if f := &a.flows[i]; f.hold == s.hold && f.pending {
			f.amount = rest
		}
	}
	a.flows = append(a.flows, modelFlow{side: h.side, amount: amount, day: h.day, hold: s.hold})
	a.latest = max(a.latest, day)
	h.open = rest
	touched[h.account] = true
	return "ok"
}

func (a *modelAccount) add(f modelFlow, day int) int {
	a.latest = max(a.latest, day)
	f.day = a.latest
	a.flows = append(a.flows, f)
	return f.day
}

// sum adds up the flows that want holds for.
func (a *modelAccount) sum(want func(modelFlow) bool) *big.Int {
	n := new(big.Int)
	for _, f := range a.flows {
		if want(f) {
			n.Add(n, f.amount)
		}
	}
	return n
}

// bringForward takes as many whole times 2^60 off both posted sides of an account that may go negative as both have.
func (a *modelAccount) bringForward() {
	if !a.terms.MayGoNegative {
		return
	}
	less := new(big.Int)
	for _, side := range []ledger.Side{ledger.Debit, ledger.Credit} {
		n := a.sum(func(f modelFlow) bool { return !f.pending && f.side == side })
		n.Rsh(n, 60).Lsh(n, 60)
		if side == ledger.Debit || n.Cmp(less) < 0 {
			less = n
		}
	}
	a.off = less
	for _, in := range []bool{false, true} {
		a.full = a.full || a.used(in, true, 0).Cmp(two62) >= 0
	}
}

// counted returns what the account has seen on one side, and what holds will still post there.
func (a *modelAccount) counted(side ledger.Side) *big.Int {
	n := a.sum(func(f modelFlow) bool { return f.side == side })
	if a.off != nil {
		n.Sub(n, a.off)
	}
	return n
}

func (a *modelAccount) balance() *big.Int {
	debits := a.sum(func(f modelFlow) bool { return !f.pending && f.side == ledger.Debit })
	credits := a.sum(func(f modelFlow) bool { return !f.pending && f.side == ledger.Credit })
	if a.terms.Normal == ledger.Debit {
		return debits.Sub(debits, credits)
	}
	return credits.Sub(credits, debits)
}

func (a *modelAccount) waiting(in bool) *big.Int {
	return a.sum(func(f modelFlow) bool { return f.pending && (f.side == a.terms.Normal) == in })
}

func (a *modelAccount) available() *big.Int {
	n := a.balance()
	return n.Sub(n, a.waiting(false))
}

// used adds up what counts against a limit on the given day.
func (a *modelAccount) used(in, month bool, day int) *big.Int {
	day = max(day, a.latest)
	return a.sum(func(f modelFlow) bool {
		sameMonth := calendarMonth(f.day) == calendarMonth(day)
		return (f.side == a.terms.Normal) == in && (f.day == day || month && sameMonth)
	})
}

func (a *modelAccount) admit(side ledger.Side, amount *big.Int, day int) string {
	in := side == a.terms.Normal
	more := func(n *big.Int) *big.Int { return new(big.Int).Add(n, amount) }
	above := func(n *big.Int, limit int64) bool { return limit != 0 && n.Cmp(big.NewInt(limit)) > 0 }
	dayLimit, monthLimit := a.terms.Limits.DayOut, a.terms.Limits.MonthOut
	if in {
		dayLimit, monthLimit = a.terms.Limits.DayIn, a.terms.Limits.MonthIn
	}
	balance := a.balance()
	switch status := a.terms.Status; {
	case status == ledger.Closed:
		return "account_closed"
	case status == ledger.Suspended, status == ledger.NoIn && in, status == ledger.NoOut && !in:
		return "account_suspended"
	case more(a.counted(side)).Cmp(two62) >= 0:
		return "amount_overflow"
	case in && above(more(balance.Add(balance, a.waiting(true))), a.terms.Cap):
		return "limit_exceeded"
	case above(more(a.used(in, false, day)), dayLimit), above(more(a.used(in, true, day)), monthLimit):
		return "limit_exceeded"
	case !in && !a.terms.MayGoNegative && a.available().Cmp(amount) < 0:
		return "insufficient_funds"
	}
	return "ok"
}
