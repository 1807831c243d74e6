package balance

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// Machine is the machine of one volume's book.
type Machine struct {
	volume, volumes int
	first           id.ID // of the volume

	accounts *book.Rows[Account]
	branches *book.Rows[Branch]
	credits  *book.Rows[Credit]
	keys     *book.Keys

	// Memory that is used again with every command: what the ledger is lent, one call at a time, and what it plans in; the
	// events of a payment, each of which is encoded and applied before the next command is decided.
	rows    scope
	edits   editor
	planner ledger.Planner[id.ID]
	verbs   *branch.Branches
	events  struct {
		held      tryHeld
		confirmed confirmed
		added     added
	}
}

var _ book.Machine = (*Machine)(nil)

// NewMachine returns the machine of one of the service's volumes, without rows.
func NewMachine(volume, volumes int) *Machine {
	pack := new(book.Pack)
	m := &Machine{
		volume: volume, volumes: volumes, first: id.Compose(0, id.FirstSlot(volume, volumes), [9]byte{}),
		accounts: book.NewRows(accountSchema(pack)), branches: book.NewRows(branchSchema(pack)),
		credits: book.NewRows(creditSchema), keys: book.NewKeys(keyTable),
	}
	m.rows.m = m
	m.verbs = branch.New(plans{m})
	return m
}

// Version implements book.Machine.
func (m *Machine) Version() uint32 { return 2 }

// Tables implements book.Machine.
func (m *Machine) Tables() []book.Table {
	return []book.Table{m.accounts, m.branches, m.credits, m.keys}
}

// Expire implements book.Machine. No table has due times: see BL4.
func (m *Machine) Expire(book.Table, book.Key) any { return nil }

// Own returns the id of one of this volume's own accounts.
func (m *Machine) Own(k Kind, c money.Currency) id.ID { return ownAccount(m.first, k, c) }

// owner reports whether x can be the account of an owner in this volume. No request can name any other.
func (m *Machine) owner(x id.ID) bool { return KindOf(x).owned() && x.Volume(m.volumes) == m.volume }

// scope shows the ledger one tenant's rows.
type scope struct {
	m      *Machine
	tenant id.Tenant
}

func (m *Machine) of(t id.Tenant) *scope {
	m.rows.tenant = t
	return &m.rows
}

func (s *scope) key(x id.ID) book.Key { return book.Key{Tenant: s.tenant, ID: x} }

// Account implements ledger.View. A volume's own account exists from the first entry on that needs it.
func (s *scope) Account(x id.ID) *ledger.Account {
	if a := s.m.accounts.Get(s.key(x)); a != nil {
		return &a.Account
	}
	if KindOf(x).own() {
		a := newAccount(x, Terms{Currency: ownCurrency(x)}, 0)
		return &a.Account
	}
	return nil
}

// Hold implements ledger.View.
func (s *scope) Hold(x id.ID) *ledger.Hold[id.ID] {
	if b := s.m.branches.Get(s.key(x)); b != nil && b.held() {
		return &b.Hold
	}
	return nil
}

// Touch implements book.Machine.
func (m *Machine) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case *Open:
		m.accounts.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Account})
	case *OpenOwner:
		m.keys.Touch(t, c.Key)
		m.touch(t, c.Key.Tenant, c.Owner.Facet(uint8(c.Kind)), m.Own(Suspense, c.Terms.Currency))
	case *AddCredit:
		m.credits.Touch(t, book.Key{Tenant: c.Key.Tenant, ID: c.ID})
		m.keys.Touch(t, c.Key)
		m.touch(t, c.Key.Tenant, c.Account, m.Own(Suspense, c.Amount.Currency))
	case *SetStatus:
		m.touch(t, c.Tenant, c.Account)
	case *Get:
		m.touch(t, c.Tenant, c.Account)
	case *GetCredit:
		m.credits.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
	case *branch.Try:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
	case *branch.Confirm:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
		m.touchOwn(t, c.Branch.Tenant, c.To, c.Amount.Currency, PaymentClearing)
	case *branch.Cancel:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
	case *branch.Add:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
		m.touchOwn(t, c.Branch.Tenant, c.Funding, c.Amount.Currency, Suspense)
	default:
		panic(fmt.Sprintf("balance: command %T", cmd))
	}
}

func (m *Machine) touch(t *book.Touch, tenant id.Tenant, accounts ...id.ID) {
	for _, x := range accounts {
		m.accounts.Touch(t, book.Key{Tenant: tenant, ID: x})
	}
}

func (m *Machine) touchBranch(t *book.Touch, tenant id.Tenant, branch, account id.ID) {
	m.branches.Touch(t, book.Key{Tenant: tenant, ID: branch})
	m.accounts.Touch(t, book.Key{Tenant: tenant, ID: account})
}

func (m *Machine) touchOwn(t *book.Touch, tenant id.Tenant, list []tcc.Funding, c money.Currency, always Kind) {
	m.touch(t, tenant, m.Own(always, c))
	for _, f := range list {
		if k, ok := parseOwn(f.From); ok {
			m.touch(t, tenant, m.Own(k, c))
		}
	}
}

// Decide implements book.Machine.
func (m *Machine) Decide(now clock.Micros, cmd any, out *book.Decision) {
	var err *fault.Error
	switch c := cmd.(type) {
	case *Open:
		err = m.open(c, out)
	case *OpenOwner:
		err = m.openOwner(c, out)
	case *AddCredit:
		err = m.addCredit(now, c, out)
	case *SetStatus:
		err = m.setStatus(c, out)
	case *Get:
		err = m.get(c, out)
	case *GetCredit:
		err = m.getCredit(c, out)
	default:
		if !m.verbs.Decide(now, cmd, out) {
			panic(fmt.Sprintf("balance: command %T", cmd))
		}
	}
	if err != nil {
		out.Refuse(err)
	}
}

// Public implements book.Machine: what happens to an account other than by payments is public.
func (m *Machine) Public(ev any) (id.Tenant, bool) {
	switch e := ev.(type) {
	case *accountOpened:
		return e.Tenant, true
	case *statusChanged:
		return e.Tenant, true
	case *credited:
		return e.Tenant, true
	}
	return 0, false
}

// EachAccount calls f for every account in memory: for verify, which loads everything.
func (m *Machine) EachAccount(f func(book.Key, *Account)) { m.accounts.Each(f) }

// EachBranch calls f for every branch in memory: for verify, which loads everything.
func (m *Machine) EachBranch(f func(book.Key, *Branch)) { m.branches.Each(f) }
