package book

import (
	"encoding/binary"
	"errors"
)

// Pack holds what only the machine reads of a row again, in one column instead of many: a column costs a save as much as
// the value in it. What people look for stays in columns of its own.
type Pack []byte

// Int appends a number.
func (p Pack) Int(n int64) Pack { return binary.AppendVarint(p, n) }

// Text appends text, or bytes.
func (p Pack) Text(s string) Pack { return append(binary.AppendUvarint(p, uint64(len(s))), s...) }

// Bytes appends bytes.
func (p Pack) Bytes(b []byte) Pack { return append(binary.AppendUvarint(p, uint64(len(b))), b...) }

// Unpack reads what a Pack holds, in the same order. After an error it returns zero values.
type Unpack struct {
	left []byte
	bad  bool
}

// NewUnpack starts reading.
func NewUnpack(b []byte) *Unpack { return &Unpack{left: b} }

// Int reads a number.
func (u *Unpack) Int() int64 {
	n, size := binary.Varint(u.left)
	if size <= 0 {
		u.bad, u.left = true, nil
		return 0
	}
	u.left = u.left[size:]
	return n
}

// Bytes reads bytes, which belong to the row.
func (u *Unpack) Bytes() []byte {
	n, size := binary.Uvarint(u.left)
	if size <= 0 || n > uint64(len(u.left)-size) {
		u.bad, u.left = true, nil
		return nil
	}
	b := u.left[size : size+int(n)]
	u.left = u.left[size+int(n):]
	return b
}

// Text reads text.
func (u *Unpack) Text() string { return string(u.Bytes()) }

// Count reads how many items follow, each of which takes at least one byte.
func (u *Unpack) Count() int {
	n := u.Int()
	if n < 0 || n > int64(len(u.left)) {
		u.bad, u.left = true, nil
		return 0
	}
	return int(n)
}

// Err returns an error if what was read is not what was packed, or there is more.
func (u *Unpack) Err() error {
	if u.bad || len(u.left) > 0 {
		return errors.New("a packed column that cannot be read")
	}
	return nil
}

// Words returns the words of an enumeration, from 0 to the last one, as values for Schema.Args: made once, because each that
// is made is an allocation.
func Words[K interface {
	~uint8
	String() string
}](last K) []any {
	list := make([]any, last+1)
	for k := range list {
		list[k] = K(k).String()
	}
	return list
}
