package journal

import (
	"encoding/binary"
	"errors"
)

// fixedBytes is the part of the stored bytes that does not depend on the events: format, epoch, previous hash, salt.
const fixedBytes = 1 + 8 + 32 + 16

// encode returns the stored bytes of b:
//
//	format 1 · epoch 8 · previous hash 32 · salt 16 · count uvarint · count × (type uvarint · length uvarint · body)
//
// Integers of fixed size are big-endian. Book, number and time stand in columns of their own; the hash covers them too.
func encode(b *Block) []byte {
	out := make([]byte, 0, b.Size())
	out = append(out, Format)
	out = binary.BigEndian.AppendUint64(out, b.Epoch)
	out = append(out, b.Prev[:]...)
	out = append(out, b.Salt[:]...)
	out = binary.AppendUvarint(out, uint64(len(b.Events)))
	for _, e := range b.Events {
		out = binary.AppendUvarint(out, uint64(e.Type))
		out = binary.AppendUvarint(out, uint64(len(e.Body)))
		out = append(out, e.Body...)
	}
	return out
}

var errShape = errors.New("the stored bytes are not those of a block")

// decode fills b from its stored bytes. It accepts exactly what encode writes, so that no two stored forms mean the same
// block. The bodies of the events are parts of body.
func decode(b *Block, body []byte) error {
	if len(body) < fixedBytes+1 || len(body) > MaxBlockBytes || body[0] != Format {
		return errShape
	}
	b.body = body
	b.Epoch = binary.BigEndian.Uint64(body[1:])
	b.Prev = Hash(body[9:])
	b.Salt = [16]byte(body[41:])
	rest := body[fixedBytes:]
	count, rest, err := uvarint(rest, MaxEvents)
	if err != nil || count == 0 || count > len(rest)/2 {
		return errShape
	}
	b.Events = make([]Event, count)
	for i := range b.Events {
		var kind, size int
		if kind, rest, err = uvarint(rest, 1<<32-1); err != nil {
			return err
		}
		if size, rest, err = uvarint(rest, MaxBlockBytes); err != nil {
			return err
		}
		if size > len(rest) {
			return errShape
		}
		b.Events[i] = Event{Type: uint32(kind), Body: rest[:size:size]}
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return errShape
	}
	return nil
}

// uvarint reads a number of at most most, in its shortest form.
func uvarint(in []byte, most uint64) (int, []byte, error) {
	v, n := binary.Uvarint(in)
	if n <= 0 || v > most || (n > 1 && in[n-1] == 0) {
		return 0, nil, errShape
	}
	return int(v), in[n:], nil
}
