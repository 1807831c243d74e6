package gateway

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
)

// kind says how a field looks in JSON.
type kind uint8

const (
	text kind = iota + 1
	integer
	instant // microseconds inside, RFC 3339 outside
	boolean
	word // an enum value
	object
	union // a oneof of messages: one member with the oneof's name
)

// Limits where the contract sets none.
const (
	defaultText  = 255 // characters
	defaultItems = 100
	mapKey       = 64  // characters
	mapText      = 500 // characters
)

// schema is one message type, prepared for the codec.
type schema struct {
	md     protoreflect.MessageDescriptor
	fields []field        // as an answer shows them
	sorted []*field       // by name, for the canonical form
	byName map[string]int // place in fields
	need   uint64         // bits of the required fields
	money  bool           // koban.type.v1.Money: its faults have codes of their own
}

// field is one member.
type field struct {
	fd       protoreflect.FieldDescriptor // nil for a union
	name     string
	key      []byte // name, quoted, with colon
	kind     kind
	list     bool
	dict     bool // map<string, string>
	nullable bool
	min, max int64
	maxLen   int // characters of a text, items of a list
	maxBytes int // of all keys and values of a dict; 0: no more than the body has
	label    bool
	words    *words
	of       *schema                              // object
	members  map[protoreflect.FieldNumber]*schema // union
	oneof    protoreflect.OneofDescriptor         // union
}

// words are an enum's values as they are written.
type words struct {
	byWord   map[string]protoreflect.EnumNumber
	byNumber []string // "" where there is none; 0 is always "": unspecified is never written
}

// schemas prepares message types, each once.
type schemas map[protoreflect.FullName]*schema

// of returns the schema of md. It fails where the contract uses something that has no form in JSON here.
func (all schemas) of(md protoreflect.MessageDescriptor) (*schema, error) {
	if s, ok := all[md.FullName()]; ok {
		return s, nil
	}
	s := &schema{md: md, byName: map[string]int{}, money: md.FullName() == "koban.type.v1.Money"}
	all[md.FullName()] = s
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
			if err := all.addUnion(s, o, fd); err != nil {
				return nil, err
			}
			continue
		}
		f, err := all.field(fd)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fd.FullName(), err)
		}
		if rulesOf(fd).GetRequired() {
			s.need |= 1 << len(s.fields)
		}
		s.add(f)
	}
	if len(s.fields) > 64 {
		return nil, fmt.Errorf("%s: more than 64 fields", md.FullName())
	}
	s.sort()
	return s, nil
}

func (s *schema) sort() {
	for i := range s.fields {
		s.sorted = append(s.sorted, &s.fields[i])
	}
	slices.SortFunc(s.sorted, func(a, b *field) int { return strings.Compare(a.name, b.name) })
}

// without returns s less the named fields: what is left for the body or the query once the path has taken its part.
func (s *schema) without(names []string) *schema {
	out := &schema{md: s.md, byName: map[string]int{}}
	for i, f := range s.fields {
		if slices.Contains(names, f.name) {
			continue
		}
		if s.need&(1<<i) != 0 {
			out.need |= 1 << len(out.fields)
		}
		out.add(f)
	}
	out.sort()
	return out
}

func (s *schema) add(f field) {
	f.key = []byte(`"` + f.name + `":`)
	s.byName[f.name] = len(s.fields)
	s.fields = append(s.fields, f)
}

func (all schemas) addUnion(s *schema, o protoreflect.OneofDescriptor, fd protoreflect.FieldDescriptor) error {
	if fd.Kind() != protoreflect.MessageKind {
		return fmt.Errorf("%s: a member of a oneof is a message", fd.FullName())
	}
	of, err := all.of(fd.Message())
	if err != nil {
		return err
	}
	name := string(o.Name())
	if _, ok := s.byName[name]; !ok {
		s.add(field{name: name, kind: union, oneof: o, members: map[protoreflect.FieldNumber]*schema{}})
	}
	s.fields[s.byName[name]].members[fd.Number()] = of
	return nil
}

func (all schemas) field(fd protoreflect.FieldDescriptor) (field, error) {
	r := rulesOf(fd)
	f := field{
		fd: fd, name: string(fd.Name()), list: fd.IsList(), dict: fd.IsMap(), nullable: r.GetNullable(),
		min: -1 << 63, max: 1<<63 - 1, maxLen: defaultText,
	}
	f.label, f.maxBytes = r.GetLabel(), int(r.GetMaxBytes())
	if f.list || f.dict {
		f.maxLen = defaultItems
	}
	if r.Min != nil {
		f.min = *r.Min
	}
	if r.Max != nil {
		f.max = *r.Max
	}
	if r.MaxLen != nil {
		f.maxLen = int(*r.MaxLen)
	}
	if f.dict {
		if fd.MapKey().Kind() != protoreflect.StringKind || fd.MapValue().Kind() != protoreflect.StringKind {
			return f, fmt.Errorf("a map is from string to string")
		}
		f.kind = text
		return f, nil
	}
	return f, all.kindOf(fd, &f)
}

func (all schemas) kindOf(fd protoreflect.FieldDescriptor, f *field) (err error) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		f.kind = text
	case protoreflect.BoolKind:
		f.kind = boolean
	case protoreflect.Int64Kind:
		f.kind = integer
		if isInstant(f.name) {
			f.kind = instant
		}
	case protoreflect.EnumKind:
		f.kind = word
		f.words, err = wordsOf(fd.Enum())
	case protoreflect.MessageKind:
		f.kind = object
		f.of, err = all.of(fd.Message())
	default:
		err = fmt.Errorf("%v has no form in JSON here; use string, bool, int64, an enum or a message", fd.Kind())
	}
	return err
}

// isInstant reports whether an int64 of this name is a point in time.
func isInstant(name string) bool { return name == "at" || strings.HasSuffix(name, "_at") }

func rulesOf(fd protoreflect.FieldDescriptor) *typev1.Rules {
	if r, ok := proto.GetExtension(fd.Options(), typev1.E_Rules).(*typev1.Rules); ok && r != nil {
		return r
	}
	return &typev1.Rules{}
}

// wordsOf strips the prefix that the enum's type name gives its values: PAYMENT_STATUS_ of PaymentStatus.
func wordsOf(ed protoreflect.EnumDescriptor) (*words, error) {
	var prefix strings.Builder
	for i, c := range string(ed.Name()) {
		if i > 0 && 'A' <= c && c <= 'Z' {
			prefix.WriteByte('_')
		}
		prefix.WriteRune(c)
	}
	p := strings.ToUpper(prefix.String()) + "_"
	lower, _ := proto.GetExtension(ed.Options(), typev1.E_LowerCase).(bool)
	w := &words{byWord: map[string]protoreflect.EnumNumber{}}
	for i := range ed.Values().Len() {
		v := ed.Values().Get(i)
		bare, ok := strings.CutPrefix(string(v.Name()), p)
		if !ok || v.Number() < 0 || v.Number() > 255 {
			return nil, fmt.Errorf("%s: expected %s… and a number of 0 to 255", v.FullName(), p)
		}
		for len(w.byNumber) <= int(v.Number()) {
			w.byNumber = append(w.byNumber, "")
		}
		if v.Number() == 0 {
			continue
		}
		if lower {
			bare = strings.ToLower(bare)
		}
		w.byWord[bare] = v.Number()
		w.byNumber[v.Number()] = bare
	}
	return w, nil
}

// list returns the words as a sentence shows them.
func (w *words) list() string {
	var out []string
	for _, s := range w.byNumber {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}
