package balance

import (
	"fmt"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// The commands. A day is the business day of the time the request takes effect at, in the tenant's calendar.
type (
	// Open opens an account of an owner who exists. Opening it again with the same terms is no error. The reply is an
	// Account. Refused with: account_not_found (the id is no owner's account here), account_exists (other terms),
	// invalid_currency, invalid_request.
	Open struct {
		Tenant  id.Tenant
		Account id.ID
		Terms   Terms
	}
	// OpenOwner names a new owner and opens an account, with an amount out of suspense if Opening is above zero. The
	// reply is the owner's id.ID: of the first request with the key. Refused as Open is, and with
	// idempotency_key_reused, invalid_amount, limit_exceeded.
	OpenOwner struct {
		Key         book.Key
		Print       Print // of the caller's body
		Owner       id.ID // the id to use if the key is new
		Kind        Kind
		Terms       Terms
		Opening     int64 // minor units
		EffectiveAt clock.Micros
		Day         ledger.Day
	}
	// AddCredit adds to an account out of suspense, for an operator. The reply is a Credit, or Repeated if the key is
	// known. Refused with: idempotency_key_reused, account_not_found, and what ledger.Account.CanReceive says.
	AddCredit struct {
		Key         book.Key
		Print       Print
		ID          id.ID // the credit's id, if the key is new
		Account     id.ID
		Amount      money.Amount
		EffectiveAt clock.Micros
		Day         ledger.Day
	}
	// Repeated says that the key stands for a credit already: ask for it with GetCredit.
	Repeated struct{ ID id.ID }
	// SetStatus suspends an account, lifts the suspension (ledger.Open) or closes it. Where the status is that
	// already, nothing happens. The reply is the Account. Refused with: account_not_found, and what
	// ledger.Account.CanBecome says.
	SetStatus struct {
		Tenant  id.Tenant
		Account id.ID
		Status  ledger.Status
	}
	// Get reads an account, a volume's own too. The reply is an Account. Refused with account_not_found.
	Get struct {
		Tenant  id.Tenant
		Account id.ID
	}
	// GetCredit reads a credit. The reply is a Credit, or its refusal. It must exist.
	GetCredit struct {
		Tenant id.Tenant
		ID     id.ID
	}
	// Try, Confirm, Cancel and Add are the verbs of package tcc. The reply is a tcc.Receipt.
	Try struct {
		tcc.TryRequest
		Day ledger.Day
	}
	// Confirm is described with Try.
	Confirm struct {
		tcc.ConfirmRequest
		Day ledger.Day
	}
	// Cancel is described with Try.
	Cancel struct {
		tcc.CancelRequest
		Day ledger.Day
	}
	// Add is described with Try.
	Add struct {
		tcc.AddRequest
		Day ledger.Day
	}
)

// entry is a journal entry of one book; accounts and holds are named by their ids.
type entry = ledger.Entry[id.ID]

// The events. Each carries the outcome of a decision; nothing in them is decided again.
type (
	accountOpened struct {
		Tenant      id.Tenant
		Account     id.ID
		Terms       Terms
		Opening     int64
		EffectiveAt clock.Micros
		Key         id.ID // nil: opened without one
		Print       Print
		Entry       entry // none if Opening is 0
	}
	statusChanged struct {
		Tenant    id.Tenant
		Account   id.ID
		Currency  money.Currency
		Status    ledger.Status
		Posted    int64
		Available int64
	}
	credited struct {
		Tenant      id.Tenant
		ID, Account id.ID
		Amount      money.Amount
		EffectiveAt clock.Micros
		Key         id.ID
		Print       Print
		Entry       entry
		Status      ledger.Status
		Posted      int64
		Available   int64
	}
	creditRefused struct {
		Tenant        id.Tenant
		ID, Account   id.ID
		Amount        money.Amount
		EffectiveAt   clock.Micros
		Key           id.ID
		Print         Print
		Code, Message string
	}
	// part is what the events of a branch have in common.
	part struct {
		Tenant          id.Tenant
		Branch, Account id.ID
		Purpose         tcc.Purpose
		EffectiveAt     clock.Micros
	}
	tryHeld struct {
		part
		Amount    money.Amount
		NotAfter  clock.Micros
		Print     Print
		Entry     entry
		Available int64
	}
	tryRefused struct {
		part
		Amount        money.Amount
		NotAfter      clock.Micros
		Print         Print
		Code, Message string
	}
	confirmed struct {
		part
		Capture   uint32
		Amount    money.Amount
		Print     Print
		Entry     entry
		Available int64
	}
	cancelled struct {
		part
		Currency  money.Currency
		NotAfter  clock.Micros
		Entry     entry // none for a tombstone
		Available int64
	}
	added struct {
		part
		Amount        money.Amount
		Origin        id.ID
		Print         Print
		Entry         entry // none if it came from suspense and stayed there
		Available     int64
		Code, Message string // why it stands in suspense
	}
)

// Machine is the machine of one volume's book.
type Machine struct {
	volume, volumes int

	accounts *book.Rows[Account]
	branches *book.Rows[Branch]
	credits  *book.Rows[Credit]
	keys     *book.Keys

	rows    scope   // lent to the ledger, one call at a time
	scratch scratch // what Encode works with
	printer printer
}

var _ book.Machine = (*Machine)(nil)

// NewMachine returns the machine of one of the service's volumes, without rows.
func NewMachine(volume, volumes int) *Machine {
	m := &Machine{volume: volume, volumes: volumes, accounts: book.NewRows(accountSchema), branches: book.NewRows(branchSchema),
		credits: book.NewRows(creditSchema), keys: book.NewKeys(keyTable)}
	m.rows.m = m
	return m
}

// Version implements book.Machine.
func (m *Machine) Version() uint32 { return 1 }

// Tables implements book.Machine.
func (m *Machine) Tables() []book.Table {
	return []book.Table{m.accounts, m.branches, m.credits, m.keys}
}

// Expire implements book.Machine. No table has due times: see BL4.
func (m *Machine) Expire(book.Table, book.Key) any { return nil }

// Own returns the id of one of this volume's own accounts.
func (m *Machine) Own(k Kind, c money.Currency) id.ID { return OwnAccount(k, c, m.volume, m.volumes) }

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

// editor lets an event change rows; at is the time of its block.
type editor struct {
	*scope
	at clock.Micros
}

// EditAccount implements ledger.Rows.
func (e editor) EditAccount(x id.ID) *ledger.Account {
	a := e.m.accounts.Edit(e.key(x))
	switch {
	case a.Status != 0:
	case KindOf(x).own():
		*a = newAccount(x, Terms{Currency: ownCurrency(x)}, e.at)
	default:
		return nil
	}
	return &a.Account
}

// EditHold implements ledger.Rows.
func (e editor) EditHold(x id.ID) *ledger.Hold[id.ID] { return &e.m.branches.Edit(e.key(x)).Hold }

// Touch implements book.Machine.
func (m *Machine) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case *Open:
		m.accounts.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Account})
	case *OpenOwner:
		m.keys.Touch(t, c.Key)
		m.touch(t, c.Key.Tenant, c.Owner.Facet(uint8(c.Kind)), m.Own(Suspense, c.Terms.Currency))
	case *AddCredit:
		m.touchCredit(t, c.Key.Tenant, c.ID, c.Key.ID)
		m.touch(t, c.Key.Tenant, c.Account, m.Own(Suspense, c.Amount.Currency))
	case *SetStatus:
		m.touch(t, c.Tenant, c.Account)
	case *Get:
		m.touch(t, c.Tenant, c.Account)
	case *GetCredit:
		m.credits.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
	case *Try:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
	case *Confirm:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
		m.touchOwn(t, c.Branch.Tenant, c.To, c.Amount.Currency, PaymentClearing)
	case *Cancel:
		m.touchBranch(t, c.Branch.Tenant, c.Branch.ID, c.Account)
	case *Add:
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
	case *Try:
		err = m.try(now, c, out)
	case *Confirm:
		err = m.confirm(now, c, out)
	case *Cancel:
		err = m.cancel(now, c, out)
	case *Add:
		err = m.add(now, c, out)
	default:
		panic(fmt.Sprintf("balance: command %T", cmd))
	}
	if err != nil {
		out.Refuse(err)
	}
}

// TouchEvent implements book.Machine.
func (m *Machine) TouchEvent(ev any, t *book.Touch) {
	switch e := ev.(type) {
	case *accountOpened:
		m.touchEntry(t, e.Tenant, e.Account, &e.Entry)
		if !e.Key.IsNil() {
			m.keys.Touch(t, book.Key{Tenant: e.Tenant, ID: e.Key})
		}
	case *statusChanged:
		m.touch(t, e.Tenant, e.Account)
	case *credited:
		m.touchCredit(t, e.Tenant, e.ID, e.Key)
		m.touchEntry(t, e.Tenant, e.Account, &e.Entry)
	case *creditRefused:
		m.touchCredit(t, e.Tenant, e.ID, e.Key)
	case *tryHeld:
		m.touchPart(t, &e.part, &e.Entry)
	case *tryRefused:
		m.touchPart(t, &e.part, nil)
	case *confirmed:
		m.touchPart(t, &e.part, &e.Entry)
	case *cancelled:
		m.touchPart(t, &e.part, &e.Entry)
	case *added:
		m.touchPart(t, &e.part, &e.Entry)
	default:
		panic(fmt.Sprintf("balance: event %T", ev))
	}
}

func (m *Machine) touchPart(t *book.Touch, p *part, e *entry) {
	m.branches.Touch(t, book.Key{Tenant: p.Tenant, ID: p.Branch})
	if e != nil {
		m.touchEntry(t, p.Tenant, p.Account, e)
	}
}

func (m *Machine) touchEntry(t *book.Touch, tenant id.Tenant, account id.ID, e *entry) {
	m.touch(t, tenant, account)
	for i := range e.Legs {
		m.touch(t, tenant, e.Legs[i].Account)
	}
}

func (m *Machine) touchCredit(t *book.Touch, tenant id.Tenant, credit, key id.ID) {
	m.credits.Touch(t, book.Key{Tenant: tenant, ID: credit})
	m.keys.Touch(t, book.Key{Tenant: tenant, ID: key})
}

// Apply implements book.Machine.
func (m *Machine) Apply(at clock.Micros, seq uint64, ev any) {
	switch e := ev.(type) {
	case *accountOpened:
		m.applyOpened(at, e)
	case *statusChanged:
		m.accounts.Edit(book.Key{Tenant: e.Tenant, ID: e.Account}).Become(e.Status)
	case *credited:
		m.post(e.Tenant, at, &e.Entry)
		m.putKey(e.Tenant, e.Key, book.KeyEntry{Target: e.ID, Fingerprint: e.Print, At: at})
		*m.credits.Edit(book.Key{Tenant: e.Tenant, ID: e.ID}) = e.row(at, seq)
	case *creditRefused:
		m.putKey(e.Tenant, e.Key, book.KeyEntry{Target: e.ID, Fingerprint: e.Print, At: at})
		*m.credits.Edit(book.Key{Tenant: e.Tenant, ID: e.ID}) = Credit{Account: e.Account, Amount: e.Amount,
			EffectiveAt: e.EffectiveAt, Seq: seq, At: at, Code: e.Code, Message: e.Message}
	case *tryHeld:
		m.post(e.Tenant, at, &e.Entry)
		b := m.edit(&e.part, e.Amount.Currency)
		b.become(Held)
		b.Print, b.First = e.Print, Answer{seq, at, e.Available}
	case *tryRefused:
		b := m.edit(&e.part, e.Amount.Currency)
		b.become(Refused)
		b.Hold.Account, b.Hold.Amount = e.Account, e.Amount.Minor
		b.Print, b.First, b.Code, b.Message = e.Print, Answer{Seq: seq, At: at}, e.Code, e.Message
	case *confirmed:
		m.applyConfirmed(at, seq, e)
	case *cancelled:
		m.post(e.Tenant, at, &e.Entry)
		b := m.edit(&e.part, e.Currency)
		b.become(Cancelled)
		b.Hold.Account, b.Last = e.Account, Answer{seq, at, e.Available}
	case *added:
		m.post(e.Tenant, at, &e.Entry)
		b := m.edit(&e.part, e.Amount.Currency)
		b.become(Added)
		b.Hold.Account, b.Hold.Amount = e.Account, e.Amount.Minor
		b.Print, b.First, b.Code, b.Message = e.Print, Answer{seq, at, e.Available}, e.Code, e.Message
	default:
		panic(fmt.Sprintf("balance: event %T", ev))
	}
}

func (m *Machine) applyOpened(at clock.Micros, e *accountOpened) {
	a := m.accounts.Edit(book.Key{Tenant: e.Tenant, ID: e.Account})
	if a.Status != 0 {
		panic("balance: an account was opened twice")
	}
	*a = newAccount(e.Account, e.Terms, at)
	m.post(e.Tenant, at, &e.Entry)
	if !e.Key.IsNil() {
		m.putKey(e.Tenant, e.Key, book.KeyEntry{Target: e.Account.Root(), Fingerprint: e.Print, At: at})
	}
}

func (m *Machine) applyConfirmed(at clock.Micros, seq uint64, e *confirmed) {
	m.post(e.Tenant, at, &e.Entry)
	b := m.edit(&e.part, e.Amount.Currency)
	b.Captures = append(b.Captures, Capture{e.Capture, e.Amount.Minor, e.Print, Answer{seq, at, e.Available}})
	if b.Hold.Ended() {
		b.become(Confirmed)
	} else {
		b.become(Held)
	}
}

// post applies the entry of an event, if it has one.
func (m *Machine) post(t id.Tenant, at clock.Micros, e *entry) {
	if len(e.Legs)+len(e.Holds) > 0 {
		ledger.Apply(editor{m.of(t), at}, *e)
	}
}

func (m *Machine) putKey(t id.Tenant, key id.ID, e book.KeyEntry) {
	m.keys.Put(book.Key{Tenant: t, ID: key}, e)
}

// edit returns the branch of an event, to be changed.
func (m *Machine) edit(p *part, c money.Currency) *Branch {
	b := m.branches.Edit(book.Key{Tenant: p.Tenant, ID: p.Branch})
	if b.Status == 0 {
		b.Currency, b.Purpose, b.EffectiveAt = c, p.Purpose, p.EffectiveAt
	}
	return b
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
