package payment

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// replay answers a command whose key was used before: with what the key made, or a conflict if the body differs.
func (m *Machine) replay(c Caller, out *book.Decision) bool {
	e := m.keys.Get(c.Key)
	if e == nil {
		return false
	}
	if !sameBody(e.Fingerprint, c.Fingerprint) {
		out.Refuse(fault.IdempotencyKeyReused.New(""))
		return true
	}
	k := book.Key{Tenant: c.Key.Tenant, ID: e.Target}
	var r Reply
	if o := m.operations.Get(k); o != nil {
		done := *o
		r.Operation = &done
		k.ID = o.Payment
	}
	r.Payment = m.payment(k)
	out.Reply(r)
	return true
}

func (m *Machine) start(now clock.Micros, c Start, out *book.Decision) {
	if m.replay(c.Caller, out) {
		return
	}
	p := c.Payment
	p.GiveUpAt = now.Add(p.Kind.data().giveUp)
	if p.EffectiveAt == 0 {
		p.EffectiveAt = now
	}
	p.Standing = Standing{Status: Accepted, Resource: WorkInProgress}
	p.Parts = chargeParts(&p)
	m.accept(out, c.Caller, p, c.Note)
}

// accept emits the event of a new payment, with its note, and answers with it.
func (m *Machine) accept(out *book.Decision, c Caller, p Payment, note []byte) {
	if p.Noted = note != nil; p.Noted {
		out.Note(callerNoteOf(p.Tenant, p.ID, note))
	}
	out.Emit(Started{Caller: c, Payment: p})
	m.answer(out, p.Tenant, p.ID, true)
}

// answer replies with the payment as it stands after the events.
func (m *Machine) answer(out *book.Decision, t id.Tenant, x id.ID, made bool) {
	k := book.Key{Tenant: t, ID: x}
	out.ReplyAfter(func() any {
		r := Reply{Payment: m.payment(k), New: made}
		if o := m.operations.Peek(book.Key{Tenant: t, ID: r.Payment.Operation}); o != nil && !r.Payment.Operation.IsNil() {
			done := *o
			r.Operation = &done
		}
		return r
	})
}

func (m *Machine) startRefund(now clock.Micros, c StartRefund, out *book.Decision) {
	if m.replay(c.Caller, out) {
		return
	}
	charge := m.payment(book.Key{Tenant: c.Tenant, ID: c.Parent})
	if charge == nil || (!c.Merchant.IsNil() && charge.Merchant != c.Merchant) {
		out.Refuse(fault.PaymentNotFound.New(""))
		return
	}
	amount := c.Amount
	if amount == (money.Amount{}) {
		amount = money.Of(left(charge), charge.Amount.Currency)
	}
	if amount.Currency != charge.Amount.Currency {
		out.Refuse(fault.CurrencyMismatch.New("the payment is in %s", charge.Amount.Currency).WithParam("amount.currency"))
		return
	}
	if charge.beingCaptured() {
		out.Refuse(fault.PaymentBusy.New("the payment is %s and may be captured any moment; it can be refunded then", charge.Status))
		return
	}
	shares, code := refundable(charge, amount.Minor)
	if code != "" {
		noteRefused(&c, out)
		m.decline(out, Declined{
			Caller: c.Caller, Tenant: c.Tenant, Payment: c.Parent, Operation: c.ID, Cause: ByRefund, Code: code,
			Status: charge.Status,
		})
		return
	}
	p := Payment{
		Tenant: c.Tenant, ID: c.ID, Kind: Refund, Capture: Automatic, Amount: amount, Customer: charge.Customer,
		Merchant: charge.Merchant, Session: charge.Session, Parent: c.Parent, GiveUpAt: now.Add(Refund.data().giveUp),
		EffectiveAt: now, Marks: c.Marks, Standing: Standing{Status: Accepted, Resource: WorkInProgress},
	}
	p.Parts, p.Sources = refundParts(charge, shares)
	m.accept(out, c.Caller, p, c.Note)
}

// beingCaptured reports whether a charge is on its way to be captured: what needs that comes too early, and is no definite no.
func (p *Payment) beingCaptured() bool {
	return p.Kind == Charge && p.Resource == WorkInProgress &&
		(p.Decision == Confirm || p.Decision == Undecided && p.Capture == Automatic)
}

// beingAuthorized reports whether a charge is on its way to be authorized.
func (p *Payment) beingAuthorized() bool {
	return p.Kind == Charge && p.Resource == WorkInProgress && p.Capture == Manual && (p.Decision == Undecided || p.Decision == Authorize)
}

// refundable returns how a refund is divided over the charge's sources, or why it is not possible.
func refundable(charge *Payment, minor int64) ([]share, fault.Code) {
	switch {
	case charge.Kind != Charge:
		return nil, fault.NotRefundable
	case charge.Status == Refunded:
		return nil, fault.AlreadyRefunded
	case charge.Status != Captured && charge.Status != PartiallyRefunded:
		return nil, fault.NotRefundable
	case left(charge) == 0:
		return nil, fault.AlreadyRefunded
	}
	shares, ok := allocate(charge, minor)
	if !ok {
		return nil, fault.ExceedsCaptured
	}
	return shares, ""
}

// decline binds a key to a refusal: its replays are refused the same way.
func (m *Machine) decline(out *book.Decision, d Declined) {
	out.Emit(d)
	k := book.Key{Tenant: d.Tenant, ID: d.Operation}
	out.ReplyAfter(func() any {
		o := *m.operations.Get(k)
		return Reply{Payment: m.payment(book.Key{Tenant: d.Tenant, ID: d.Payment}), Operation: &o, New: true}
	})
}

func (m *Machine) operate(now clock.Micros, c Operate, out *book.Decision) {
	if m.replay(c.Caller, out) {
		return
	}
	p := m.payment(book.Key{Tenant: c.Tenant, ID: c.Payment})
	if p == nil || (!c.Merchant.IsNil() && p.Merchant != c.Merchant) {
		out.Refuse(fault.PaymentNotFound.New(""))
		return
	}
	if c.Amount != (money.Amount{}) && c.Amount.Currency != p.Amount.Currency {
		out.Refuse(fault.CurrencyMismatch.New("the payment is in %s", p.Amount.Currency).WithParam("amount.currency"))
		return
	}
	if p.beingAuthorized() {
		out.Refuse(fault.PaymentBusy.New("the payment is %s and may be authorized any moment; it can be captured or voided then", p.Status))
		return
	}
	if code := operable(now, p, c); code != "" {
		m.decline(out, Declined{
			Caller: c.Caller, Tenant: c.Tenant, Payment: c.Payment, Operation: c.Operation, Cause: c.Cause, Code: code,
			Status: p.Status,
		})
		return
	}
	to, effective := p.Standing, clock.Micros(0)
	to.Resource = WorkInProgress
	if c.Cause == ByCapture {
		to.Decision, to.Phase, effective = Confirm, ConfirmPhase, now
	} else {
		to.Decision, to.Rollback, to.Aim = Cancel, CancelPhase, Voided
	}
	out.Emit(Decided{
		Caller: c.Caller, Tenant: c.Tenant, ID: c.Payment, Parent: p.Parent, Cause: c.Cause, Operation: c.Operation,
		Standing: to, EffectiveAt: effective,
	})
	m.answer(out, c.Tenant, c.Payment, true)
}

// operable returns why an authorized charge cannot be captured or voided now, "" if it can.
func operable(now clock.Micros, p *Payment, c Operate) fault.Code {
	lapsed := p.Status == Authorized && p.Resource == Wait && now >= p.ExpiresAt // though the timer has not come round
	if p.Kind != Charge || p.Status != Authorized || p.Resource != Wait || lapsed {
		switch {
		case lapsed || p.Aim == Expired:
			return fault.AuthorizationLapsed
		case c.Cause == ByCapture:
			return fault.NotCapturable
		default:
			return fault.NotVoidable
		}
	}
	if c.Cause == ByCapture && c.Amount != (money.Amount{}) && c.Amount != p.Amount {
		return fault.CaptureMismatch
	}
	return ""
}

func (m *Machine) report(now clock.Micros, c Report, out *book.Decision) {
	p := m.payment(book.Key{Tenant: c.Tenant, ID: c.ID})
	if p == nil {
		out.Refuse(fault.PaymentNotFound.New(""))
		return
	}
	if p.Resource != WorkInProgress { // a second driver was slower: nothing is owed, nothing changes
		m.answer(out, c.Tenant, c.ID, false)
		return
	}
	after := *p                         // what the payment would become
	if d, late := lapse(now, p); late { // the timer was slower than the answers: nobody is charged after expires_at
		out.Emit(d)
		after.Standing = d.Standing
	}
	after.Parts = append(m.parts[:0], p.Parts...)
	m.parts = after.Parts
	for _, a := range c.Answers {
		if x := after.part(a.Number); x != nil {
			x.move(a)
		}
	}
	out.Emit(Advanced{Tenant: c.Tenant, ID: c.ID, Parent: p.Parent, Operation: p.Operation, Answers: c.Answers, Standing: advance(&after)})
	m.answer(out, c.Tenant, c.ID, false)
}

func (p *Payment) part(n uint8) *Part {
	if n == 0 || int(n) > len(p.Parts) {
		return nil
	}
	return &p.Parts[n-1]
}

const (
	queueFirst = clock.Minute // recovery layer 2: due in one minute to one hour
	queueLast  = clock.Hour
)

func (m *Machine) deferred(now clock.Micros, c Defer, out *book.Decision) {
	p := m.payment(book.Key{Tenant: c.Tenant, ID: c.ID})
	if p == nil {
		out.Refuse(fault.PaymentNotFound.New(""))
		return
	}
	if p.Resource == WorkInProgress {
		wait := min(queueFirst<<min(p.Attempts, 6), queueLast)
		wait -= wait / 4 * clock.Micros(c.Jitter%1000) / 1000
		out.Emit(Deferred{Tenant: c.Tenant, ID: c.ID, Due: now + wait, Attempts: p.Attempts + 1, Code: c.Code})
	}
	m.answer(out, c.Tenant, c.ID, false)
}

// wake decides what only time decides: to give up what is undecided, and to let an authorization lapse.
func (m *Machine) wake(now clock.Micros, c Wake, out *book.Decision) {
	if err := heard(); err != nil {
		out.Refuse(err)
		return
	}
	p := m.payment(book.Key{Tenant: c.Tenant, ID: c.ID})
	if p == nil {
		out.Refuse(fault.PaymentNotFound.New(""))
		return
	}
	if d, late := lapse(now, p); late {
		out.Emit(d)
	}
	m.answer(out, c.Tenant, c.ID, false)
}

// lapse returns what time has decided about a payment by now: to give up what is undecided, or to let an authorization
// lapse. It reports false if there is nothing to decide.
func lapse(now clock.Micros, p *Payment) (Decided, bool) {
	d := Decided{Tenant: p.Tenant, ID: p.ID, Parent: p.Parent, Standing: p.Standing}
	d.Standing.Decision, d.Standing.Rollback = Cancel, CancelPhase
	switch {
	case p.Resource == WorkInProgress && mayGiveUp(p.Decision) && now >= p.GiveUpAt:
		d.Cause = ByGiveUp
		d.Standing.Aim, d.Standing.Failure = Failed, fault.GaveUp
	case p.Resource == Wait && p.Status == Authorized && now >= p.ExpiresAt:
		d.Cause = ByExpiry
		d.Standing.Aim, d.Standing.Resource = Expired, WorkInProgress
	}
	return d, d.Cause != 0
}
