package code

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// Commands are pointers to one of these, or to those of package branch; their account is the session.
type (
	// Register gives a merchant a store id. The reply is a ShopFound; under a key that was used before with the same
	// fingerprint, a Repeated.
	Register struct {
		Tenant      id.Tenant
		Key         id.ID // the caller's, as an HMAC
		Fingerprint [16]byte
		Merchant    id.ID  // a fresh id in this volume
		Details     []byte // name and address, for a note
	}
	// ReadShop reads the shop of a merchant. The reply is a ShopFound.
	ReadShop struct {
		Tenant   id.Tenant
		Merchant id.ID
	}
	// FindShop reads the shop with a store id. The reply is a ShopFound.
	FindShop struct{ Store Store }
	// Scan opens a session. The reply is a Session; under a key that was used before with the same fingerprint, a
	// Repeated.
	Scan struct {
		Tenant      id.Tenant
		Key         id.ID
		Fingerprint [16]byte
		ID          id.ID // a fresh id in this volume
		Customer    id.ID
		Merchant    id.ID
		Currency    money.Currency
		Minor       int64  // what the code carries, 0 for nothing
		Labels      []byte // what it says for the shop's books, for the session's note; nil if it says nothing
	}
	// ReadSession reads a session, or what the reply that opened it said. The reply is a Session.
	ReadSession struct {
		Tenant id.Tenant
		ID     id.ID
		First  bool
	}
	// expire ends a session that nobody paid in time. It has no reply.
	expire struct{ key book.Key }
)

// Repeated is the reply to a command whose key was used before: what it made then.
type Repeated struct{ ID id.ID }

// Rules are what sessions go by. They are read when something is decided, and the outcome goes into the event.
type Rules struct {
	Idle clock.Micros // how long a session waits for its payment
}

// DefaultRules give a payer five minutes.
var DefaultRules = Rules{Idle: 5 * clock.Minute}

// ShopRow is the row of one shop. Its key is the merchant.
type ShopRow struct {
	Number       int64
	Note         []byte // id of the note that holds name and address
	RegisteredAt clock.Micros
}

// ShopFound is a shop as commands are answered with it.
type ShopFound struct {
	Merchant id.ID
	Store    Store
	ShopRow
}

func (s *ShopRow) found(k book.Key) ShopFound {
	return ShopFound{k.ID, Store{k.Tenant, k.ID.Slot(), s.Number}, *s}
}

// numberRow leads from a shop's number to its merchant.
type numberRow struct{ Merchant id.ID }

// countRow counts the shops of a tenant in this volume.
type countRow struct{ Shops int64 }

// Machine is the deterministic half of the service: one per volume.
type Machine struct {
	volume, volumes int

	rules    Rules
	shops    *book.Rows[ShopRow]
	numbers  *book.Rows[numberRow]
	counts   *book.Rows[countRow]
	sessions *book.Rows[SessionRow]
	branches *book.Rows[Branch]
	keys     *book.Keys
	verbs    *branch.Branches
}

var _ book.Machine = (*Machine)(nil)

// NewMachine returns the machine of one of the service's volumes, without state.
func NewMachine(volume, volumes int, rules Rules) *Machine {
	m := &Machine{
		volume: volume, volumes: volumes, rules: rules,
		shops: book.NewRows(shopSchema), numbers: book.NewRows(numberSchema), counts: book.NewRows(countSchema),
		sessions: book.NewRows(sessionSchema), branches: book.NewRows(branchSchema(new(book.Pack))), keys: book.NewKeys(keyTable),
	}
	m.verbs = branch.New(plans{m})
	return m
}

// Version implements book.Machine.
func (m *Machine) Version() uint32 { return 2 }

// Tables implements book.Machine.
func (m *Machine) Tables() []book.Table {
	return []book.Table{m.shops, m.numbers, m.counts, m.sessions, m.branches, m.keys}
}

// Expire implements book.Machine: sessions are due when they expire.
func (m *Machine) Expire(_ book.Table, k book.Key) any { return &expire{k} }

// Public implements book.Machine. That a payment reserves a session or gives it back is announced by the payment.
func (m *Machine) Public(ev any) (id.Tenant, bool) {
	switch e := ev.(type) {
	case *sessionOpened:
		return e.Tenant, true
	case *sessionExpired:
		return e.Tenant, true
	case *confirmed:
		return e.Tenant, true
	}
	return 0, false
}

func key(t id.Tenant, x id.ID) book.Key { return book.Key{Tenant: t, ID: x} }

// count returns the key of the row that counts a tenant's shops. Its id lies before all that were made by the clock.
func (m *Machine) count(t id.Tenant) book.Key {
	return key(t, id.Compose(0, id.FirstSlot(m.volume, m.volumes), [9]byte{}).Facet(255))
}

// Touch implements book.Machine.
func (m *Machine) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case *branch.Try:
		m.touch(t, c.Branch, c.Account)
	case *branch.Confirm:
		m.touch(t, c.Branch, c.Account)
	case *branch.Cancel:
		m.touch(t, c.Branch, c.Account)
	case *Scan:
		m.keys.Touch(t, key(c.Tenant, c.Key))
		m.sessions.Touch(t, key(c.Tenant, c.ID))
	case *ReadSession:
		m.sessions.Touch(t, key(c.Tenant, c.ID))
	case *expire:
		m.sessions.Touch(t, c.key)
	case *Register:
		m.keys.Touch(t, key(c.Tenant, c.Key))
		m.shops.Touch(t, key(c.Tenant, c.Merchant))
		if m.counts.Touch(t, m.count(c.Tenant)) {
			m.numbers.Touch(t, key(c.Tenant, m.next(c.Tenant, c.Merchant).key()))
		}
	case *ReadShop:
		m.shops.Touch(t, key(c.Tenant, c.Merchant))
	case *FindShop:
		if k := key(c.Store.Tenant, c.Store.key()); m.numbers.Touch(t, k) && m.numbers.Get(k) != nil {
			m.shops.Touch(t, key(c.Store.Tenant, m.numbers.Get(k).Merchant))
		}
	default:
		panic(fmt.Sprintf("code: there is no command %T", cmd))
	}
}

func (m *Machine) touch(t *book.Touch, b tcc.Branch, session id.ID) {
	m.branches.Touch(t, key(b.Tenant, b.ID))
	m.sessions.Touch(t, key(b.Tenant, session))
}

// next returns the store id that the next shop of a tenant gets.
func (m *Machine) next(t id.Tenant, merchant id.ID) Store {
	n := int64(0)
	if c := m.counts.Get(m.count(t)); c != nil {
		n = c.Shops
	}
	return Store{t, merchant.Slot(), n + 1}
}

// Decide implements book.Machine.
func (m *Machine) Decide(now clock.Micros, cmd any, out *book.Decision) {
	switch c := cmd.(type) {
	case *Scan:
		m.decideScan(now, c, out)
	case *ReadSession:
		m.decideReadSession(now, c, out)
	case *expire:
		m.decideExpire(now, c.key, out)
	case *Register:
		m.decideRegister(now, c, out)
	case *ReadShop:
		m.replyShop(key(c.Tenant, c.Merchant), out)
	case *FindShop:
		m.decideFind(c, out)
	default:
		if !m.verbs.Decide(now, cmd, out) {
			panic(fmt.Sprintf("code: there is no command %T", cmd))
		}
	}
}
