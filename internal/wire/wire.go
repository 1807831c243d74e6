package wire

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is a protobuf message that is being written, field by field in the order of their numbers: then the bytes are
// those of proto.Marshal. A field that has its zero value is left out, as in proto3.
type Message []byte

func (m Message) tag(field protowire.Number, t protowire.Type) Message {
	return binary.AppendUvarint(m, protowire.EncodeTag(field, t))
}

// Uint writes a field of type uint32, uint64, int32, int64 or an enum. Numbers below zero are written as int64 has them.
func (m Message) Uint(field protowire.Number, v uint64) Message {
	if v == 0 {
		return m
	}
	return binary.AppendUvarint(m.tag(field, protowire.VarintType), v)
}

// Int writes a field of type int64 or int32.
func (m Message) Int(field protowire.Number, v int64) Message { return m.Uint(field, uint64(v)) }

// Bool writes a field of type bool.
func (m Message) Bool(field protowire.Number, v bool) Message {
	if !v {
		return m
	}
	return append(m.tag(field, protowire.VarintType), 1)
}

// Bytes writes a field of type bytes.
func (m Message) Bytes(field protowire.Number, v []byte) Message {
	if len(v) == 0 {
		return m
	}
	return append(binary.AppendUvarint(m.tag(field, protowire.BytesType), uint64(len(v))), v...)
}

// Text writes a field of type string. The text must be UTF-8.
func (m Message) Text(field protowire.Number, v string) Message {
	if v == "" {
		return m
	}
	return append(binary.AppendUvarint(m.tag(field, protowire.BytesType), uint64(len(v))), v...)
}

// Open starts a field that is a message. Write its fields, then call Close with what Open returned.
func (m Message) Open(field protowire.Number) (inner Message, at int) {
	m = append(m.tag(field, protowire.BytesType), 0) // most are shorter than 128 bytes
	return m, len(m)
}

// Close ends the field that was opened at.
func (m Message) Close(at int) Message {
	n := len(m) - at
	if n < 1<<7 {
		m[at-1] = byte(n)
		return m
	}
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(n))
	m = slices.Insert(m, at, size[1:k]...)
	m[at-1] = size[0]
	return m
}

// Packed writes a repeated field of numbers.
func (m Message) Packed(field protowire.Number, list []uint64) Message {
	if len(list) == 0 {
		return m
	}
	m, at := m.Open(field)
	for _, v := range list {
		m = binary.AppendUvarint(m, v)
	}
	return m.Close(at)
}
