package emv

import (
	"strings"
	"unicode/utf8"
)

// Decoder reads payloads. The zero value is strict.
type Decoder struct {
	LowerCaseCRC bool // take a check sum whose hexadecimal digits are in lower case, as some writers make it
}

// Decode reads a payload strictly. The error is always an *Error.
func Decode(payload string) (*Code, error) { return Decoder{}.Decode(payload) }

// Decode reads a payload: the text in the image, without a blank or line end around it. The error is always an *Error.
func (d Decoder) Decode(payload string) (*Code, error) {
	c, refusal := d.decode(payload)
	if refusal != nil {
		return nil, refusal
	}
	return c, nil
}

func (d Decoder) decode(payload string) (*Code, *Error) {
	length, refusal := measure(payload)
	if refusal != nil {
		return nil, refusal
	}
	objects, refusal := scan(payload, "", 0)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := checkFirst(objects); refusal != nil {
		return nil, refusal
	}
	if refusal := d.checkSum(payload, length, objects); refusal != nil {
		return nil, refusal
	}
	c := &Code{Objects: objects, national: isNational(objects)}
	if refusal := c.read(); refusal != nil {
		return nil, refusal
	}
	return c, nil
}

// consumerPresented are the first characters of consumer-presented codes: base 64 of tag 85 with "CPV01" and "JPQR1".
var consumerPresented = [...]string{"hQVDUFYwMW", "hQVKUFFS"}

// measure returns the length of payload in characters. It refuses what cannot be a merchant-presented code at all.
func measure(payload string) (int, *Error) {
	for _, start := range consumerPresented {
		if strings.HasPrefix(payload, start) {
			return 0, refuse(UnsupportedKind, "", 0, "This is a consumer-presented code; expected a merchant-presented one.")
		}
	}
	n := 0
	for i, r := range payload {
		if r == utf8.RuneError {
			if _, width := utf8.DecodeRuneInString(payload[i:]); width == 1 {
				return 0, refuse(NotUTF8, "", n, "Found the byte %#02x; expected UTF-8 text.", payload[i])
			}
		}
		if n++; n > MaxLength {
			return 0, refuse(TooLong, "", MaxLength, "Found more than %d characters.", MaxLength)
		}
	}
	return n, nil
}

// scan splits text, which starts at character offset of the payload, into objects. It looks at framing only. parent is
// the path of the template that holds text, or "" for the root.
func scan(text, parent string, offset int) ([]Object, *Error) {
	var (
		objects = make([]Object, 0, min(16, 1+len(text)/6))
		seen    [100]bool
	)
	for len(text) > 0 {
		o, rest, refusal := next(text, parent, offset)
		if refusal != nil {
			return nil, refusal
		}
		if parent == "" && o.ID == "63" && rest != "" {
			return nil, refuse(CRCNotLast, "63", offset, "More follows the check sum; expected it to be last.")
		}
		n := number(o.ID)
		if seen[n] {
			return nil, refuse(DuplicateID, join(parent, o.ID), offset, "The object is there already.")
		}
		seen[n] = true
		objects = append(objects, o)
		offset += 4 + utf8.RuneCountInString(o.Value)
		text = rest
	}
	return objects, nil
}

// next cuts the first object off text, which is not empty.
func next(text, parent string, offset int) (o Object, rest string, _ *Error) {
	for i := range 2 {
		if i == len(text) {
			return o, "", refuse(TruncatedValue, parent, offset+i, "The text ends inside an identifier.")
		}
		if !isDigit(text[i]) {
			return o, "", refuse(BadID, parent, offset+i, "Found %q in an identifier; expected two digits.", runeAt(text, i))
		}
	}
	id := text[:2]
	for i := 2; i < 4; i++ {
		if i == len(text) {
			return o, "", refuse(TruncatedValue, join(parent, id), offset+i, "The text ends inside a length.")
		}
		if !isDigit(text[i]) {
			return o, "", refuse(BadLength, join(parent, id), offset+i, "Found %q in a length; expected two digits.", runeAt(text, i))
		}
	}
	length := number(text[2:4])
	if length == 0 && !mayBeEmpty(parent, id) {
		return o, "", refuse(BadLength, join(parent, id), offset+2, "The length is zero; an object without a value is left out.")
	}
	end := 4
	for n := range length {
		if end == len(text) {
			return o, "", refuse(TruncatedValue, join(parent, id), offset+2, "The length is %d, but only %d characters follow.", length, n)
		}
		_, width := utf8.DecodeRuneInString(text[end:])
		end += width
	}
	return Object{ID: id, Value: text[4:end], Offset: offset}, text[end:], nil
}

// checkFirst refuses objects that do not start with 00.
func checkFirst(objects []Object) *Error {
	if len(objects) > 0 && objects[0].ID == "00" {
		return nil
	}
	if o := find(objects, "00"); o != nil {
		return refuse(BadOrder, "00", o.Offset, "The payload format indicator is not first.")
	}
	return refuse(MissingMandatory, "00", 0, "There is no payload format indicator; a merchant-presented code starts with 000201.")
}

// checkSum refuses a payload whose last object is not its check sum. The sum covers everything before the four digits,
// "6304" included.
func (d Decoder) checkSum(payload string, length int, objects []Object) *Error {
	o := objects[len(objects)-1]
	if o.ID != "63" {
		return refuse(CRCMissing, "63", length, "There is no check sum; the payload may have been cut off.")
	}
	if n := utf8.RuneCountInString(o.Value); n != 4 {
		return refuse(BadLength, "63", o.Offset+2, "The check sum has %d characters; expected 4.", n)
	}
	at := o.Offset + 4
	for i, r := range []rune(o.Value) {
		switch {
		case '0' <= r && r <= '9', 'A' <= r && r <= 'F':
		case 'a' <= r && r <= 'f' && d.LowerCaseCRC:
		default:
			return refuse(BadCRCFormat, "63", at+i, "Found %q in the check sum; expected upper-case hexadecimal digits.", r)
		}
	}
	if want := crcText(crc16(payload[:len(payload)-4])); strings.ToUpper(o.Value) != want {
		return refuse(BadCRC, "63", at, "The check sum is %s, but the payload's is %s; it was damaged or edited.", o.Value, want)
	}
	return nil
}

func join(parent, id string) string {
	if parent == "" {
		return id
	}
	return parent + "." + id
}

func runeAt(s string, i int) rune {
	r, _ := utf8.DecodeRuneInString(s[i:])
	return r
}
