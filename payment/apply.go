package payment

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Started says that a payment was accepted.
type Started struct {
	Caller
	Payment Payment
}

// Advanced says what participants answered, and where the payment stands since.
type Advanced struct {
	Tenant    id.Tenant
	ID        id.ID
	Parent    id.ID
	Operation id.ID
	Answers   []Answer
	Standing  Standing
}

// Deferred says that the queue has the payment, until it is due.
type Deferred struct {
	Tenant   id.Tenant
	ID       id.ID
	Due      clock.Micros
	Attempts uint32
	Code     fault.Code
}

// Decided says that a caller or the time decided what happens next.
type Decided struct {
	Caller
	Tenant    id.Tenant
	ID        id.ID
	Parent    id.ID
	Cause     Cause
	Operation id.ID
	Standing  Standing

	EffectiveAt clock.Micros // of a capture: its business time
}

// Declined says that an operation on a payment was refused.
type Declined struct {
	Caller
	Tenant    id.Tenant
	Payment   id.ID
	Operation id.ID
	Cause     Cause
	Code      fault.Code
	Status    Status // of the payment then
}

// TouchEvent implements book.Machine.
func (m *Machine) TouchEvent(ev any, t *book.Touch) {
	touch := func(tenant id.Tenant, ids ...id.ID) {
		for _, x := range ids {
			if !x.IsNil() {
				m.payments.Touch(t, book.Key{Tenant: tenant, ID: x})
			}
		}
	}
	switch e := ev.(type) {
	case Started:
		touch(e.Payment.Tenant, e.Payment.ID, e.Payment.Parent)
	case Advanced:
		touch(e.Tenant, e.ID, e.Parent)
		if !e.Operation.IsNil() {
			m.operations.Touch(t, book.Key{Tenant: e.Tenant, ID: e.Operation})
		}
	case Deferred:
		touch(e.Tenant, e.ID)
	case Decided:
		touch(e.Tenant, e.ID, e.Parent)
		if !e.Operation.IsNil() {
			m.operations.Touch(t, book.Key{Tenant: e.Tenant, ID: e.Operation})
		}
	case Declined:
		m.operations.Touch(t, book.Key{Tenant: e.Tenant, ID: e.Operation})
	}
}

// Apply implements book.Machine.
func (m *Machine) Apply(at clock.Micros, seq uint64, ev any) {
	switch e := ev.(type) {
	case Started:
		m.applyStarted(at, seq, e)
	case Advanced:
		p := m.edit(e.Tenant, e.ID, at, seq)
		p.ownParts()
		for _, a := range e.Answers {
			if x := p.part(a.Number); x != nil {
				x.merge(a)
			}
		}
		p.DeferredUntil, p.DeferredCode = 0, ""
		m.stand(p, e.Standing, at, seq)
	case Deferred:
		p := m.edit(e.Tenant, e.ID, at, seq)
		p.DeferredUntil, p.Attempts, p.DeferredCode = e.Due, e.Attempts, e.Code
	case Decided:
		p := m.edit(e.Tenant, e.ID, at, seq)
		p.DeferredUntil, p.DeferredCode, p.Attempts = 0, "", 0
		if e.EffectiveAt > 0 {
			p.CapturedAt = e.EffectiveAt
		}
		if !e.Operation.IsNil() {
			p.Operation = e.Operation
			*m.operations.Edit(book.Key{Tenant: e.Tenant, ID: e.Operation}) = Operation{Cause: e.Cause, Payment: e.ID}
			m.bind(e.Caller, e.Operation, at)
		}
		m.stand(p, e.Standing, at, seq)
	case Declined:
		*m.operations.Edit(book.Key{Tenant: e.Tenant, ID: e.Operation}) = Operation{
			Cause: e.Cause, Payment: e.Payment, Code: e.Code, DoneAt: at,
			Status: e.Status,
		}
		m.bind(e.Caller, e.Operation, at)
	default:
		panic(fmt.Sprintf("payment: unknown event %T", ev))
	}
}

func (m *Machine) bind(c Caller, target id.ID, at clock.Micros) {
	m.keys.Put(c.Key, book.KeyEntry{Target: target, Fingerprint: c.Fingerprint, At: at})
}

func (m *Machine) applyStarted(at clock.Micros, seq uint64, e Started) {
	p := e.Payment // shares Sources and Parts with the event
	p.CreatedAt, p.UpdatedAt = at, at
	p.Blocks = append(make([]uint64, 0, usualBlocks), seq)
	m.payments.Edit(book.Key{Tenant: p.Tenant, ID: p.ID}).Payment = &p
	m.bind(e.Caller, p.ID, at)
	if p.Parent.IsNil() {
		return
	}
	charge := m.payments.Have(book.Key{Tenant: p.Tenant, ID: p.Parent}).next()
	charge.ownSources()
	for i := range p.Parts {
		if x := &p.Parts[i]; x.Role == Add {
			s := &charge.Sources[x.Source-1]
			s.Refunding += shareOf(&p, x)
			if overgiven(s) {
				panic(fmt.Sprintf("payment: refund %x gives back more than was captured (PAY3)", p.ID))
			}
		}
	}
}

// shareOf returns what a refund's part gives back, in the payment's currency: the refund's sources are in the order of
// its adding parts.
func shareOf(p *Payment, x *Part) int64 { return p.Sources[x.Number-2].Amount }

// usualBlocks is how many blocks most payments have: they start, all parts are held, all is taken.
const usualBlocks = 3

// edit returns the next version of a payment, to be changed by an event in block seq.
func (m *Machine) edit(t id.Tenant, x id.ID, at clock.Micros, seq uint64) *Payment {
	p := m.payments.Have(book.Key{Tenant: t, ID: x}).next()
	p.UpdatedAt = at
	if n := len(p.Blocks); n == 0 || p.Blocks[n-1] != seq {
		p.Blocks = append(p.Blocks, seq)
	}
	return p
}

// stand moves a payment to where it stands now, and draws the consequences in amounts.
func (m *Machine) stand(p *Payment, to Standing, at clock.Micros, seq uint64) {
	if was := p.Decision; changed(was, to.Decision) {
		panic(fmt.Sprintf("payment: the decision on %x was changed from %s to %s (PAY1)", p.ID, was, to.Decision))
	}
	ended := p.Resource == WorkInProgress && to.Resource != WorkInProgress
	p.Standing = to
	if !ended {
		return
	}
	if p.SettledAt == 0 {
		p.SettledAt, p.SettledStatus = at, to.Status
	}
	if to.Status == Captured || to.Status == Succeeded {
		p.Captured = p.Amount.Minor
		p.ownSources()
		for i := range p.Sources {
			p.Sources[i].Captured = p.Sources[i].Amount
		}
	}
	if !p.Operation.IsNil() {
		if o := m.operations.Have(book.Key{Tenant: p.Tenant, ID: p.Operation}); o.DoneAt == 0 {
			o.DoneAt, o.Status = at, to.Status
		}
	}
	if p.Kind == Refund {
		m.settleRefund(p, at, seq)
	}
}

// settleRefund books the end of a refund on its charge.
func (m *Machine) settleRefund(p *Payment, at clock.Micros, seq uint64) {
	charge := m.edit(p.Tenant, p.Parent, at, seq)
	charge.ownSources()
	for i := range p.Parts {
		x := &p.Parts[i]
		if x.Role != Add {
			continue
		}
		s, n := &charge.Sources[x.Source-1], shareOf(p, x)
		s.Refunding -= n
		if p.Status == Succeeded {
			s.Refunded += n
			charge.Refunded += n
		}
	}
	switch {
	case charge.Refunded == charge.Captured:
		charge.Status, charge.Resource = Refunded, Completed
	case charge.Refunded > 0:
		charge.Status = PartiallyRefunded
	}
}
