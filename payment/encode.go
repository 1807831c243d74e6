package payment

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
)

// Every payment writes its events, and its row once or twice. They are written field by field, in the order of proto/
// koban/payment/journal/v1: the bytes are those that proto.Marshal makes of the messages that codec.go reads.

// Encode implements book.Machine.
func (m *Machine) Encode(ev any) (uint32, []byte) {
	typ, body := encode(make(wire.Message, 0, 512), ev)
	return typ, append(make([]byte, 0, len(body)), body...)
}

func encode(w wire.Message, ev any) (uint32, wire.Message) {
	switch e := ev.(type) {
	case Started:
		return typeStarted, encodeStarted(w, &e)
	case Advanced:
		w = encodeID(w.Uint(1, uint64(e.Tenant)).Bytes(2, e.ID[:]), 3, &e.Parent)
		return typeAdvanced, encodeID(encodeStanding(encodeAnswers(w, 4, e.Answers), 5, &e.Standing), 6, &e.Operation)
	case Deferred:
		return typeDeferred, w.Uint(1, uint64(e.Tenant)).Bytes(2, e.ID[:]).Int(3, int64(e.Due)).Uint(4, uint64(e.Attempts)).Text(5, string(e.Code))
	case Decided:
		w = encodeID(w.Uint(1, uint64(e.Tenant)).Bytes(2, e.ID[:]), 3, &e.Parent).Uint(4, uint64(e.Cause))
		if !e.Operation.IsNil() {
			w = w.Bytes(5, e.Operation[:]).Bytes(6, e.Key.ID[:]).Bytes(7, e.Fingerprint[:])
		}
		return typeDecided, encodeStanding(w, 8, &e.Standing).Int(9, int64(e.EffectiveAt))
	case Declined:
		return typeDeclined, w.Uint(1, uint64(e.Tenant)).Bytes(2, e.Payment[:]).Bytes(3, e.Operation[:]).Uint(4, uint64(e.Cause)).
			Bytes(5, e.Key.ID[:]).Bytes(6, e.Fingerprint[:]).Text(7, string(e.Code)).Uint(8, uint64(e.Status))
	}
	panic(fmt.Sprintf("payment: unknown event %T", ev))
}

// encodeID leaves a nil id out of the message.
func encodeID(w wire.Message, field protowire.Number, x *id.ID) wire.Message {
	if x.IsNil() {
		return w
	}
	return w.Bytes(field, x[:])
}

func encodeStarted(w wire.Message, e *Started) wire.Message {
	p := &e.Payment
	w = w.Uint(1, uint64(p.Tenant)).Bytes(2, p.ID[:]).Bytes(3, e.Key.ID[:]).Bytes(4, e.Fingerprint[:]).Uint(5, uint64(p.Kind)).
		Uint(6, uint64(p.Capture)).Uint(7, uint64(p.Amount.Currency)).Int(8, p.Amount.Minor)
	w = encodeID(encodeID(w, 9, &p.Customer), 10, &p.Merchant)
	w = encodeID(encodeID(w, 11, &p.Session), 12, &p.Parent)
	w = encodeParts(encodeSources(w, 13, p.Sources), 14, p.Parts)
	w = w.Int(15, int64(p.EffectiveAt)).Int(16, int64(p.GiveUpAt)).Int(17, int64(p.ExpiresAt)).Bool(18, p.Noted)
	if p.Marks == (Marks{}) {
		return w
	}
	w, at := w.Open(19)
	return w.Uint(1, p.Marks.Reference).Uint(2, p.Marks.BillNumber).Uint(3, p.Marks.ReferenceLabel).Uint(4, p.Marks.TerminalLabel).
		Close(at)
}

func encodeStanding(w wire.Message, field protowire.Number, s *Standing) wire.Message {
	w, at := w.Open(field)
	return w.Uint(1, uint64(s.Status)).Uint(2, uint64(s.Resource)).Uint(3, uint64(s.Phase)).Uint(4, uint64(s.Rollback)).
		Uint(5, uint64(s.Decision)).Text(6, string(s.Failure)).Uint(7, uint64(s.Aim)).Uint(8, uint64(s.Refuser)).
		Close(at)
}

func encodeSources(w wire.Message, field protowire.Number, list []Source) wire.Message {
	for i := range list {
		s := &list[i]
		inner, at := w.Open(field)
		w = inner.Uint(1, uint64(s.Type)).Bytes(2, s.Account[:]).Int(3, s.Amount).Int(4, s.Captured).Int(5, s.Refunded).Int(6, s.Refunding).
			Close(at)
	}
	return w
}

func encodeParts(w wire.Message, field protowire.Number, list []Part) wire.Message {
	for i := range list {
		x := &list[i]
		inner, at := w.Open(field)
		w = inner.Uint(1, uint64(x.Number)).Uint(2, uint64(x.Participant)).Uint(3, uint64(x.Role)).Bytes(4, x.Account[:]).
			Uint(5, uint64(x.Amount.Currency)).Int(6, x.Amount.Minor)
		for _, f := range x.Funding {
			inner, at := w.Open(7)
			w = inner.Text(1, f.From).Uint(2, uint64(f.Amount.Currency)).Int(3, f.Amount.Minor).Close(at)
		}
		w = encodeID(w, 8, &x.Origin).Uint(9, uint64(x.Source)).Uint(10, uint64(x.State)).Text(11, string(x.Code))
		w = encodeAnswers(w, 12, x.Answers).Close(at)
	}
	return w
}

func encodeAnswers(w wire.Message, field protowire.Number, list []Answer) wire.Message {
	for i := range list {
		a := &list[i]
		inner, at := w.Open(field)
		w = inner.Uint(1, uint64(a.Number)).Uint(2, uint64(a.Verb)).Uint(3, uint64(a.Outcome)).Text(4, string(a.Code)).
			Uint(5, uint64(a.Attempts)).Int(6, int64(a.At)).Text(7, a.Book).Uint(8, a.Seq).Bool(9, a.Suspense).Close(at)
	}
	return w
}

// encodeState writes what the columns of a payment's row do not have.
func encodeState(w wire.Message, p *Payment) wire.Message {
	w = encodeParts(encodeSources(w.Uint(1, uint64(p.Capture)), 2, p.Sources), 3, p.Parts)
	w = encodeStanding(w, 4, &p.Standing).Int(5, int64(p.EffectiveAt)).Int(6, int64(p.GiveUpAt)).Int(7, int64(p.ExpiresAt)).
		Bool(8, p.Noted).Int(9, int64(p.DeferredUntil)).Uint(10, uint64(p.Attempts)).Text(11, string(p.DeferredCode)).
		Int(12, int64(p.SettledAt)).Uint(13, uint64(p.SettledStatus))
	return encodeID(w, 14, &p.Operation).Packed(15, p.Blocks).Uint(16, uint64(p.Tenant)).Bytes(17, p.ID[:]).
		Int(18, int64(p.CapturedAt))
}
