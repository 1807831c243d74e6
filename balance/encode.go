package balance

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// The messages of proto/koban/balance/journal/v1 that every payment writes, field by field. Each has room for what a usual
// one takes.

// encode writes the message Held.
func (e *tryHeld) encode() []byte {
	return e.start(make(wire.Message, 0, 112), e.Amount).Uint(9, day(e.Entry.Day)).Bytes(10, e.Print[:]).Int(11, e.Available).
		Int(14, int64(e.NotAfter)).Uint(15, day(e.Entry.Holds[0].HeldOn))
}

// encode writes the message Confirmed.
func (e *confirmed) encode() []byte {
	h := &e.Entry.Holds[0]
	w := e.start(make(wire.Message, 0, 160), e.Amount).Uint(9, day(e.Entry.Day)).Bytes(10, e.Print[:]).Int(11, e.Available).
		Uint(15, day(h.HeldOn)).Uint(16, uint64(e.Capture))
	return encodeLegs(w, 17, &e.Entry).Int(18, h.Released)
}

// encode writes the message Added.
func (e *added) encode() []byte {
	w := e.start(make(wire.Message, 0, 176), e.Amount).Uint(9, day(e.Entry.Day)).Bytes(10, e.Print[:]).Int(11, e.Available).
		Text(12, e.Refusal.Code).Text(13, e.Refusal.Message)
	w = encodeLegs(w, 17, &e.Entry)
	if !e.Origin.IsNil() {
		w = w.Bytes(26, e.Origin[:])
	}
	return w
}

// start writes the fields that these messages have in common.
func (p *part) start(w wire.Message, amount money.Amount) wire.Message {
	return w.Uint(1, uint64(p.Tenant)).Bytes(2, p.Branch[:]).Bytes(3, p.Account[:]).Uint(4, uint64(amount.Currency)).
		Int(5, amount.Minor).Uint(6, uint64(p.Purpose)).Int(7, int64(p.EffectiveAt))
}

func encodeLegs(w wire.Message, field protowire.Number, e *entry) wire.Message {
	for i := range e.Legs {
		l := &e.Legs[i]
		inner, at := w.Open(field)
		w = inner.Bytes(1, l.Account[:]).Bool(2, l.Side == ledger.Credit).Int(3, l.Amount.Minor).Close(at)
	}
	return w
}

// day is a day as a field of type sint32 has it.
func day(d ledger.Day) uint64 { return protowire.EncodeZigZag(int64(d)) }
