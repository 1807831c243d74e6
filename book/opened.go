package book

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/koban-pay/koban/internal/clock"
)

// openedType is the kernel's own event: a writer took the book over (rule B4). Its body is the protobuf message
// koban.book.journal.v1.Opened {uint64 epoch = 1; int64 at = 2; uint32 fold_version = 3;}.
const openedType = 1

type opened struct {
	Epoch   uint64
	At      clock.Micros
	Version uint32
}

func (o opened) encode() []byte {
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, o.Epoch)
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(o.At))
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(o.Version))
}

func decodeOpened(b []byte) (opened, error) {
	var o opened
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return o, errors.New("the opening event is broken")
		}
		b = b[n:]
		if typ != protowire.VarintType {
			if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
				return o, errors.New("the opening event is broken")
			}
			b = b[n:]
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return o, errors.New("the opening event is broken")
		}
		b = b[n:]
		switch num {
		case 1:
			o.Epoch = v
		case 2:
			o.At = clock.Micros(v)
		case 3:
			o.Version = uint32(v)
		}
	}
	return o, nil
}
