package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Reader reads what is stored for ever, and remembers what was wrong first. It takes nothing that this version does not
// know: a field, a word or a number of a later version may change what the whole means, and whoever passes it over
// carries on with something else (rule B4). After an error, what it returns is of no use. The zero Reader is ready.
type Reader struct{ err error }

// Err returns what was wrong first, nil if nothing was.
func (r *Reader) Err() error { return r.err }

// Fail notes that something is wrong.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// Read reads a message. One that has a field which this version does not know, however deep, is wrong.
func Read[M proto.Message](r *Reader, body []byte, m M) M {
	if err := proto.Unmarshal(body, m); err != nil {
		r.Fail("broken body: %w", err)
	} else if !shapeOf(m.ProtoReflect().Descriptor()).knows(body) {
		r.Fail("a field that this version does not know")
	}
	return m
}

// Sub returns a message within another, an empty one in place of none, which is wrong.
func Sub[M any, P interface {
	*M
	proto.Message
}](r *Reader, what string, m P,
) P {
	if m == nil {
		r.Fail("no %s", what)
		return new(M)
	}
	return m
}

// Unknown reports whether a message, or one within it, has a field that this version does not know.
func Unknown(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = found || f.MapValue().Message() != nil && Unknown(v.Message())
				return !found
			})
		case f.IsList():
			for i := range v.List().Len() {
				found = found || Unknown(v.List().Get(i).Message())
			}
		default:
			found = found || Unknown(v.Message())
		}
		return !found
	})
	return found
}

// ID reads an id, a key or a fingerprint: 16 bytes.
func (r *Reader) ID(b []byte) (x [16]byte) {
	if len(b) != len(x) {
		r.Fail("an id of %d bytes; expected %d", len(b), len(x))
		return x
	}
	return [16]byte(b)
}

// MaybeID reads an id that may be missing.
func (r *Reader) MaybeID(b []byte) (x [16]byte) {
	if len(b) == 0 {
		return x
	}
	return r.ID(b)
}

// Hash reads a hash: 32 bytes.
func (r *Reader) Hash(b []byte) (x [32]byte) {
	if len(b) != len(x) {
		r.Fail("a hash of %d bytes; expected %d", len(b), len(x))
		return x
	}
	return [32]byte(b)
}

// Number reads a number that lies between two others.
func (r *Reader) Number(what string, n, low, high int64) int64 {
	if n < low || n > high {
		r.Fail("%s of %d; expected %d to %d", what, n, low, high)
		return low
	}
	return n
}

// Word reads a word of an enumeration by its number, from the first to the last that this version knows.
func Word[W ~uint8, N ~uint32 | ~int32 | ~int64](r *Reader, what string, n N, first, last W) W {
	return W(r.Number(what, int64(n), int64(first), int64(last)))
}
