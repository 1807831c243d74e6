package payment

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	journalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
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
	switch typ {
	case typeStarted:
		var e journalv1.Started
		if err := proto.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		return decodeStarted(&e), nil
	case typeAdvanced:
		var e journalv1.Advanced
		if err := proto.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		return Advanced{Tenant: id.Tenant(e.Tenant), ID: toID(e.Id), Parent: toID(e.Parent), Operation: toID(e.Operation),
			Answers: decodeAnswers(e.Answers), Standing: decodeStanding(e.Standing)}, nil
	case typeDeferred:
		var e journalv1.Deferred
		if err := proto.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		return Deferred{Tenant: id.Tenant(e.Tenant), ID: toID(e.Id), Due: clock.Micros(e.Due), Attempts: e.Attempts,
			Code: fault.Code(e.Code)}, nil
	case typeDecided:
		var e journalv1.Decided
		if err := proto.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		return Decided{Tenant: id.Tenant(e.Tenant), ID: toID(e.Id), Parent: toID(e.Parent), Cause: Cause(e.Cause),
			Operation: toID(e.Operation), Caller: caller(e.Tenant, e.Key, e.Fingerprint), Standing: decodeStanding(e.Standing)}, nil
	case typeDeclined:
		var e journalv1.Declined
		if err := proto.Unmarshal(body, &e); err != nil {
			return nil, err
		}
		return Declined{Tenant: id.Tenant(e.Tenant), Payment: toID(e.Id), Operation: toID(e.Operation), Cause: Cause(e.Cause),
			Caller: caller(e.Tenant, e.Key, e.Fingerprint), Code: fault.Code(e.Code)}, nil
	}
	return nil, fmt.Errorf("payment: event type %d is not known", typ)
}

func caller(tenant uint32, key, print []byte) Caller {
	c := Caller{Key: book.Key{Tenant: id.Tenant(tenant), ID: toID(key)}}
	copy(c.Fingerprint[:], print)
	return c
}

func toID(b []byte) (x id.ID) {
	copy(x[:], b)
	return x
}

func decodeStarted(e *journalv1.Started) Started {
	return Started{Caller: caller(e.Tenant, e.Key, e.Fingerprint), Payment: Payment{
		Standing: Standing{Status: Accepted, Resource: WorkInProgress}, Tenant: id.Tenant(e.Tenant), ID: toID(e.Id),
		Kind: Kind(e.Kind), Capture: Capture(e.Capture), Amount: money.Of(e.Amount, money.Currency(e.Currency)),
		Customer: toID(e.Customer), Merchant: toID(e.Merchant), Session: toID(e.Session), Parent: toID(e.Parent),
		Sources: decodeSources(e.Sources), Parts: decodeParts(e.Parts), EffectiveAt: clock.Micros(e.EffectiveAt),
		GiveUpAt: clock.Micros(e.GiveUpAt), ExpiresAt: clock.Micros(e.ExpiresAt), Noted: e.Noted,
		Marks: Marks{Reference: e.Marks.GetReference(), BillNumber: e.Marks.GetBillNumber(), ReferenceLabel: e.Marks.GetReferenceLabel(),
			TerminalLabel: e.Marks.GetTerminalLabel()}}}
}

func decodeStanding(s *journalv1.Standing) Standing {
	return Standing{Status: Status(s.GetStatus()), Resource: Resource(s.GetResource()), Phase: Phase(s.GetPhase()),
		Rollback: Rollback(s.GetRollback()), Decision: Decision(s.GetDecision()), Aim: Status(s.GetAim()),
		Failure: fault.Code(s.GetFailure())}
}

func decodeSources(list []*journalv1.Source) []Source {
	out := make([]Source, len(list))
	for i, s := range list {
		out[i] = Source{Type: SourceType(s.Type), Account: toID(s.Account), Amount: s.Amount, Captured: s.Captured,
			Refunded: s.Refunded, Refunding: s.Refunding}
	}
	return out
}

func decodeParts(list []*journalv1.Part) []Part {
	out := make([]Part, len(list))
	for i, p := range list {
		x := Part{Number: uint8(p.Number), Participant: Participant(p.Participant), Role: Role(p.Role), Account: toID(p.Account),
			Amount: money.Of(p.Amount, money.Currency(p.Currency)), Origin: toID(p.Origin), Source: uint8(p.Source),
			State: PartState(p.State), Code: fault.Code(p.Code), Answers: decodeAnswers(p.Answers)}
		for _, f := range p.Funding {
			x.Funding = append(x.Funding, tcc.Funding{From: f.Account, Amount: money.Of(f.Amount, money.Currency(f.Currency))})
		}
		out[i] = x
	}
	return out
}

func decodeAnswers(list []*journalv1.Answer) []Answer {
	var out []Answer
	for _, a := range list {
		out = append(out, Answer{Number: uint8(a.Number), Verb: Verb(a.Verb), Outcome: tcc.Outcome(a.Outcome), Code: fault.Code(a.Code),
			Attempts: a.Attempts, At: clock.Micros(a.At), Book: a.Book, Seq: a.Seq, Suspense: a.Suspense})
	}
	return out
}

// decodeState completes a payment whose columns were read.
func decodeState(b []byte, p *Payment) error {
	var s journalv1.State
	if err := proto.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("payment: decode state: %w", err)
	}
	p.Capture, p.Sources, p.Parts, p.Standing = Capture(s.Capture), decodeSources(s.Sources), decodeParts(s.Parts), decodeStanding(s.Standing)
	p.EffectiveAt, p.GiveUpAt, p.ExpiresAt = clock.Micros(s.EffectiveAt), clock.Micros(s.GiveUpAt), clock.Micros(s.ExpiresAt)
	p.Noted, p.DeferredUntil, p.Attempts = s.Noted, clock.Micros(s.DeferredUntil), s.Attempts
	p.DeferredCode, p.SettledAt, p.SettledStatus = fault.Code(s.DeferredCode), clock.Micros(s.SettledAt), Status(s.SettledStatus)
	p.Operation, p.Blocks = toID(s.Operation), s.Blocks
	p.Tenant, p.ID = id.Tenant(s.Tenant), toID(s.Id)
	return nil
}
