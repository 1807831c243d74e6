package gateway

import (
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/money"
)

// decode reads a JSON object into m. A body of nothing but white space is the empty object. The fault names the
// member at fault in dotted form.
func decode(s *schema, body []byte, m protoreflect.Message) *fault.Error {
	d := &decoder{scanner{b: body}}
	if d.next() == 0 && d.pos == len(body) {
		return s.missing(0)
	}
	if d.next() != '{' {
		return d.syntax("an object")
	}
	if err := d.object(s, m); err != nil {
		return err
	}
	if d.next(); d.pos < len(body) {
		return d.syntax("nothing after the object")
	}
	return nil
}

// decoder reads along a schema. It goes only as deep as the schema does, whatever the body nests.
type decoder struct{ scanner }

func (d *decoder) object(s *schema, m protoreflect.Message) *fault.Error {
	var seen uint64
	d.take('{')
	for first := true; !d.take('}'); first = false {
		if !first && !d.take(',') {
			return d.syntax("a comma or the end of the object")
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		i, ok := s.byName[string(name)]
		if !ok || !s.fields[i].settable() {
			return fault.UnknownField.New("").WithParam(plain(name))
		}
		f := &s.fields[i]
		if seen&(1<<i) != 0 {
			return fault.InvalidRequest.New("the member stands twice in one object").WithParam(f.name)
		}
		seen |= 1 << i
		if err := d.member(s, f, m); err != nil {
			return under(f.name, err)
		}
	}
	return s.missing(seen)
}

// name takes a member's name and the colon.
func (d *decoder) name() ([]byte, *fault.Error) {
	if d.next() != '"' {
		return nil, d.syntax("a member's name in double quotes")
	}
	name, problem := d.text()
	if problem != "" {
		return nil, fault.InvalidRequest.New("a member's name: %s", problem)
	}
	if !d.take(':') {
		return nil, d.syntax("a colon")
	}
	return name, nil
}

func (d *decoder) member(s *schema, f *field, m protoreflect.Message) *fault.Error {
	if d.next() == 'n' && d.word("null") {
		if f.nullable {
			return nil
		}
		return s.wrong(f, "null stands for nothing here; leave the member out")
	}
	switch {
	case f.list:
		return d.items(s, f, m.Mutable(f.fd).List())
	case f.dict:
		return d.entries(s, f, m.Mutable(f.fd).Map())
	case f.kind == object:
		return d.message(s, f, m.Mutable(f.fd).Message())
	}
	v, err := d.scalar(s, f)
	if err == nil {
		m.Set(f.fd, v)
	}
	return err
}

func (d *decoder) message(s *schema, f *field, m protoreflect.Message) *fault.Error {
	if d.next() != '{' {
		return s.wrong(f, "expected an object")
	}
	return d.object(f.of, m)
}

func (d *decoder) items(s *schema, f *field, l protoreflect.List) *fault.Error {
	if !d.take('[') {
		return s.wrong(f, "expected a list")
	}
	for n := 0; !d.take(']'); n++ {
		if n > 0 && !d.take(',') {
			return d.syntax("a comma or the end of the list")
		}
		if n == f.maxLen {
			return s.wrong(f, "the list has more than "+strconv.Itoa(n)+" items")
		}
		var err *fault.Error
		if f.kind == object {
			err = d.message(s, f, l.AppendMutable().Message())
		} else {
			var v protoreflect.Value
			if v, err = d.scalar(s, f); err == nil {
				l.Append(v)
			}
		}
		if err != nil {
			return under(strconv.Itoa(n), err)
		}
	}
	return nil
}

func (d *decoder) entries(s *schema, f *field, m protoreflect.Map) *fault.Error {
	if !d.take('{') {
		return s.wrong(f, "expected an object")
	}
	size := 0
	for n := 0; !d.take('}'); n++ {
		if n > 0 && !d.take(',') {
			return d.syntax("a comma or the end of the object")
		}
		if n == f.maxLen {
			return s.wrong(f, "the object has more than "+strconv.Itoa(n)+" members")
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		if plain(name) == unnameable {
			return s.wrong(f, "a name is 1 to 64 of the characters A-Z a-z 0-9 . _ -")
		}
		if holdsCard(string(name)) {
			return s.wrong(f, cardInEntry) // the number is not repeated
		}
		k := protoreflect.ValueOfString(string(name)).MapKey()
		if m.Has(k) {
			return under(k.String(), s.wrong(f, "the member stands twice in one object"))
		}
		v, problem := d.text()
		if problem == "" && longer(v, mapText) {
			problem = "the text is longer than " + strconv.Itoa(mapText) + " characters"
		}
		if problem == "" {
			problem = refuseCard(k.String(), string(v))
		}
		if problem != "" {
			return under(k.String(), s.wrong(f, problem))
		}
		if size += len(name) + len(v); f.maxBytes > 0 && size > f.maxBytes {
			return s.wrong(f, "the keys and values have more than "+strconv.Itoa(f.maxBytes)+" bytes together")
		}
		m.Set(k, protoreflect.ValueOfString(string(v)))
	}
	return nil
}

func (d *decoder) scalar(s *schema, f *field) (protoreflect.Value, *fault.Error) {
	switch f.kind {
	case integer:
		v, problem := d.number()
		if problem != "" {
			return protoreflect.Value{}, s.wrong(f, problem)
		}
		return s.integer(f, v)
	case boolean:
		if d.word("true") {
			return protoreflect.ValueOfBool(true), nil
		}
		if d.word("false") {
			return protoreflect.ValueOfBool(false), nil
		}
		return protoreflect.Value{}, s.wrong(f, "expected true or false")
	}
	t, problem := d.text()
	if problem != "" {
		return protoreflect.Value{}, s.wrong(f, problem)
	}
	return s.text(f, t)
}

// The checks below serve the body and the query alike.

func (s *schema) integer(f *field, v int64) (protoreflect.Value, *fault.Error) {
	if v < f.min || v > f.max {
		return protoreflect.Value{}, s.wrong(f, "expected a number of "+strconv.FormatInt(f.min, 10)+" to "+strconv.FormatInt(f.max, 10))
	}
	return protoreflect.ValueOfInt64(v), nil
}

// longer reports whether a text has more than most characters. Like the published maxLength it counts Unicode
// characters, not bytes.
func longer(t []byte, most int) bool { return len(t) > most && utf8.RuneCount(t) > most }

// text returns the value of a text or word that is free of refused characters.
func (s *schema) text(f *field, t []byte) (protoreflect.Value, *fault.Error) {
	if f.kind == word {
		n, ok := f.words.byWord[string(t)]
		if !ok {
			return protoreflect.Value{}, s.wrong(f, "expected one of "+f.words.list())
		}
		return protoreflect.ValueOfEnum(n), nil
	}
	if longer(t, f.maxLen) {
		return protoreflect.Value{}, s.wrong(f, "the text is longer than "+strconv.Itoa(f.maxLen)+" characters")
	}
	v := string(t)
	if f.label {
		if problem := refuseLabel(v); problem != "" {
			return protoreflect.Value{}, s.wrong(f, problem)
		}
	}
	if s.money && f.name == "currency" {
		if _, err := money.ParseCurrency(v); err != nil {
			return protoreflect.Value{}, s.wrong(f, "expected an active currency of ISO 4217 in three upper-case letters, or PT")
		}
	}
	if v == "" && s.required(f) {
		return protoreflect.Value{}, fault.MissingField.New("the text is empty")
	}
	return protoreflect.ValueOfString(v), nil
}

// settable reports whether a request may carry f. Times and unions are for answers only.
func (f *field) settable() bool { return f.kind != instant && f.kind != union }

func (s *schema) required(f *field) bool { return s.need&(1<<s.byName[f.name]) != 0 }

// missing returns the fault of the first required field that was not seen, in the order of the contract.
func (s *schema) missing(seen uint64) *fault.Error {
	if s.need&^seen == 0 {
		return nil
	}
	for i := range s.fields {
		if (s.need&^seen)&(1<<i) != 0 {
			return fault.MissingField.New("").WithParam(s.fields[i].name)
		}
	}
	return nil
}

// wrong returns the fault of a value that f does not take. Amounts have codes of their own.
func (s *schema) wrong(f *field, problem string) *fault.Error {
	code := fault.InvalidRequest
	switch {
	case s.money && f.name == "currency":
		code = fault.InvalidCurrency
	case s.money, f.of != nil && f.of.money:
		code = fault.InvalidAmount
	}
	return code.New("%s", problem)
}

// under returns err with one more step in front of its param.
func under(step string, err *fault.Error) *fault.Error {
	if err.Param == "" {
		return err.WithParam(step)
	}
	return err.WithParam(step + "." + err.Param)
}

const unnameable = "?"

// plain returns a caller's own word if it is harmless to repeat, and ? otherwise.
func plain(b []byte) string {
	if len(b) == 0 || len(b) > mapKey {
		return unnameable
	}
	for _, c := range b {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return unnameable
		}
	}
	return string(b)
}
