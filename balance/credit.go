package balance

import (
	"cmp"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// Print tells a caller's requests under one key apart: the first 16 bytes of an HMAC over all that a request says.
type Print [16]byte

// Credit is what became of an operator's credit: the row, and the reply to every request with its key.
type Credit struct {
	Account     id.ID
	Amount      money.Amount
	EffectiveAt clock.Micros
	Seq         uint64 // of the block
	At          clock.Micros

	// The account afterwards; minor units.
	Status    ledger.Status
	Posted    int64
	Available int64

	Code    string // of a credit that was refused
	Message string
}

// refusal returns the fault that the credit was refused with, or nil.
func (c *Credit) refusal() *fault.Error { return refusal(c.Code, c.Message) }

func refusal(code, message string) *fault.Error {
	if code == "" {
		return nil
	}
	return fault.Decode(code, string(fault.Code(code).Kind()), message, "")
}

func (m *Machine) addCredit(now clock.Micros, c *AddCredit, out *book.Decision) *fault.Error {
	if known, err := m.known(c.Key, c.Print); known != nil || err != nil {
		if err == nil {
			out.Reply(Repeated{known.Target})
		}
		return err
	}
	if err := checkAmount(c.Amount); err != nil {
		return err
	}
	e, err := m.planCredit(c)
	if err != nil {
		out.Emit(&creditRefused{
			Tenant: c.Key.Tenant, ID: c.ID, Account: c.Account, Amount: c.Amount, EffectiveAt: c.EffectiveAt,
			Key: c.Key.ID, Print: c.Print, Code: string(err.Code), Message: err.Message,
		})
		return err
	}
	a := m.account(c.Key.Tenant, c.Account)
	ev := &credited{
		Tenant: c.Key.Tenant, ID: c.ID, Account: c.Account, Amount: c.Amount, EffectiveAt: c.EffectiveAt,
		Key: c.Key.ID, Print: c.Print, Entry: e, Status: a.Status, Posted: a.Posted() + c.Amount.Minor,
		Available: a.Available() + c.Amount.Minor,
	}
	out.Emit(ev)
	out.Reply(ev.row(now, out.Seq))
	return nil
}

func (m *Machine) planCredit(c *AddCredit) (entry, *fault.Error) {
	if !m.owner(c.Account) {
		return entry{}, fault.AccountNotFound.New("")
	}
	s := m.of(c.Key.Tenant)
	e, err := ledger.Plan(s, c.Day, ledger.Move(m.Own(Suspense, c.Amount.Currency), c.Account, c.Amount))
	if err == nil {
		err = cmp.Or(canReceive(m.account(c.Key.Tenant, c.Account), c.Amount, c.Day), m.canBringIn(s, c.Amount))
	}
	return e, err
}

func (e *credited) row(at clock.Micros, seq uint64) Credit {
	return Credit{
		Account: e.Account, Amount: e.Amount, EffectiveAt: e.EffectiveAt, Seq: seq, At: at, Status: e.Status,
		Posted: e.Posted, Available: e.Available,
	}
}

func (m *Machine) getCredit(c *GetCredit, out *book.Decision) *fault.Error {
	row := m.credits.Get(book.Key{Tenant: c.Tenant, ID: c.ID})
	if row == nil {
		return fault.DataDamaged.New("a key stands for a credit that does not exist")
	}
	out.Reply(*row)
	return row.refusal()
}
