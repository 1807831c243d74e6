package code

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// The events carry outcomes only. Minor is what the code carries in Currency, 0 for nothing.
type (
	shopRegistered struct {
		Tenant      id.Tenant
		Merchant    id.ID
		Number      int64
		Key         id.ID
		Fingerprint [16]byte
		Note        []byte
	}
	sessionOpened struct {
		Tenant      id.Tenant
		Session     id.ID
		Customer    id.ID
		Merchant    id.ID
		Currency    money.Currency
		Minor       int64
		ExpiresAt   clock.Micros
		Key         id.ID
		Fingerprint [16]byte
		Noted       bool
	}
	sessionExpired struct {
		Tenant    id.Tenant
		Session   id.ID
		Customer  id.ID
		Merchant  id.ID
		Currency  money.Currency
		Minor     int64
		ExpiresAt clock.Micros
	}
	tried struct {
		branchOf
		Print       branch.Print
		Amount      money.Amount
		NotAfter    clock.Micros
		EffectiveAt clock.Micros
	}
	refused struct {
		branchOf
		Print   branch.Print
		Refusal branch.Refusal
	}
	confirmed struct {
		branchOf
		Print       branch.Print
		Capture     uint32
		Customer    id.ID
		Merchant    id.ID
		Currency    money.Currency
		Minor       int64
		ExpiresAt   clock.Micros
		EffectiveAt clock.Micros
	}
	// cancelled gives a session back; where it was not Released, it is the tombstone of a Try that never came.
	cancelled struct {
		branchOf
		Released    bool
		ExpiresAt   clock.Micros
		NotAfter    clock.Micros
		EffectiveAt clock.Micros
	}
)

// branchOf names the branch and the session that an event is about.
type branchOf struct {
	Tenant  id.Tenant
	Branch  id.ID
	Session id.ID
}

func (b *branchOf) about() *branchOf { return b }

func (e *sessionOpened) row(at clock.Micros) SessionRow {
	return SessionRow{
		Customer: e.Customer, Merchant: e.Merchant, Currency: e.Currency, Minor: e.Minor, Status: Open, OpenedAt: at,
		OpenUntil: e.ExpiresAt, ExpiresAt: e.ExpiresAt, Noted: e.Noted,
	}
}

// TouchEvent implements book.Machine.
func (m *Machine) TouchEvent(ev any, t *book.Touch) {
	switch e := ev.(type) {
	case *shopRegistered:
		m.shops.Touch(t, key(e.Tenant, e.Merchant))
		m.counts.Touch(t, m.count(e.Tenant))
		m.numbers.Touch(t, key(e.Tenant, Store{e.Tenant, e.Merchant.Slot(), e.Number}.key()))
	case *sessionOpened:
		m.sessions.Touch(t, key(e.Tenant, e.Session))
	case *sessionExpired:
		m.sessions.Touch(t, key(e.Tenant, e.Session))
	case interface{ about() *branchOf }:
		b := e.about()
		m.branches.Touch(t, key(b.Tenant, b.Branch))
		m.sessions.Touch(t, key(b.Tenant, b.Session))
	default:
		panic(fmt.Sprintf("code: there is no event %T", ev))
	}
}

// Apply implements book.Machine.
func (m *Machine) Apply(at clock.Micros, seq uint64, ev any) {
	switch e := ev.(type) {
	case *shopRegistered:
		m.applyRegistered(at, e)
	case *sessionOpened:
		*m.sessions.Edit(key(e.Tenant, e.Session)) = e.row(at)
		m.bind(e.Tenant, e.Key, e.Session, e.Fingerprint, at)
	case *sessionExpired:
		s := m.sessions.Have(key(e.Tenant, e.Session))
		must(s.idle(), e, s)
		s.Status = Expired
	case *tried:
		s := m.sessions.Have(key(e.Tenant, e.Session))
		must(unreserved(s), e, s)
		s.By = e.Branch
		b := m.branches.Edit(key(e.Tenant, e.Branch))
		b.Amount = e.Amount
		b.Hold(e.Session, e.Print, branch.Answer{Seq: seq, At: at})
	case *refused:
		m.branches.Edit(key(e.Tenant, e.Branch)).Refuse(e.Session, e.Print, e.Refusal, branch.Answer{Seq: seq, At: at})
	case *confirmed:
		b, s := m.reserved(&e.branchOf)
		s.Status = Used
		b.Capture(branch.Capture{
			Number: e.Capture, Amount: b.Amount.Minor, Print: e.Print, Answer: branch.Answer{Seq: seq, At: at},
		}, true)
	case *cancelled:
		if !e.Released {
			m.branches.Edit(key(e.Tenant, e.Branch)).Cancel(e.Session, branch.Answer{Seq: seq, At: at})
			return
		}
		b, s := m.reserved(&e.branchOf)
		s.By, s.ExpiresAt = id.Nil, e.ExpiresAt
		b.Cancel(e.Session, branch.Answer{Seq: seq, At: at})
	default:
		panic(fmt.Sprintf("code: there is no event %T", ev))
	}
}

func (m *Machine) applyRegistered(at clock.Micros, e *shopRegistered) {
	store := Store{e.Tenant, e.Merchant.Slot(), e.Number}
	c := m.counts.Edit(m.count(e.Tenant))
	must(e.Number == c.Shops+1, e, c)
	c.Shops = e.Number
	*m.shops.Edit(key(e.Tenant, e.Merchant)) = ShopRow{Number: e.Number, Note: e.Note, RegisteredAt: at}
	*m.numbers.Edit(key(e.Tenant, store.key())) = numberRow{e.Merchant}
	m.bind(e.Tenant, e.Key, e.Merchant, e.Fingerprint, at)
}

func (m *Machine) bind(t id.Tenant, caller, target id.ID, print [16]byte, at clock.Micros) {
	m.keys.Put(key(t, caller), book.KeyEntry{Target: target, Fingerprint: print, At: at})
}

// reserved returns the rows of a reservation that is about to end.
func (m *Machine) reserved(e *branchOf) (*Branch, *SessionRow) {
	b, s := m.branches.Have(key(e.Tenant, e.Branch)), m.sessions.Have(key(e.Tenant, e.Session))
	must(b.Status == branch.Held && s.Status == Open && s.By == e.Branch, b, s)
	return b, s
}

// must panics on an event that cannot be in the state that it meets.
func must(ok bool, event, state any) {
	if !ok {
		panic(fmt.Sprintf("code: %+v meets %+v", event, state))
	}
}
