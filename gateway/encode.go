package gateway

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/koban-pay/koban/internal/clock"
)

// appendMessage appends m as an answer shows it: every field in the order of the contract, so that equal messages are
// equal to the byte.
func appendMessage(b []byte, s *schema, m protoreflect.Message) []byte {
	b = append(b, '{')
	start := len(b)
	for i := range s.fields {
		f := &s.fields[i]
		if !f.shown(m) {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, f.key...)
		b = f.append(b, m, appendMessage)
	}
	return append(b, '}')
}

// appendCanonical appends m in the form that fingerprints are made of: the fields that are set, sorted by name, without
// white space. The field named skip is left out at the top.
func appendCanonical(b []byte, s *schema, m protoreflect.Message, skip string) []byte {
	b = append(b, '{')
	start := len(b)
	for _, f := range s.sorted {
		if f.name == skip || f.fd == nil || !m.Has(f.fd) {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, f.key...)
		b = f.append(b, m, func(b []byte, s *schema, m protoreflect.Message) []byte {
			return appendCanonical(b, s, m, "")
		})
	}
	return append(b, '}')
}

// shown reports whether an answer has the member at all.
func (f *field) shown(m protoreflect.Message) bool {
	switch {
	case f.nullable:
		return true
	case f.kind == union:
		return m.WhichOneof(f.oneof) != nil
	case f.dict, f.kind == word && !f.list:
		return m.Has(f.fd)
	case f.fd.HasPresence():
		return m.Has(f.fd)
	default:
		return true
	}
}

type messageForm func([]byte, *schema, protoreflect.Message) []byte

func (f *field) append(b []byte, m protoreflect.Message, form messageForm) []byte {
	switch {
	case f.kind == union:
		fd := m.WhichOneof(f.oneof)
		return form(b, f.members[fd.Number()], m.Get(fd).Message())
	case f.list:
		return f.appendList(b, m.Get(f.fd).List(), form)
	case f.dict:
		return appendMap(b, m.Get(f.fd).Map())
	case f.nullable && !m.Has(f.fd):
		return append(b, "null"...)
	default:
		return f.appendValue(b, m.Get(f.fd), form)
	}
}

func (f *field) appendList(b []byte, l protoreflect.List, form messageForm) []byte {
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = f.appendValue(b, l.Get(i), form)
	}
	return append(b, ']')
}

func appendMap(b []byte, m protoreflect.Map) []byte {
	keys := make([]string, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k.String())
		return true
	})
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, k)
		b = append(b, ':')
		b = appendText(b, m.Get(protoreflect.ValueOfString(k).MapKey()).String())
	}
	return append(b, '}')
}

func (f *field) appendValue(b []byte, v protoreflect.Value, form messageForm) []byte {
	switch f.kind {
	case text:
		return appendText(b, v.String())
	case integer:
		return strconv.AppendInt(b, v.Int(), 10)
	case instant:
		return appendInstant(b, clock.Micros(v.Int()))
	case boolean:
		return strconv.AppendBool(b, v.Bool())
	case word:
		b = append(b, '"')
		if n := int(v.Enum()); n >= 0 && n < len(f.words.byNumber) {
			b = append(b, f.words.byNumber[n]...)
		}
		return append(b, '"')
	default:
		return form(b, f.of, v.Message())
	}
}

func appendInstant(b []byte, at clock.Micros) []byte {
	b = append(b, '"')
	b = at.Time().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendText appends t as JSON text with no more escapes than RFC 8259 asks for. What is not UTF-8 becomes U+FFFD.
func appendText(b []byte, t string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(t); {
		c := t[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, t[start:i]...)
			if c < ' ' {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			} else {
				b = append(b, '\\', c)
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(t[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, t[start:i]...)
			b = append(b, "\ufffd"...)
			start = i + 1
		}
		i += n
	}
	b = append(b, t[start:]...)
	return append(b, '"')
}
