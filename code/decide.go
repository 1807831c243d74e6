package code

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
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

// checkRequest refuses what is not well formed. That leaves no trace; any other refusal of a Try is an event, and a
// duplicate gets it again.
func checkRequest(b tcc.Branch, amount money.Amount) *fault.Error {
	switch {
	case b.ID.Part() == 0:
		return fault.InvalidID.New("a branch is a part of a payment, and this is none").WithParam("branch")
	case !amount.Currency.IsISO():
		return fault.InvalidCurrency.New("").WithParam("amount.currency")
	case amount.Minor <= 0:
		return fault.InvalidAmount.New("").WithParam("amount")
	case amount.Minor > money.MaxStored:
		return fault.AmountOverflow.New("").WithParam("amount")
	}
	return nil
}

func (m *Machine) decideTry(now clock.Micros, c *tcc.TryRequest, out *book.Decision) {
	if err := checkRequest(c.Branch, c.Amount); err != nil {
		out.Refuse(err)
		return
	}
	print := printTry(c)
	if b := m.branches.Get(key(c.Branch.Tenant, c.Branch.ID)); b != nil {
		b.repeatTry(print, out)
		return
	}
	err := m.sessions.Get(key(c.Branch.Tenant, c.Account)).admit(now, c)
	if now > c.NotAfter {
		err = fault.TryTooLate.New("")
	}
	if err != nil {
		out.Emit(&refused{about(c.Branch, c.Account), print, Refusal{string(err.Code), err.Message, err.Param}})
		out.Refuse(err)
		return
	}
	out.Emit(&tried{
		branchOf: about(c.Branch, c.Account), Print: print, Amount: c.Amount, NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt,
	})
	out.Reply(Answer{out.Seq, now}.receipt(out.Book))
}

// repeatTry answers a Try whose branch is known.
func (b *Branch) repeatTry(print [16]byte, out *book.Decision) {
	switch {
	case b.First.Seq == 0:
		out.Refuse(fault.TryAfterCancel.New(""))
	case b.Print != print:
		out.Refuse(fault.IDReused.New("the branch was used for another request"))
	case b.Status == Refused:
		out.Refuse(b.Refusal.fault())
	case b.Status == Cancelled: // "done" would be a lie by now (I14)
		out.Refuse(fault.TryAfterCancel.New(""))
	default:
		out.Reply(b.First.receipt(out.Book))
	}
}

// decideConfirm uses the session up with the first capture. Later captures of the same payment change nothing more.
func (m *Machine) decideConfirm(now clock.Micros, c *tcc.ConfirmRequest, out *book.Decision) {
	if err := checkRequest(c.Branch, c.Amount); err != nil {
		out.Refuse(err)
		return
	}
	b := m.branches.Get(key(c.Branch.Tenant, c.Branch.ID))
	print := printConfirm(c)
	switch {
	case b == nil || b.Status == Refused:
		out.Refuse(fault.NotTried.New(""))
	case b.Status == Cancelled:
		out.Refuse(fault.AlreadyCancelled.New(""))
	case b.Session != c.Account || b.Status == Confirmed && b.Capture == c.Capture && b.Taken != print:
		out.Refuse(fault.IDReused.New("the branch was used for another request"))
	case b.Amount.Currency != c.Amount.Currency:
		out.Refuse(fault.CurrencyMismatch.New("").WithParam("amount.currency"))
	case c.Amount.Minor > b.Amount.Minor:
		out.Refuse(fault.ExceedsHold.New("%v is more than the %v that the session was reserved for", c.Amount, b.Amount))
	case b.Status == Confirmed:
		out.Reply(b.End.receipt(out.Book))
	default:
		s := m.sessions.Get(key(c.Branch.Tenant, c.Account))
		out.Emit(&confirmed{
			branchOf: about(c.Branch, c.Account), Print: print, Capture: c.Capture, Customer: s.Customer, Merchant: s.Merchant,
			Currency: s.Currency, Minor: s.Minor, ExpiresAt: s.ExpiresAt, EffectiveAt: c.EffectiveAt,
		})
		out.Reply(Answer{out.Seq, now}.receipt(out.Book))
	}
}

func (m *Machine) decideCancel(now clock.Micros, c *tcc.CancelRequest, out *book.Decision) {
	if c.Branch.ID.Part() == 0 {
		out.Refuse(fault.InvalidID.New("a branch is a part of a payment, and this is none").WithParam("branch"))
		return
	}
	b := m.branches.Get(key(c.Branch.Tenant, c.Branch.ID))
	ev := &cancelled{branchOf: about(c.Branch, c.Account), NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt}
	switch {
	case b == nil: // the Try never came, and must not come any more
	case b.Status == Cancelled:
		out.Reply(b.End.receipt(out.Book))
		return
	case b.Status == Refused: // nothing was reserved, and nothing ever will be
		out.Reply(b.First.receipt(out.Book))
		return
	case b.Status == Confirmed:
		out.Refuse(fault.AlreadyConfirmed.New(""))
		return
	case b.Session != c.Account:
		out.Refuse(fault.IDReused.New("the branch was used for another request"))
		return
	default:
		ev.Released, ev.ExpiresAt = true, now+m.rules.Idle
	}
	out.Emit(ev)
	out.Reply(Answer{out.Seq, now}.receipt(out.Book))
}

// printTry and printConfirm tell requests under one id apart: the first half of a SHA-256 over all that they say.
func printTry(c *tcc.TryRequest) [16]byte {
	var room [128]byte
	b := append(room[:0], 't')
	b = appendAll(append(b, c.Account[:]...), c.Amount.Minor, int64(c.Amount.Currency), int64(c.Purpose), int64(c.NotAfter), int64(c.EffectiveAt))
	return half16(append(append(b, c.Customer[:]...), c.Merchant[:]...))
}

func printConfirm(c *tcc.ConfirmRequest) [16]byte {
	var room [128]byte
	final := int64(0)
	if c.Final {
		final = 1
	}
	b := append(room[:0], 'c')
	b = appendAll(append(b, c.Account[:]...), c.Amount.Minor, int64(c.Amount.Currency), final, int64(c.EffectiveAt), int64(len(c.To)))
	for _, f := range c.To {
		b = append(appendAll(b, f.Amount.Minor, int64(f.Amount.Currency), int64(len(f.From))), f.From...)
	}
	return half16(b)
}

func appendAll(b []byte, list ...int64) []byte {
	for _, n := range list {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func half16(b []byte) [16]byte {
	s := sha256.Sum256(b)
	return [16]byte(s[:16])
}
