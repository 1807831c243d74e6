package code

import (
	"bytes"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// known answers a command whose caller's key was used before, and reports whether it was.
func (m *Machine) known(t id.Tenant, caller id.ID, print [16]byte, out *book.Decision) bool {
	e := m.keys.Get(key(t, caller))
	switch {
	case e == nil:
		return false
	case e.Fingerprint != print:
		out.Refuse(fault.IdempotencyKeyReused.New(""))
	default:
		out.Reply(Repeated{e.Target})
	}
	return true
}

func (m *Machine) decideRegister(now clock.Micros, c *Register, out *book.Decision) {
	if m.known(c.Tenant, c.Key, c.Fingerprint, out) {
		return
	}
	store := m.next(c.Tenant, c.Merchant)
	switch {
	case store.Number > maxNumber:
		out.Refuse(fault.LimitExceeded.New("there are no store ids left"))
		return
	case m.shops.Get(key(c.Tenant, c.Merchant)) != nil:
		out.Refuse(fault.IDReused.New(""))
		return
	}
	note := bytes.Clone(c.Merchant[:])
	out.Note(book.Note{Tenant: uint32(c.Tenant), Service: serviceName, ID: note, Body: c.Details})
	out.Emit(&shopRegistered{
		Tenant: c.Tenant, Merchant: c.Merchant, Number: store.Number, Key: c.Key, Fingerprint: c.Fingerprint, Note: note,
	})
	row := ShopRow{Number: store.Number, Note: note, RegisteredAt: now}
	out.Reply(row.found(key(c.Tenant, c.Merchant)))
}

func (m *Machine) replyShop(k book.Key, out *book.Decision) {
	s := m.shops.Get(k)
	if s == nil {
		out.Refuse(fault.MerchantNotFound.New(""))
		return
	}
	out.Reply(s.found(k))
}

func (m *Machine) decideFind(c *FindShop, out *book.Decision) {
	n := m.numbers.Get(key(c.Store.Tenant, c.Store.key()))
	if n == nil {
		out.Refuse(fault.ShopNotFound.New(""))
		return
	}
	m.replyShop(key(c.Store.Tenant, n.Merchant), out)
}

func (m *Machine) decideScan(now clock.Micros, c *Scan, out *book.Decision) {
	if m.known(c.Tenant, c.Key, c.Fingerprint, out) {
		return
	}
	if !c.Currency.IsISO() || c.Minor < 0 || c.Minor > money.MaxStored {
		out.Refuse(fault.InvalidCode.New("the code carries an amount that cannot be paid").WithParam("payload"))
		return
	}
	if m.sessions.Get(key(c.Tenant, c.ID)) != nil {
		out.Refuse(fault.IDReused.New(""))
		return
	}
	ev := &sessionOpened{
		Tenant: c.Tenant, Session: c.ID, Customer: c.Customer, Merchant: c.Merchant, Currency: c.Currency, Minor: c.Minor,
		ExpiresAt: now + m.rules.Idle, Key: c.Key, Fingerprint: c.Fingerprint, Noted: c.Labels != nil,
	}
	if c.Labels != nil {
		out.Note(book.Note{Tenant: uint32(c.Tenant), Service: serviceName, ID: bytes.Clone(c.ID[:]), Body: c.Labels})
	}
	out.Emit(ev)
	row := ev.row(now)
	out.Reply(row.first(c.ID))
}

func (m *Machine) decideReadSession(now clock.Micros, c *ReadSession, out *book.Decision) {
	s := m.sessions.Get(key(c.Tenant, c.ID))
	switch {
	case s == nil:
		out.Refuse(fault.SessionNotFound.New(""))
	case c.First:
		out.Reply(s.first(c.ID))
	default:
		out.Reply(s.view(c.ID, now))
	}
}

func (m *Machine) decideExpire(now clock.Micros, k book.Key, out *book.Decision) {
	s := m.sessions.Get(k)
	if s == nil || !s.idle() || s.ExpiresAt > now {
		return
	}
	out.Emit(&sessionExpired{
		Tenant: k.Tenant, Session: k.ID, Customer: s.Customer, Merchant: s.Merchant, Currency: s.Currency, Minor: s.Minor,
		ExpiresAt: s.ExpiresAt,
	})
}

func about(b tcc.Branch, session id.ID) branchOf {
	return branchOf{Tenant: b.Tenant, Branch: b.ID, Session: session}
}

// plans are what the verbs do with sessions: an account is a session here.
type plans struct{ *Machine }

var _ branch.Rules = plans{}

// Row implements branch.Rules.
func (m plans) Row(b tcc.Branch) *branch.Row {
	if x := m.branches.Get(key(b.Tenant, b.ID)); x != nil {
		return &x.Row
	}
	return nil
}

// Currency implements branch.Rules.
func (plans) Currency(a money.Amount) *fault.Error {
	if !a.Currency.IsISO() {
		return fault.InvalidCurrency.New("").WithParam("amount.currency")
	}
	return nil
}

// PlanTry implements branch.Rules.
func (m plans) PlanTry(now clock.Micros, c *branch.Try, p branch.Print) (any, *fault.Error) {
	if err := m.sessions.Get(key(c.Branch.Tenant, c.Account)).admit(now, &c.TryRequest); err != nil {
		return nil, err
	}
	return &tried{
		branchOf: about(c.Branch, c.Account), Print: p, Amount: c.Amount, NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt,
	}, nil
}

// PlanRefusal implements branch.Rules.
func (plans) PlanRefusal(c *branch.Try, p branch.Print, why *fault.Error) any {
	return &refused{about(c.Branch, c.Account), p, branch.RefusalOf(why)}
}

// PlanConfirm implements branch.Rules. The session is used up with the first capture. Later captures of the same payment change
// nothing more.
func (m plans) PlanConfirm(_ clock.Micros, c *branch.Confirm, p branch.Print) (any, *fault.Error) {
	b := m.branches.Get(key(c.Branch.Tenant, c.Branch.ID))
	switch {
	case b.Amount.Currency != c.Amount.Currency:
		return nil, fault.CurrencyMismatch.New("").WithParam("amount.currency")
	case c.Amount.Minor > b.Amount.Minor:
		return nil, fault.ExceedsHold.New("%v is more than the %v that the session was reserved for", c.Amount, b.Amount)
	case b.Status == branch.Confirmed:
		return nil, nil
	}
	s := m.sessions.Get(key(c.Branch.Tenant, c.Account))
	return &confirmed{
		branchOf: about(c.Branch, c.Account), Print: p, Capture: c.Capture, Customer: s.Customer, Merchant: s.Merchant,
		Currency: s.Currency, Minor: s.Minor, ExpiresAt: s.ExpiresAt, EffectiveAt: c.EffectiveAt,
	}, nil
}

// PlanCancel implements branch.Rules.
func (m plans) PlanCancel(now clock.Micros, c *branch.Cancel, held bool) (any, *fault.Error) {
	ev := &cancelled{branchOf: about(c.Branch, c.Account), NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt}
	if held {
		ev.Released, ev.ExpiresAt = true, now+m.rules.Idle
	}
	return ev, nil
}
