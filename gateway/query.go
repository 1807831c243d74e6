package gateway

import (
	"maps"
	"net/url"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/koban-pay/koban/fault"
)

// decodeQuery reads the query of a GET into m. A parameter without a value counts as left out.
func decodeQuery(s *schema, raw string, m protoreflect.Message) *fault.Error {
	var seen uint64
	values, err := url.ParseQuery(raw)
	if err != nil {
		return fault.InvalidRequest.New("the query is not well formed")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i, ok := s.byName[name]
		if !ok || !s.fields[i].settable() {
			return fault.UnknownField.New("").WithParam(plain([]byte(name)))
		}
		f := &s.fields[i]
		if len(values[name]) > 1 {
			return fault.InvalidRequest.New("the parameter stands twice in the query").WithParam(f.name)
		}
		if values[name][0] == "" {
			continue
		}
		v, err := s.parameter(f, values[name][0])
		if err != nil {
			return under(f.name, err)
		}
		m.Set(f.fd, v)
		seen |= 1 << i
	}
	return s.missing(seen)
}

func (s *schema) parameter(f *field, value string) (protoreflect.Value, *fault.Error) {
	switch f.kind {
	case integer:
		v, n, problem := wholeNumber([]byte(value))
		if problem == "" && n < len(value) {
			problem = "expected nothing after the number"
		}
		if problem != "" {
			return protoreflect.Value{}, s.wrong(f, problem)
		}
		return s.integer(f, v)
	case boolean:
		if value != "true" && value != "false" {
			return protoreflect.Value{}, s.wrong(f, "expected true or false")
		}
		return protoreflect.ValueOfBool(value == "true"), nil
	}
	if problem := refuseText(value); problem != "" {
		return protoreflect.Value{}, s.wrong(f, problem)
	}
	return s.text(f, []byte(value))
}

// decodePath puts the path's parameters into m. They are letters, digits and _; whether an id stands for something is
// for the handler to say.
func (r *route) decodePath(path string, m protoreflect.Message) *fault.Error {
	n := 0
	for _, seg := range r.segments {
		head, rest := cutSegment(path)
		path = rest
		if seg[0] != '{' {
			continue
		}
		f := r.path[n]
		n++
		if !isID(head, f.maxLen) {
			return fault.InvalidID.New("").WithParam(f.name)
		}
		m.Set(f.fd, protoreflect.ValueOfString(head))
	}
	return nil
}

func isID(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			return false
		}
	}
	return true
}
