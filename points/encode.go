package points

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/koban-pay/koban/internal/wire"
)

// usual is what an event about one lot takes.
const usual = 112

// encode writes the message Tried of proto/koban/points/journal/v1.
func (e *tried) encode() []byte {
	w := make(wire.Message, 0, usual).Uint(1, uint64(e.Tenant)).Bytes(2, e.Branch[:]).Bytes(3, e.Account[:]).Bytes(4, e.Print[:]).Int(5, e.Amount)
	return encodeParts(w, 6, e.Lots).Int(7, int64(e.Day)).Int(8, int64(e.NotAfter)).Int(9, int64(e.EffectiveAt))
}

// encode writes the message Confirmed of proto/koban/points/journal/v1.
func (e *confirmed) encode() []byte {
	w := make(wire.Message, 0, usual).Uint(1, uint64(e.Tenant)).Bytes(2, e.Branch[:]).Bytes(3, e.Account[:]).Bytes(4, e.Print[:]).
		Uint(5, uint64(e.Capture)).Bool(6, e.Final)
	w = encodeParts(w, 7, e.Taken)
	for _, s := range e.To {
		inner, at := w.Open(8)
		w = inner.Uint(1, uint64(s.Kind)).Int(2, s.Amount).Close(at)
	}
	for _, b := range e.Back {
		inner, at := w.Open(9)
		w = inner.Int(1, b.From).Int(2, b.To).Uint(3, uint64(b.Class)).Int(4, int64(b.ExpiresAt)).Int(5, b.Amount).Close(at)
	}
	return w.Int(10, int64(e.Day)).Int(11, int64(e.EffectiveAt))
}

func encodeParts(w wire.Message, field protowire.Number, parts []Part) wire.Message {
	for _, p := range parts {
		inner, at := w.Open(field)
		w = inner.Int(1, p.Lot).Uint(2, uint64(p.Class)).Int(3, int64(p.ExpiresAt)).Int(4, p.Amount).Close(at)
	}
	return w
}
