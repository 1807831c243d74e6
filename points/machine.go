package points

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// Commands are pointers to one of these, or to those of package branch.
type (
	// Open opens the points account of an owner, or finds it open. The reply is its View when it was opened.
	Open struct {
		Tenant id.Tenant
		Owner  id.ID
	}
	// Grant adds a lot, against suspense. The reply is a Granted; under a key that was used before with the same
	// fingerprint, a Repeated.
	Grant struct {
		Tenant      id.Tenant
		Key         id.ID    // the caller's, as an HMAC; its scope is the account
		Fingerprint [16]byte // of the caller's request
		ID          id.ID    // a fresh id in the account's slot
		Account     id.ID
		Amount      money.Amount
		Class       Class
		ExpiresAt   clock.Micros // 0: never
		EffectiveAt clock.Micros
	}
	// ReadGrant reads what a Grant was answered with. The reply is a Granted, or the refusal.
	ReadGrant struct {
		Tenant id.Tenant
		ID     id.ID
	}
	// SetStatus suspends an account, lifts that, or closes it. The reply is its View.
	SetStatus struct {
		Tenant  id.Tenant
		Account id.ID
		Status  ledger.Status
	}
	// Read reads an account. The reply is its View.
	Read struct {
		Tenant  id.Tenant
		Account id.ID
	}
	// expire books the lots of an account that have expired. It has no reply.
	expire struct{ key book.Key }
)

// Granted is the reply to a Grant.
type Granted struct {
	ID      id.ID
	Account View // afterwards, without its lots
	Lot     Part
	Book    string
	Seq     uint64
	At      clock.Micros
}

// Repeated is the reply to a command whose key was used before: what it made then.
type Repeated struct{ ID id.ID }

// Machine is the deterministic half of the service: one per volume.
type Machine struct {
	volume   int
	volumes  int
	rules    RuleSet
	accounts *book.Rows[Account]
	branches *book.Rows[Branch]
	grants   *book.Rows[GrantRow]
	keys     *book.Keys
	first    id.ID // of the volume

	// Memory that is used again with every command: what the ledger is lent, one call at a time, and the events of a payment,
	// each of which is encoded and applied before the next command is decided.
	rows   scope
	verbs  *branch.Branches
	events struct {
		tried     tried
		confirmed confirmed
	}
}

var _ book.Machine = (*Machine)(nil)

// NewMachine returns the machine of one of the service's volumes, without state.
func NewMachine(volume, volumes int, rules RuleSet) *Machine {
	pack := new(book.Pack)
	m := &Machine{
		volume: volume, volumes: volumes, rules: rules,
		accounts: book.NewRows(accountSchema(pack)), branches: book.NewRows(branchSchema(pack)), grants: book.NewRows(grantSchema),
		keys: book.NewKeys(keyTable), first: id.Compose(0, id.FirstSlot(volume, volumes), [9]byte{}),
	}
	m.verbs = branch.New(plans{m})
	return m
}

// Version implements book.Machine.
func (m *Machine) Version() uint32 { return 2 }

// Tables implements book.Machine.
func (m *Machine) Tables() []book.Table {
	return []book.Table{m.accounts, m.branches, m.grants, m.keys}
}

// Expire implements book.Machine: accounts are due when a lot expires.
func (m *Machine) Expire(_ book.Table, k book.Key) any { return &expire{k} }

// Public implements book.Machine. What a payment does is announced by the payment itself.
func (m *Machine) Public(ev any) (id.Tenant, bool) {
	switch e := ev.(type) {
	case *opened:
		return e.Tenant, true
	case *granted:
		return e.Tenant, true
	case *expired:
		return e.Tenant, true
	}
	return 0, false
}

// Touch implements book.Machine.
func (m *Machine) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case *branch.Try:
		m.touch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
	case *branch.Confirm:
		m.touch(t, c.Branch.Tenant, c.Branch.ID, c.Account, Redeemed, Expired, Suspense)
	case *branch.Cancel:
		m.touch(t, c.Branch.Tenant, c.Branch.ID, c.Account, Expired)
	case *branch.Add:
		m.touch(t, c.Branch.Tenant, c.Branch.ID, c.Account, Redeemed, Expired, Suspense)
		if !c.Origin.IsNil() {
			m.branches.Touch(t, book.Key{Tenant: c.Branch.Tenant, ID: c.Origin})
		}
	case *Open:
		m.touch(t, c.Tenant, id.Nil, c.Owner.Facet(tcc.PointsAccount))
	case *Grant:
		m.touch(t, c.Tenant, id.Nil, c.Account, Suspense)
		m.keys.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Key})
		m.grants.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
	case *ReadGrant:
		m.grants.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
	case *SetStatus:
		m.touch(t, c.Tenant, id.Nil, c.Account)
	case *Read:
		m.touch(t, c.Tenant, id.Nil, c.Account)
	case *expire:
		m.touch(t, c.key.Tenant, id.Nil, c.key.ID, Expired)
	default:
		panic(fmt.Sprintf("points: there is no command %T", cmd))
	}
}

// touch declares the rows that almost every command and event needs.
func (m *Machine) touch(t *book.Touch, tenant id.Tenant, branch, account id.ID, own ...Kind) {
	m.accounts.Touch(t, book.Key{Tenant: tenant, ID: account})
	for _, k := range own {
		m.accounts.Touch(t, m.own(tenant, k))
	}
	if !branch.IsNil() {
		m.branches.Touch(t, book.Key{Tenant: tenant, ID: branch})
	}
}

// own returns the key of one of the volume's own accounts.
func (m *Machine) own(tenant id.Tenant, k Kind) book.Key {
	return book.Key{Tenant: tenant, ID: m.ownID(k)}
}

func (m *Machine) ownID(k Kind) id.ID { return m.first.Facet(uint8(k)) }

// Decide implements book.Machine.
func (m *Machine) Decide(now clock.Micros, cmd any, out *book.Decision) {
	switch c := cmd.(type) {
	case *Open:
		m.decideOpen(now, c, out)
	case *Grant:
		m.decideGrant(now, c, out)
	case *ReadGrant:
		m.decideReadGrant(c, out)
	case *SetStatus:
		m.decideStatus(now, c, out)
	case *Read:
		m.decideRead(now, c, out)
	case *expire:
		m.decideExpire(now, c.key, out)
	default:
		if !m.verbs.Decide(now, cmd, out) {
			panic(fmt.Sprintf("points: there is no command %T", cmd))
		}
	}
}
