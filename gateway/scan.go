package gateway

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/koban-pay/koban/fault"
)

// scanner reads JSON tokens (RFC 8259) byte by byte. It knows no value but text, whole numbers and the three words.
type scanner struct {
	b   []byte
	pos int
}

// next skips white space and returns the byte that follows, without taking it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.pos < len(s.b); s.pos++ {
		switch c := s.b[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and takes c, if it follows.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.pos++
	return true
}

// word takes w, if it follows.
func (s *scanner) word(w string) bool {
	if s.next() == w[0] && len(s.b)-s.pos >= len(w) && string(s.b[s.pos:s.pos+len(w)]) == w {
		s.pos += len(w)
		return true
	}
	return false
}

// syntax is the fault of a body that is not JSON at the current place.
func (s *scanner) syntax(expected string) *fault.Error {
	if s.pos >= len(s.b) {
		return fault.InvalidRequest.New("the JSON ends at byte %d; expected %s", s.pos, expected)
	}
	return fault.InvalidRequest.New("byte %d of the JSON is %q; expected %s", s.pos, s.b[s.pos:s.pos+1], expected)
}

// text takes a text and returns it, within the body where it has no escapes. What is wrong with it is returned as
// a problem, for the field's own fault; the body is not read on after that.
func (s *scanner) text() (raw []byte, problem string) {
	if !s.take('"') {
		return nil, "expected a text in double quotes"
	}
	start := s.pos
	var seen runes
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; {
		case c == '"':
			s.pos++
			return s.b[start : s.pos-1], ""
		case c == '\\':
			return s.escaped(start, seen)
		case c < utf8.RuneSelf && c >= ' ' && c != 0x7f:
			seen.last = rune(c)
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.b[s.pos:])
			if problem := seen.refuse(r, n); problem != "" {
				return nil, problem
			}
			s.pos += n
		}
	}
	return nil, "the text has no closing quote"
}

// escaped goes on with a text that has escapes, into memory of its own.
func (s *scanner) escaped(start int, seen runes) (raw []byte, problem string) {
	out := append(make([]byte, 0, s.pos-start+64), s.b[start:s.pos]...)
	for s.pos < len(s.b) {
		c := s.b[s.pos]
		if c == '"' {
			s.pos++
			return out, ""
		}
		r, n := rune(0), 0
		if c == '\\' {
			r, n = s.escape()
		} else {
			r, n = utf8.DecodeRune(s.b[s.pos:])
		}
		if problem := seen.refuse(r, n); problem != "" {
			return nil, problem
		}
		out = utf8.AppendRune(out, r)
		s.pos += n
	}
	return nil, "the text has no closing quote"
}

// escape returns the rune of the escape that follows and the bytes it takes; RuneError and 1 if it is none.
func (s *scanner) escape() (rune, int) {
	b := s.b[s.pos:]
	if len(b) < 2 {
		return utf8.RuneError, 1
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b', 'f', 'n', 'r', 't':
		return '\n', 2 // a control character, whichever: refused by the caller
	case 'u':
		r := hex4(b[2:])
		if !utf16.IsSurrogate(r) {
			if r < 0 {
				return utf8.RuneError, 1
			}
			return r, 6
		}
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if r = utf16.DecodeRune(r, hex4(b[8:])); r != utf8.RuneError {
				return r, 12
			}
		}
	}
	return utf8.RuneError, 1
}

func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// number takes a whole number.
func (s *scanner) number() (v int64, problem string) {
	s.next()
	v, n, problem := wholeNumber(s.b[s.pos:])
	s.pos += n
	return v, problem
}

// wholeNumber reads the whole number at the start of b and returns how many bytes it took. It refuses, on the bytes of
// the token, everything that is not the one way to write a number of 64 bits: fraction, exponent, sign +, leading
// zeros, -0, text, other scripts' digits.
func wholeNumber(b []byte) (v int64, n int, problem string) {
	const notWhole = "expected a whole number, written with the digits 0-9 only"
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		n = 1
	}
	first := n
	for ; n < len(b) && '0' <= b[n] && b[n] <= '9'; n++ {
		d := int64(b[n] - '0')
		if v < (-1<<63+d)/10 {
			return 0, n, "the number does not fit 64 bits"
		}
		v = v*10 - d // negative, because there is one more of those
	}
	switch {
	case n == first:
		return 0, n, notWhole
	case b[first] == '0' && (n > first+1 || negative):
		return 0, n, "expected a whole number without leading zeros or -0"
	case n < len(b) && !endsToken(b[n]):
		return 0, n, notWhole + ", without fraction or exponent"
	case !negative && v == -1<<63:
		return 0, n, "the number does not fit 64 bits"
	case !negative:
		v = -v
	}
	return v, n, ""
}

func endsToken(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ']', '}':
		return true
	}
	return false
}
