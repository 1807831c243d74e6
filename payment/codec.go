package payment

import (
	"fmt"
	"math"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	journalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Type numbers of the events. They are for ever (rule B15).
const (
	typeStarted  = book.FirstEventType
	typeAdvanced = book.FirstEventType + 1
	typeDeferred = book.FirstEventType + 2
	typeDecided  = book.FirstEventType + 3
	typeDeclined = book.FirstEventType + 4
)

// Decode implements book.Machine.
func (m *Machine) Decode(typ uint32, body []byte) (any, error) { return decode(typ, body) }

func decode(typ uint32, body []byte) (any, error) {
	r := reader{new(wire.Reader)}
	ev := r.event(typ, body)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("payment: event of type %d: %w", typ, err)
	}
	return ev, nil
}

// reader turns messages into events and rows. Every word is one that this version has a rule for: of any other nothing
// would be owed, and the payment would end as if all of it were done.
type reader struct{ *wire.Reader }

func (r reader) event(typ uint32, body []byte) any {
	switch typ {
	case typeStarted:
		return r.started(wire.Read(r.Reader, body, &journalv1.Started{}))
	case typeAdvanced:
		e := wire.Read(r.Reader, body, &journalv1.Advanced{})
		return Advanced{
			Tenant: id.Tenant(e.Tenant), ID: r.ID(e.Id), Parent: r.MaybeID(e.Parent), Operation: r.MaybeID(e.Operation),
			Answers: r.answers(e.Answers), Standing: r.standing(e.Standing),
		}
	case typeDeferred:
		e := wire.Read(r.Reader, body, &journalv1.Deferred{})
		return Deferred{
			Tenant: id.Tenant(e.Tenant), ID: r.ID(e.Id), Due: clock.Micros(e.Due), Attempts: e.Attempts,
			Code: fault.Code(e.Code),
		}
	case typeDecided:
		e := wire.Read(r.Reader, body, &journalv1.Decided{})
		d := Decided{
			Tenant: id.Tenant(e.Tenant), ID: r.ID(e.Id), Parent: r.MaybeID(e.Parent), Operation: r.MaybeID(e.Operation),
			Cause: wire.Word(r.Reader, "cause", e.Cause, ByCapture, ByExpiry), Standing: r.standing(e.Standing),
		}
		d.Caller.Key.Tenant = d.Tenant
		if !d.Operation.IsNil() || len(e.Key)+len(e.Fingerprint) > 0 {
			d.Caller = r.caller(e.Tenant, e.Key, e.Fingerprint)
		}
		d.EffectiveAt = clock.Micros(e.EffectiveAt)
		return d
	case typeDeclined:
		e := wire.Read(r.Reader, body, &journalv1.Declined{})
		return Declined{
			Tenant: id.Tenant(e.Tenant), Payment: r.ID(e.Id), Operation: r.ID(e.Operation),
			Cause:  wire.Word(r.Reader, "cause", e.Cause, ByCapture, ByRefund),
			Caller: r.caller(e.Tenant, e.Key, e.Fingerprint), Code: fault.Code(e.Code),
			Status: wire.Word(r.Reader, "status", e.Status, 0, Succeeded),
		}
	}
	r.Fail("this version does not know the type")
	return nil
}

func (r reader) caller(tenant uint32, key, print []byte) Caller {
	return Caller{Key: book.Key{Tenant: id.Tenant(tenant), ID: r.ID(key)}, Fingerprint: r.ID(print)}
}

func (r reader) started(e *journalv1.Started) Started {
	return Started{Caller: r.caller(e.Tenant, e.Key, e.Fingerprint), Payment: Payment{
		Standing: Standing{Status: Accepted, Resource: WorkInProgress}, Tenant: id.Tenant(e.Tenant), ID: r.ID(e.Id),
		Kind: wire.Word(r.Reader, "kind", e.Kind, Charge, Refund), Capture: r.capture(e.Capture), Amount: r.amount(e.Amount, e.Currency),
		Customer: r.MaybeID(e.Customer), Merchant: r.MaybeID(e.Merchant), Session: r.MaybeID(e.Session), Parent: r.MaybeID(e.Parent),
		Sources: r.sources(e.Sources), Parts: r.parts(e.Parts), EffectiveAt: clock.Micros(e.EffectiveAt),
		GiveUpAt: clock.Micros(e.GiveUpAt), ExpiresAt: clock.Micros(e.ExpiresAt), Noted: e.Noted, Marks: r.marks(e.Marks),
	}}
}

// marks reads what an order is called, as far as it has names.
func (reader) marks(m *journalv1.Marks) Marks {
	return Marks{
		Reference: m.GetReference(), BillNumber: m.GetBillNumber(), ReferenceLabel: m.GetReferenceLabel(),
		TerminalLabel: m.GetTerminalLabel(),
	}
}

func (r reader) capture(n uint32) Capture {
	return wire.Word(r.Reader, "capture mode", n, Automatic, Manual)
}

// amount reads what moves: more than nothing.
func (r reader) amount(minor int64, currency uint32) money.Amount {
	c, err := money.CurrencyByNumeric(int(currency))
	if err != nil {
		r.Fail("%w", err)
	}
	return money.Of(r.Number("an amount", minor, 1, money.MaxStored), c)
}

func (r reader) standing(s *journalv1.Standing) Standing {
	s = wire.Sub(r.Reader, "standing", s)
	return Standing{
		Status:   wire.Word(r.Reader, "status", s.Status, Accepted, Succeeded),
		Resource: wire.Word(r.Reader, "resource status", s.Resource, WorkInProgress, ResourceFailed),
		Phase:    wire.Word(r.Reader, "phase", s.Phase, Init, Notified),
		Rollback: wire.Word(r.Reader, "rollback phase", s.Rollback, NoRollback, RollbackCompleted),
		Decision: wire.Word(r.Reader, "decision", s.Decision, Undecided, Cancel),
		Aim:      wire.Word(r.Reader, "aim", s.Aim, 0, Succeeded), Failure: fault.Code(s.Failure),
		Refuser: uint8(r.Number("the part that refused", int64(s.Refuser), 0, math.MaxUint8)),
	}
}

func (r reader) sources(list []*journalv1.Source) []Source {
	sum := func(n int64) int64 { return r.Number("an amount", n, 0, money.MaxStored) }
	out := make([]Source, len(list))
	for i, s := range list {
		out[i] = Source{
			Type: wire.Word(r.Reader, "type of source", s.Type, FromBalance, FromPoints), Account: r.ID(s.Account),
			Amount: sum(s.Amount), Captured: sum(s.Captured), Refunded: sum(s.Refunded), Refunding: sum(s.Refunding),
		}
	}
	return out
}

func (r reader) parts(list []*journalv1.Part) []Part {
	out := make([]Part, len(list))
	for i, p := range list {
		x := Part{
			Number:      uint8(r.Number("a part's number", int64(p.Number), int64(i+1), int64(min(i+1, 255)))),
			Participant: wire.Word(r.Reader, "participant", p.Participant, Balance, Code),
			Role:        wire.Word(r.Reader, "role", p.Role, Hold, Add), Account: r.ID(p.Account), Amount: r.amount(p.Amount, p.Currency),
			Origin: r.MaybeID(p.Origin), Source: uint8(r.Number("a part's source", int64(p.Source), 0, 255)),
			State: wire.Word(r.Reader, "state of a part", p.State, Idle, Added), Code: fault.Code(p.Code), Answers: r.answers(p.Answers),
		}
		for _, f := range p.Funding {
			x.Funding = append(x.Funding, tcc.Funding{From: f.Account, Amount: r.amount(f.Amount, f.Currency)})
		}
		out[i] = x
	}
	return out
}

func (r reader) answers(list []*journalv1.Answer) []Answer {
	var out []Answer
	for _, a := range list {
		out = append(out, Answer{
			Number:  uint8(r.Number("a part's number", int64(a.Number), 1, 255)),
			Verb:    wire.Word(r.Reader, "verb", a.Verb, VerbTry, VerbAdd),
			Outcome: wire.Word(r.Reader, "outcome", a.Outcome, tcc.Done, tcc.Unknown), Code: fault.Code(a.Code),
			Attempts: a.Attempts, At: clock.Micros(a.At), Book: a.Book, Seq: a.Seq, Suspense: a.Suspense,
		})
	}
	return out
}

// decodeState completes a payment whose columns were read.
func decodeState(b []byte, p *Payment) error {
	r := reader{new(wire.Reader)}
	s := wire.Read(r.Reader, b, &journalv1.State{})
	p.Capture, p.Sources, p.Parts, p.Standing = r.capture(s.Capture), r.sources(s.Sources), r.parts(s.Parts), r.standing(s.Standing)
	p.EffectiveAt, p.GiveUpAt, p.ExpiresAt = clock.Micros(s.EffectiveAt), clock.Micros(s.GiveUpAt), clock.Micros(s.ExpiresAt)
	p.Noted, p.DeferredUntil, p.Attempts = s.Noted, clock.Micros(s.DeferredUntil), s.Attempts
	p.DeferredCode, p.SettledAt = fault.Code(s.DeferredCode), clock.Micros(s.SettledAt)
	p.SettledStatus = wire.Word(r.Reader, "settled status", s.SettledStatus, 0, Succeeded)
	p.Operation, p.Blocks, p.CapturedAt = r.MaybeID(s.Operation), s.Blocks, clock.Micros(s.CapturedAt)
	p.Tenant, p.ID = id.Tenant(s.Tenant), r.ID(s.Id)
	if err := r.Err(); err != nil {
		return fmt.Errorf("payment: decode state: %w", err)
	}
	return nil
}
