package wiretest

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// EachChange calls try with the message once for each thing in it that a decoder must not pass over, changed: every id,
// key or hash is a byte too long and a byte too short, every message within it has a field that nobody knows, and every
// field whose name is one of words has a number that no word has; one of "name<256" has only one beyond a byte. The
// message has body's fields.
func EachChange(t testing.TB, m proto.Message, body []byte, words []string, try func(what string, bad []byte)) {
	t.Helper()
	if err := proto.Unmarshal(body, m); err != nil {
		t.Fatal(err)
	}
	send := func(what string) {
		bad, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		try(what, bad)
	}
	change(m.ProtoReflect(), words, send)
}

func change(m protoreflect.Message, words []string, send func(string)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.FullName())
		set := func(what string, x protoreflect.Value) {
			m.Set(f, x)
			send(name + ": " + what)
			m.Set(f, v)
		}
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				within(v.List().Get(i).Message(), name, words, send)
			}
		case f.IsList():
		case f.Message() != nil:
			within(v.Message(), name, words, send)
		case f.Kind() == protoreflect.BytesKind && (len(v.Bytes()) == 16 || len(v.Bytes()) == 32):
			set("a byte less", protoreflect.ValueOfBytes(v.Bytes()[1:]))
			set("a byte more", protoreflect.ValueOfBytes(append(slices.Clone(v.Bytes()), 0)))
		case f.Kind() == protoreflect.Uint32Kind && slices.Contains(words, string(f.Name())+"<256"):
			set("more than a byte", protoreflect.ValueOfUint32(256+uint32(v.Uint())))
		case !slices.Contains(words, string(f.Name())):
		case f.Kind() == protoreflect.EnumKind:
			set("an unknown word", protoreflect.ValueOfEnum(99))
			set("a word beyond a byte", protoreflect.ValueOfEnum(256+v.Enum()))
		case f.Kind() == protoreflect.Uint32Kind:
			set("an unknown word", protoreflect.ValueOfUint32(99))
			set("a word beyond a byte", protoreflect.ValueOfUint32(256+uint32(v.Uint())))
		}
		return true
	})
}

func within(m protoreflect.Message, name string, words []string, send func(string)) {
	m.SetUnknown([]byte{0xf8, 0x06, 1}) // field 111
	send(name + ": a field of a later version")
	m.SetUnknown(nil)
	change(m, words, send)
}
