package wire

import (
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// Names turns ids into the texts that the other side knows, and back. Both are exact: one id, one text.
type Names interface {
	// Text returns the text of an id, of 1 to 64 printable ASCII characters without spaces.
	Text(id.ID) string
	// ID returns the id of a text. The error says what was expected.
	ID(text string) (id.ID, error)
}

// Plain writes an id as 24 characters, and a part of it with a dot and the part's number: what stands before the dot of
// a branch names its payment.
type Plain struct{}

// base32 of Crockford in lower case: texts sort as ids do.
var base = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const rootLen = 24 // characters for 15 bytes

// Text returns the text of x.
func (Plain) Text(x id.ID) string {
	text := base.EncodeToString(x[:15])
	if n := x.Part(); n > 0 {
		text += "." + strconv.Itoa(int(n))
	}
	return text
}

// ID returns the id that text stands for.
func (Plain) ID(text string) (x id.ID, err error) {
	root, part, dotted := strings.Cut(text, ".")
	var raw [15]byte
	// The decoder skips line breaks, so the count is checked too: an id has one text only.
	if len(root) != rootLen || strings.ContainsAny(root, "\r\n") {
		return id.Nil, errName
	}
	if n, err := base.Decode(raw[:], []byte(root)); err != nil || n != len(raw) {
		return id.Nil, errName
	}
	copy(x[:], raw[:])
	if dotted {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != part {
			return id.Nil, errName
		}
		x = x.Facet(uint8(n))
	}
	return x, nil
}

var errName = fmt.Errorf("expected %d characters of 0-9 a-z without i l o u, and for a part a dot and its number", rootLen)

// goodText reports whether text may stand for an id, a code or a book.
func goodText(text string) bool {
	if text == "" || len(text) > maxText {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// named is the id of a text that a request must hold.
func named(n Names, text, param string) (id.ID, error) {
	if text == "" {
		return id.Nil, fault.MissingField.New("%s is missing", param).WithParam(param)
	}
	if !goodText(text) {
		return id.Nil, fault.InvalidID.New("%s has to be 1 to %d printable characters without spaces", param, maxText).WithParam(param)
	}
	x, err := n.ID(text)
	if err != nil {
		return id.Nil, fault.InvalidID.New("%s: %s", param, err.Error()).WithParam(param)
	}
	return x, nil
}

// maybe is the id of a text that may be left out.
func maybe(n Names, text, param string) (id.ID, error) {
	if text == "" {
		return id.Nil, nil
	}
	return named(n, text, param)
}

func textOf(n Names, x id.ID) string {
	if x.IsNil() {
		return ""
	}
	return n.Text(x)
}
