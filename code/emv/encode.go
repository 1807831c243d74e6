package emv

import (
	"unicode/utf8"
)

// Encode writes c.Objects in their order, with the check sum last; an object 63 at the end is computed anew. What it
// returns, Decode reads, and what Decode would refuse it refuses, always with an *Error whose offset counts in the
// payload that would have been. Profile, JPQR and Warnings of c are not looked at.
func Encode(c *Code) (string, error) {
	payload, refusal := encode(c)
	if refusal != nil {
		return "", refusal
	}
	if _, err := Decode(payload); err != nil {
		return "", err
	}
	return payload, nil
}

func encode(c *Code) (string, *Error) {
	if c == nil {
		return "", refuse(MissingMandatory, "00", 0, "There is no code to write.")
	}
	objects := c.Objects
	if n := len(objects); n > 0 && objects[n-1].ID == "63" {
		objects = objects[:n-1]
	}
	w := writer{buf: make([]byte, 0, MaxLength)}
	if refusal := w.write(objects, ""); refusal != nil {
		return "", refusal
	}
	w.buf = append(w.buf, "6304"...)
	return string(append(w.buf, crcText(CRC16(w.buf))...)), nil
}

// writer holds a payload in the making.
type writer struct {
	buf    []byte
	length int // of buf, in characters
}

func (w *writer) write(objects []Object, parent string) *Error {
	for i := range objects {
		if refusal := w.writeOne(&objects[i], parent); refusal != nil {
			return refusal
		}
	}
	return nil
}

func (w *writer) writeOne(o *Object, parent string) *Error {
	path, start := join(parent, o.ID), w.length
	if number(o.ID) < 0 {
		return refuse(BadID, parent, start, "Found the identifier %q; expected two digits.", o.ID)
	}
	header := len(w.buf)
	w.add(o.ID + "00")
	switch {
	case o.Objects == nil:
		w.add(o.Value)
	case templateRules(path) == nil:
		return refuse(TooDeep, path, start, "The object is no template, but has objects inside.")
	case o.Value != "":
		return refuse(BadValue, path, start, "The object has both text and objects inside.")
	default:
		if refusal := w.write(o.Objects, path); refusal != nil {
			return refusal
		}
	}
	length := w.length - start - 4
	if length > 99 || length < 1 && !mayBeEmpty(parent, o.ID) {
		return refuse(BadLength, path, start+2, "The length is %d; expected 1 to 99.", length)
	}
	copy(w.buf[header+2:], idText(length))
	return nil
}

func (w *writer) add(s string) {
	w.buf = append(w.buf, s...)
	w.length += utf8.RuneCountInString(s)
}
