package points

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// businessDay returns the day that an entry counts in: that of its time, but an account's days never go backwards.
func businessDay(day ledger.Day, a *Account) ledger.Day { return max(day, a.Used.Day) }

func about(b tcc.Branch, account id.ID) branchOf {
	return branchOf{Tenant: b.Tenant, Branch: b.ID, Account: account}
}

// customer returns the account of a customer, or nil.
func (m *Machine) customer(tenant id.Tenant, account id.ID) *Account {
	a := m.accounts.Get(book.Key{Tenant: tenant, ID: account})
	if a == nil || a.Kind != Customer {
		return nil
	}
	return a
}

// ownAccount returns one of the volume's own accounts, new if nothing was posted to it yet.
func (m *Machine) ownAccount(tenant id.Tenant, k Kind) *Account {
	if a := m.accounts.Get(m.own(tenant, k)); a != nil {
		return a
	}
	a := newAccount(k)
	return &a
}

// plans are what the verbs do with points.
type plans struct{ *Machine }

var _ branch.Receives = plans{}

// Row implements branch.Rules.
func (m plans) Row(b tcc.Branch) *branch.Row {
	if x := m.branches.Get(book.Key{Tenant: b.Tenant, ID: b.ID}); x != nil {
		return &x.Row
	}
	return nil
}

// Currency implements branch.Rules.
func (plans) Currency(a money.Amount) *fault.Error {
	if a.Currency != money.PT {
		return fault.CurrencyMismatch.New("points are counted in %v, not in %v", money.PT, a.Currency).WithParam("amount.currency")
	}
	return nil
}

// PlanTry implements branch.Rules.
func (m plans) PlanTry(now clock.Micros, c *branch.Try, p branch.Print) (any, *fault.Error) {
	a, lots, err := m.pick(now, c)
	if err != nil {
		return nil, err
	}
	m.events.tried = tried{
		branchOf: about(c.Branch, c.Account), Print: p, Amount: c.Amount.Minor, Lots: lots, Day: businessDay(c.Day, a),
		NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt,
	}
	return &m.events.tried, nil
}

// PlanRefusal implements branch.Rules.
func (plans) PlanRefusal(c *branch.Try, p branch.Print, why *fault.Error) any {
	return &refused{branchOf: about(c.Branch, c.Account), Print: p, Refusal: branch.RefusalOf(why)}
}

// pick decides whether the points can be taken, and from which lots.
func (m plans) pick(now clock.Micros, c *branch.Try) (*Account, []Part, *fault.Error) {
	a := m.customer(c.Branch.Tenant, c.Account)
	if a == nil {
		return nil, nil, fault.AccountNotFound.New("").WithParam("account")
	}
	if err := a.CanTake(c.Amount, businessDay(c.Day, a)); err != nil {
		return nil, nil, err
	}
	lots := a.Lots.pick(m.events.tried.Lots[:0], c.Amount.Minor, now)
	if lots == nil { // the balance covers it only with lots that have expired
		return nil, nil, fault.InsufficientFunds.New("the available points do not cover %v", c.Amount)
	}
	return a, lots, nil
}

// PlanConfirm implements branch.Rules. Nothing that happened to the account or its lots since the Try stands in its way.
func (m plans) PlanConfirm(now clock.Micros, c *branch.Confirm, p branch.Print) (any, *fault.Error) {
	b := m.branches.Get(book.Key{Tenant: c.Branch.Tenant, ID: c.Branch.ID})
	if err := promised(b, now); err != nil {
		return nil, err
	}
	if b.Hold.Ended() {
		return nil, fault.HoldEnded.New("")
	}
	if c.Amount.Minor > b.Hold.Open() {
		return nil, fault.ExceedsHold.New("%v is more than the %d that are left of the hold", c.Amount, b.Hold.Open())
	}
	ev := &m.events.confirmed
	to, err := m.shares(ev.To[:0], c.Branch.Tenant, c.To, Redeemed, c.Amount, (*ledger.Account).CanReceive)
	if err != nil {
		return nil, err.WithParam("to")
	}
	a := m.customer(c.Branch.Tenant, c.Account)
	taken, rest := b.take(ev.Taken[:0], c.Amount.Minor)
	*ev = confirmed{
		branchOf: about(c.Branch, c.Account), Print: p, Capture: c.Capture, Final: c.Final, Taken: taken, To: to,
		Day: businessDay(c.Day, a), EffectiveAt: c.EffectiveAt,
	}
	if c.Final {
		ev.Back = m.letGo(now, c.Branch.Tenant, a, rest)
	}
	return ev, nil
}

// letGo decides where held points go that are not taken: those whose lot has expired meanwhile follow the rule.
func (m plans) letGo(now clock.Micros, tenant id.Tenant, a *Account, parts []Part) (back []Back) {
	p, days := placer{account: a}, m.rules.of(tenant).ReleaseDays
	for i := range parts {
		back = append(back, p.back(parts[i], now, days))
	}
	return back
}

// PlanCancel implements branch.Rules.
func (m plans) PlanCancel(now clock.Micros, c *branch.Cancel, held bool) (any, *fault.Error) {
	ev := &cancelled{branchOf: about(c.Branch, c.Account), NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt}
	if held {
		a := m.customer(c.Branch.Tenant, c.Account)
		_, rest := m.branches.Get(book.Key{Tenant: c.Branch.Tenant, ID: c.Branch.ID}).take(nil, 0)
		ev.Back = m.letGo(now, c.Branch.Tenant, a, rest)
		ev.Day = businessDay(c.Day, a)
	}
	return ev, nil
}

// PlanAdd implements branch.Receives. It decides where added points go, and refuses only what contradicts itself, or what was
// done before.
func (m plans) PlanAdd(now clock.Micros, c *branch.Add, p branch.Print) (any, *fault.Error) {
	standard := Suspense
	if c.Purpose == tcc.Refund {
		standard = Redeemed
	}
	from, err := m.shares(nil, c.Branch.Tenant, c.Funding, standard, c.Amount, (*ledger.Account).CanTake)
	if err != nil {
		return nil, err.WithParam("funding")
	}
	ev := &added{
		branchOf: about(c.Branch, c.Account), Print: p, Amount: c.Amount.Minor, Purpose: c.Purpose, From: from, Origin: c.Origin,
		EffectiveAt: c.EffectiveAt,
	}
	a := m.customer(c.Branch.Tenant, c.Account)
	if a == nil {
		ev.Day, ev.Suspense = c.Day, true
	} else {
		ev.Day = businessDay(c.Day, a)
		ev.Suspense = a.CanReceive(c.Amount, ev.Day) != nil
	}
	if !c.Origin.IsNil() {
		return ev, m.planReturn(now, c, a, ev)
	}
	if expires := Until(now, m.rules.of(c.Branch.Tenant).AddDays); !ev.Suspense && a.hasRoom(Free, expires) {
		p := placer{account: a}
		ev.Lot = Part{p.place(Free, expires), Free, expires, c.Amount.Minor}
	} else {
		ev.Suspense = true
	}
	return ev, nil
}

// planReturn decides to which lots a refund gives points back. a is nil where there is no such account any more.
func (m plans) planReturn(now clock.Micros, c *branch.Add, a *Account, ev *added) *fault.Error {
	origin := m.branches.Get(book.Key{Tenant: c.Branch.Tenant, ID: c.Origin})
	if origin == nil || len(origin.Captures) == 0 || origin.Account != c.Account {
		return fault.HoldNotFound.New("no points of this account were taken under the origin").WithParam("origin")
	}
	parts := origin.refund(c.Amount.Minor)
	if parts == nil {
		return fault.ExceedsCaptured.New("%v is more than is left of what was taken", c.Amount)
	}
	parts = returning(parts, c.Amount.Minor)
	p, days := placer{account: a}, m.rules.of(c.Branch.Tenant).RefundDays
	for i := range parts {
		if ev.Suspense {
			ev.Back = append(ev.Back, Back{From: parts[i].Lot, Class: parts[i].Class, Amount: parts[i].Amount})
		} else {
			ev.Back = append(ev.Back, p.back(parts[i], now, days))
		}
	}
	return nil
}

// hasRoom reports whether points of a class and expiry can be added without too many lots.
func (a *Account) hasRoom(c Class, expires clock.Micros) bool {
	return len(a.Lots) < MaxLots || a.Lots.like(c, expires) != nil
}

func checkAmount(a money.Amount) *fault.Error {
	switch {
	case a.Currency != money.PT:
		return fault.CurrencyMismatch.New("points are counted in %v, not in %v", money.PT, a.Currency).WithParam("amount.currency")
	case a.Minor <= 0:
		return fault.InvalidAmount.New("the amount is %v, and must be more than zero", a).WithParam("amount")
	case a.Minor > money.MaxStored:
		return fault.AmountOverflow.New("the amount is more than can be stored").WithParam("amount")
	}
	return nil
}

// maxShares is the most shares of one amount.
const maxShares = 8

// shares reads how an amount is spread over the volume's own accounts, and appends it to out. None given means all of it on
// the standard one.
func (m *Machine) shares(out []share, tenant id.Tenant, given []tcc.Funding, standard Kind, amount money.Amount,
	can func(*ledger.Account, money.Amount, ledger.Day) *fault.Error,
) ([]share, *fault.Error) {
	if len(given) == 0 {
		given = []tcc.Funding{{From: standard.String(), Amount: amount}}
	}
	if len(given) > maxShares {
		return nil, fault.InvalidRequest.New("%d shares, at most %d", len(given), maxShares)
	}
	left := amount.Minor
	for _, g := range given {
		k, ok := ParseKind(g.From)
		if !ok || k != Redeemed && k != Suspense {
			return nil, fault.InvalidRequest.New("points have no way over %q", g.From)
		}
		if err := checkAmount(g.Amount); err != nil {
			return nil, err
		}
		if g.Amount.Minor > left {
			return nil, fault.SourcesMismatch.New("the shares add up to more than %v", amount)
		}
		left -= g.Amount.Minor
		if err := can(&m.ownAccount(tenant, k).Account, g.Amount, 0); err != nil {
			return nil, err
		}
		out = append(out, share{k, g.Amount.Minor})
	}
	if left != 0 {
		return nil, fault.SourcesMismatch.New("the shares add up to less than %v", amount)
	}
	return out, nil
}
