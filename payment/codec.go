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

// Encode implements book.Machine.
func (m *Machine) Encode(ev any) (uint32, []byte) {
	typ, msg := message(ev)
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		panic("payment: encode: " + err.Error())
	}
	return typ, body
}

func message(ev any) (uint32, proto.Message) {
	switch e := ev.(type) {
	case Started:
		return typeStarted, encodeStarted(e)
	case Advanced:
		return typeAdvanced, &journalv1.Advanced{Tenant: uint32(e.Tenant), Id: e.ID[:], Parent: optional(e.Parent),
			Operation: optional(e.Operation), Answers: encodeAnswers(e.Answers), Standing: encodeStanding(e.Standing)}
	case Deferred:
		return typeDeferred, &journalv1.Deferred{Tenant: uint32(e.Tenant), Id: e.ID[:], Due: int64(e.Due), Attempts: e.Attempts,
			Code: string(e.Code)}
	case Decided:
		d := &journalv1.Decided{Tenant: uint32(e.Tenant), Id: e.ID[:], Parent: optional(e.Parent), Cause: uint32(e.Cause),
			Standing: encodeStanding(e.Standing)}
		if !e.Operation.IsNil() {
			d.Operation, d.Key, d.Fingerprint = e.Operation[:], e.Key.ID[:], e.Fingerprint[:]
		}
		return typeDecided, d
	case Declined:
		return typeDeclined, &journalv1.Declined{Tenant: uint32(e.Tenant), Id: e.Payment[:], Operation: e.Operation[:],
			Cause: uint32(e.Cause), Key: e.Key.ID[:], Fingerprint: e.Fingerprint[:], Code: string(e.Code)}
	}
	panic(fmt.Sprintf("payment: unknown event %T", ev))
}

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

// optional leaves a nil id out of the message.
func optional(x id.ID) []byte {
	if x.IsNil() {
		return nil
	}
	return x[:]
}

func encodeStarted(e Started) *journalv1.Started {
	p := &e.Payment
	return &journalv1.Started{Tenant: uint32(p.Tenant), Id: p.ID[:], Key: e.Key.ID[:], Fingerprint: e.Fingerprint[:],
		Kind: uint32(p.Kind), Capture: uint32(p.Capture), Currency: uint32(p.Amount.Currency), Amount: p.Amount.Minor,
		Customer: optional(p.Customer), Merchant: optional(p.Merchant), Session: optional(p.Session), Parent: optional(p.Parent),
		Sources: encodeSources(p.Sources), Parts: encodeParts(p.Parts), EffectiveAt: int64(p.EffectiveAt),
		GiveUpAt: int64(p.GiveUpAt), ExpiresAt: int64(p.ExpiresAt), Noted: p.Noted}
}

func decodeStarted(e *journalv1.Started) Started {
	return Started{Caller: caller(e.Tenant, e.Key, e.Fingerprint), Payment: Payment{
		Standing: Standing{Status: Accepted, Resource: WorkInProgress}, Tenant: id.Tenant(e.Tenant), ID: toID(e.Id),
		Kind: Kind(e.Kind), Capture: Capture(e.Capture), Amount: money.Of(e.Amount, money.Currency(e.Currency)),
		Customer: toID(e.Customer), Merchant: toID(e.Merchant), Session: toID(e.Session), Parent: toID(e.Parent),
		Sources: decodeSources(e.Sources), Parts: decodeParts(e.Parts), EffectiveAt: clock.Micros(e.EffectiveAt),
		GiveUpAt: clock.Micros(e.GiveUpAt), ExpiresAt: clock.Micros(e.ExpiresAt), Noted: e.Noted}}
}

func encodeStanding(s Standing) *journalv1.Standing {
	return &journalv1.Standing{Status: uint32(s.Status), Resource: uint32(s.Resource), Phase: uint32(s.Phase),
		Rollback: uint32(s.Rollback), Decision: uint32(s.Decision), Aim: uint32(s.Aim), Failure: string(s.Failure)}
}

func decodeStanding(s *journalv1.Standing) Standing {
	return Standing{Status: Status(s.GetStatus()), Resource: Resource(s.GetResource()), Phase: Phase(s.GetPhase()),
		Rollback: Rollback(s.GetRollback()), Decision: Decision(s.GetDecision()), Aim: Status(s.GetAim()),
		Failure: fault.Code(s.GetFailure())}
}

func encodeSources(list []Source) []*journalv1.Source {
	out := make([]*journalv1.Source, len(list))
	for i, s := range list {
		out[i] = &journalv1.Source{Type: uint32(s.Type), Account: append([]byte(nil), s.Account[:]...), Amount: s.Amount,
			Captured: s.Captured, Refunded: s.Refunded, Refunding: s.Refunding}
	}
	return out
}

func decodeSources(list []*journalv1.Source) []Source {
	out := make([]Source, len(list))
	for i, s := range list {
		out[i] = Source{Type: SourceType(s.Type), Account: toID(s.Account), Amount: s.Amount, Captured: s.Captured,
			Refunded: s.Refunded, Refunding: s.Refunding}
	}
	return out
}

func encodeParts(list []Part) []*journalv1.Part {
	out := make([]*journalv1.Part, len(list))
	for i := range list {
		x := &list[i]
		p := &journalv1.Part{Number: uint32(x.Number), Participant: uint32(x.Participant), Role: uint32(x.Role),
			Account: x.Account[:], Currency: uint32(x.Amount.Currency), Amount: x.Amount.Minor, Source: uint32(x.Source),
			State: uint32(x.State), Code: string(x.Code), Answers: encodeAnswers(x.Answers)}
		if !x.Origin.IsNil() {
			p.Origin = x.Origin[:]
		}
		for _, f := range x.Funding {
			p.Funding = append(p.Funding, &journalv1.Funding{Account: f.From, Currency: uint32(f.Amount.Currency), Amount: f.Amount.Minor})
		}
		out[i] = p
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

func encodeAnswers(list []Answer) []*journalv1.Answer {
	out := make([]*journalv1.Answer, len(list))
	for i, a := range list {
		out[i] = &journalv1.Answer{Number: uint32(a.Number), Verb: uint32(a.Verb), Outcome: uint32(a.Outcome), Code: string(a.Code),
			Attempts: a.Attempts, At: int64(a.At), Book: a.Book, Seq: a.Seq, Suspense: a.Suspense}
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

func encodeState(p *Payment) *journalv1.State {
	return &journalv1.State{Capture: uint32(p.Capture), Sources: encodeSources(p.Sources), Parts: encodeParts(p.Parts),
		Standing: encodeStanding(p.Standing), EffectiveAt: int64(p.EffectiveAt), GiveUpAt: int64(p.GiveUpAt),
		ExpiresAt: int64(p.ExpiresAt), Noted: p.Noted, DeferredUntil: int64(p.DeferredUntil), Attempts: p.Attempts,
		DeferredCode: string(p.DeferredCode), SettledAt: int64(p.SettledAt), SettledStatus: uint32(p.SettledStatus),
		Operation: optional(p.Operation), Blocks: p.Blocks,
		Tenant: uint32(p.Tenant), Id: p.ID[:]}
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
