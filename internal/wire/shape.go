package wire

import (
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// shape is what a kind of message may hold, as far as bytes show it: its fields by their numbers. To ask the bytes costs a
// tenth of what it costs to ask a message by reflection, and every event that is read is asked.
type shape struct{ fields []field }

// field is one number of a message; the zero field is one that this version does not know.
type field struct {
	kind   protowire.Type // as it stands in the bytes
	known  bool
	packed bool   // several numbers may stand in one run of bytes
	sub    *shape // of a message within
}

// shapes holds the shape of every kind of message that was read, by its descriptor.
var shapes sync.Map

// shapeOf returns the shape of a kind of message.
func shapeOf(d protoreflect.MessageDescriptor) *shape {
	if s, ok := shapes.Load(d); ok {
		return s.(*shape)
	}
	s := draw(d, map[protoreflect.FullName]*shape{})
	shapes.Store(d, s)
	return s
}

// draw makes the shape of a kind of message, and of those within, each once.
func draw(d protoreflect.MessageDescriptor, done map[protoreflect.FullName]*shape) *shape {
	if s := done[d.FullName()]; s != nil {
		return s
	}
	s := &shape{}
	done[d.FullName()] = s
	list := d.Fields()
	for i := range list.Len() {
		f := list.Get(i)
		n := int(f.Number())
		for len(s.fields) <= n {
			s.fields = append(s.fields, field{})
		}
		x := field{kind: kindOf(f.Kind()), known: true}
		if f.Message() != nil {
			x.sub = draw(f.Message(), done)
		}
		x.packed = f.IsList() && x.kind != protowire.BytesType
		s.fields[n] = x
	}
	return s
}

// kindOf returns how a field stands in the bytes.
func kindOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}

// knows reports whether all fields of a message are known, and of those within it. The bytes are those of a message that
// could be read.
func (s *shape) knows(b []byte) bool {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 || int(n) >= len(s.fields) {
			return false
		}
		f := &s.fields[n]
		if !f.known || kind != f.kind && !(f.packed && kind == protowire.BytesType) {
			return false
		}
		b = b[size:]
		if f.sub != nil && kind == protowire.BytesType {
			within, size := protowire.ConsumeBytes(b)
			if size < 0 || !f.sub.knows(within) {
				return false
			}
			b = b[size:]
			continue
		}
		if size = protowire.ConsumeFieldValue(n, kind, b); size < 0 {
			return false
		}
		b = b[size:]
	}
	return true
}
