package balance

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// editor lets an event change rows; at is the time of its block.
type editor struct {
	*scope
	at clock.Micros
}

// EditAccount implements ledger.Rows.
func (e *editor) EditAccount(x id.ID) *ledger.Account {
	if !KindOf(x).own() {
		return &e.m.accounts.Have(e.key(x)).Account
	}
	a := e.m.accounts.Edit(e.key(x))
	if a.Status == 0 {
		*a = newAccount(x, Terms{Currency: ownCurrency(x)}, e.at)
	}
	return &a.Account
}

// EditHold implements ledger.Rows.
func (e *editor) EditHold(x id.ID) *ledger.Hold[id.ID] { return &e.m.branches.Edit(e.key(x)).Hold }

// TouchEvent implements book.Machine. Keys are not among what it declares: an event writes them once and reads none, and a book
// that recovers would read its whole index for each.
func (m *Machine) TouchEvent(ev any, t *book.Touch) {
	switch e := ev.(type) {
	case *accountOpened:
		m.touchEntry(t, e.Tenant, e.Account, &e.Entry)
	case *statusChanged:
		m.touch(t, e.Tenant, e.Account)
	case *credited:
		m.credits.Touch(t, book.Key{Tenant: e.Tenant, ID: e.ID})
		m.touchEntry(t, e.Tenant, e.Account, &e.Entry)
	case *creditRefused:
		m.credits.Touch(t, book.Key{Tenant: e.Tenant, ID: e.ID})
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

// Apply implements book.Machine.
func (m *Machine) Apply(at clock.Micros, seq uint64, ev any) {
	switch e := ev.(type) {
	case *accountOpened:
		m.applyOpened(at, e)
	case *statusChanged:
		m.accounts.Have(book.Key{Tenant: e.Tenant, ID: e.Account}).Become(e.Status)
	case *credited:
		m.post(e.Tenant, at, &e.Entry)
		m.putKey(e.Tenant, e.Key, book.KeyEntry{Target: e.ID, Fingerprint: e.Print, At: at})
		*m.credits.Edit(book.Key{Tenant: e.Tenant, ID: e.ID}) = e.row(at, seq)
	case *creditRefused:
		m.putKey(e.Tenant, e.Key, book.KeyEntry{Target: e.ID, Fingerprint: e.Print, At: at})
		*m.credits.Edit(book.Key{Tenant: e.Tenant, ID: e.ID}) = Credit{
			Account: e.Account, Amount: e.Amount,
			EffectiveAt: e.EffectiveAt, Seq: seq, At: at, Code: e.Code, Message: e.Message,
		}
	case *tryHeld:
		m.post(e.Tenant, at, &e.Entry)
		m.edit(&e.part, e.Amount.Currency).Row.Hold(e.Account, e.Print, branch.Answer{Seq: seq, At: at, Available: e.Available})
	case *tryRefused:
		b := m.edit(&e.part, e.Amount.Currency)
		b.Hold.Amount = e.Amount.Minor
		b.Refuse(e.Account, e.Print, e.Refusal, branch.Answer{Seq: seq, At: at})
	case *confirmed:
		m.applyConfirmed(at, seq, e)
	case *cancelled:
		if len(e.Entry.Holds) > 0 {
			m.branches.Have(book.Key{Tenant: e.Tenant, ID: e.Branch})
		}
		m.post(e.Tenant, at, &e.Entry)
		m.edit(&e.part, e.Currency).Cancel(e.Account, branch.Answer{Seq: seq, At: at, Available: e.Available})
	case *added:
		m.post(e.Tenant, at, &e.Entry)
		b := m.edit(&e.part, e.Amount.Currency)
		b.Hold.Amount = e.Amount.Minor
		b.Add(e.Account, e.Print, e.Refusal, branch.Answer{Seq: seq, At: at, Available: e.Available, Suspense: e.Refusal.Code != ""})
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
	m.branches.Have(book.Key{Tenant: e.Tenant, ID: e.Branch})
	m.post(e.Tenant, at, &e.Entry)
	b := m.edit(&e.part, e.Amount.Currency)
	b.Capture(branch.Capture{
		Number: e.Capture, Amount: e.Amount.Minor, Print: e.Print, Answer: branch.Answer{Seq: seq, At: at, Available: e.Available},
	}, b.Hold.Ended())
}

// post applies the entry of an event, if it has one.
func (m *Machine) post(t id.Tenant, at clock.Micros, e *entry) {
	if len(e.Legs)+len(e.Holds) > 0 {
		m.edits = editor{m.of(t), at}
		ledger.Apply(&m.edits, *e)
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
