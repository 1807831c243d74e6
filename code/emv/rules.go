package emv

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/koban-pay/koban/money"
)

// class is the set of characters a value may have (EMV MPM §4.1).
type class uint8

const (
	open    class = iota // any: reserved for future use
	digits               // N: 0–9
	special              // ans: printable ASCII
	text                 // S: Unicode, without control characters
)

// rule is one row of a table of objects. A max of zero means that the table has no such object.
type rule struct {
	min, max  int // length in characters
	class     class
	mandatory bool
	expected  bool // codes of whole countries leave it out: see nationalSystems
}

// rootRules is the table of root objects (EMV MPM §3.2, table 3.1 and §4.7). Templates have the class that their
// objects share. At least one of 02–51 is mandatory as well.
var rootRules = func() (t [100]rule) {
	t[0] = rule{2, 2, digits, true, false}
	t[1] = rule{2, 2, digits, false, false}
	fill(t[2:52], rule{1, 99, special, false, false})
	t[52] = rule{min: 4, max: 4, class: digits, expected: true}
	t[53] = rule{3, 3, digits, true, false}
	t[54] = rule{1, 13, special, false, false}
	t[55] = rule{2, 2, digits, false, false}
	t[56] = rule{1, 13, special, false, false}
	t[57] = rule{1, 5, special, false, false}
	t[58] = rule{2, 2, special, true, false}
	t[59] = rule{min: 1, max: 25, class: special, expected: true}
	t[60] = rule{min: 1, max: 15, class: special, expected: true}
	t[61] = rule{1, 10, special, false, false}
	t[62] = rule{1, 99, open, false, false} // oddities inside are warnings
	t[63] = rule{4, 4, special, true, false}
	t[64] = rule{1, 99, open, false, false}
	fill(t[65:80], rule{1, 99, open, false, false})
	fill(t[80:], rule{1, 99, text, false, false})
	return t
}()

// systemRules is the table inside a template that belongs to a payment system: 26–51, 80–99, and 62.50–99.
var systemRules = func() (t [100]rule) {
	t[0] = rule{1, 32, special, true, false}
	fill(t[1:], rule{1, 99, open, false, false})
	return t
}()

// additionalRules is the table inside 62. Only the lengths are binding.
var additionalRules = func() (t [100]rule) {
	t[0] = rule{1, 99, open, false, false}
	fill(t[1:9], rule{1, 25, special, false, false})
	t[9] = rule{1, 3, special, false, false}
	t[10] = rule{1, 20, special, false, false}
	t[11] = rule{3, 3, digits, false, false}
	fill(t[12:], rule{1, 99, open, false, false})
	return t
}()

// languageRules is the table inside 64.
var languageRules = func() (t [100]rule) {
	t[0] = rule{2, 2, special, true, false}
	t[1] = rule{1, 25, text, true, false}
	t[2] = rule{1, 15, text, false, false}
	fill(t[3:], rule{1, 99, open, false, false})
	return t
}()

func fill(rules []rule, r rule) {
	for i := range rules {
		rules[i] = r
	}
}

// templateRules returns the table for the objects inside the object with the given path, or nil if it is no template.
func templateRules(path string) *[100]rule {
	n := number(path)
	switch {
	case n == 62:
		return &additionalRules
	case n == 64:
		return &languageRules
	case 26 <= n && n <= 51, n >= 80:
		return &systemRules
	case len(path) == 5 && path[:3] == "62." && path[3] >= '5':
		return &systemRules
	}
	return nil
}

// read checks what the scanned objects mean, and opens the templates among them.
func (c *Code) read() *Error {
	end := c.Objects[len(c.Objects)-1].Offset // what is missing should have come before the check sum
	if refusal := c.check(c.Objects, &rootRules, "", end); refusal != nil {
		return refusal
	}
	for _, rule := range [...]func(*Code, int) *Error{checkFixed, checkAccounts, checkMoney, checkTip, checkLanguage, readJPQR} {
		if refusal := rule(c, end); refusal != nil {
			return refusal
		}
	}
	return nil
}

// check holds objects against a table, and opens the templates among them. parent is the path of the template that
// holds them; end is the offset of its end.
func (c *Code) check(objects []Object, rules *[100]rule, parent string, end int) *Error {
	for i := range objects {
		o := &objects[i]
		if refusal := c.checkValue(o, &rules[number(o.ID)], parent); refusal != nil {
			return refusal
		}
		if refusal := c.openTemplate(o, parent); refusal != nil {
			return refusal
		}
	}
	for n := range rules {
		if !rules[n].mandatory && !rules[n].expected || find(objects, idText(n)) != nil {
			continue
		}
		missing := refuse(MissingMandatory, join(parent, idText(n)), end, "The object is mandatory, but it is not there.")
		if rules[n].mandatory {
			return missing
		}
		if refusal := c.tolerate(missing); refusal != nil {
			return refusal
		}
	}
	return nil
}

// mayBeEmpty reports whether an object may have a length of zero. The standard leaves out what has no value; live codes
// have an empty name or city, and empty hints in 62.
func mayBeEmpty(parent, id string) bool {
	return parent == "62" || parent == "" && (id == "59" || id == "60")
}

// checkValue holds one object against its row.
func (c *Code) checkValue(o *Object, rule *rule, parent string) *Error {
	length := utf8.RuneCountInString(o.Value)
	if length == 0 {
		return c.tolerate(refuse(BadLength, join(parent, o.ID), o.Offset+2, "The length is zero; an object without a value is left out."))
	}
	if length < rule.min || length > rule.max {
		expected := idText(rule.max)
		if rule.min < rule.max {
			expected = idText(rule.min) + " to " + expected
		}
		refusal := refuse(BadLength, join(parent, o.ID), o.Offset+2, "The length is %02d; expected %s.", length, expected)
		if parent == "62" && o.ID == "09" { // Vietnam has an invoice number there
			return c.tolerate(refusal)
		}
		return refusal
	}
	if at := rule.class.mismatch(o.Value); at >= 0 {
		refusal := refuse(BadFormat, join(parent, o.ID), o.Offset+4+at, "Found %q; expected %s.", []rune(o.Value)[at], rule.class)
		if parent != "62" {
			return refusal
		}
		c.warn(refusal)
	}
	if parent == "62" {
		c.checkAdditional(o)
	}
	return nil
}

// openTemplate splits the text of a template into objects and checks those. It leaves other objects as they are.
func (c *Code) openTemplate(o *Object, parent string) *Error {
	path := o.ID
	if parent != "" {
		if parent != "62" || o.ID < "50" {
			return nil
		}
		path = join(parent, o.ID)
	}
	rules := templateRules(path)
	if rules == nil {
		return nil
	}
	start := o.Offset + 4
	end := start + utf8.RuneCountInString(o.Value)
	objects, refusal := scan(o.Value, path, start)
	if refusal == nil && parent == "62" { // nothing in 62 makes a code unreadable: look before it is believed
		refusal = (&Code{national: c.national}).check(slices.Clone(objects), rules, path, end)
	}
	if refusal != nil && (parent == "62" || unreserved(path) && isPlain(o.Value)) {
		c.warn(refuse(refusal.Code, path, o.Offset+4, "It should be a template and is read as text, because of %s: %s", refusal.Object, refusal.Message))
		return nil
	}
	if refusal != nil {
		return refusal
	}
	o.Value, o.Objects = "", objects
	return c.check(objects, rules, path, end)
}

// unreserved reports whether path is one of the unreserved templates of the root, 80–99.
func unreserved(path string) bool { return number(path) >= 80 }

// isPlain reports whether a text does not even begin as an object: live codes have plain values where the standard has
// templates of systems that it does not know (EMV MPM §4.8, §4.11). Nobody reads those here, so they do no harm.
func isPlain(text string) bool {
	_, _, refusal := next(text, "", 0)
	return refusal != nil && !(refusal.Code == BadLength && strings.HasPrefix(text[min(2, len(text)):], "00"))
}

// checkAdditional warns of values in 62 outside the sets that the standard gives. They are hints for the app, and
// widely used codes get them wrong, so they do not make a code unreadable.
func (c *Code) checkAdditional(o *Object) {
	switch o.ID {
	case "00":
		c.warn(refuse(BadID, "62.00", o.Offset, "Template 62 has no object 00."))
	case "09":
		for i := range o.Value {
			if !strings.Contains("AME", o.Value[i:i+1]) || strings.Contains(o.Value[:i], o.Value[i:i+1]) {
				c.warn(refuse(BadValue, "62.09", o.Offset+4, "Found %q; expected A, M and E, each at most once.", o.Value))
				return
			}
		}
	}
}

// tolerate makes a warning of what is odd in the codes of a national system, and returns it as it is for all others.
func (c *Code) tolerate(e *Error) *Error {
	if !c.national {
		return e
	}
	c.warn(e)
	return nil
}

func (c *Code) warn(e *Error) {
	c.Warnings = append(c.Warnings, Warning{Object: e.Object, Offset: e.Offset, Message: e.Message})
}

// mismatch returns the index, in characters, of the first character of s that is not in k, or -1.
func (k class) mismatch(s string) int {
	if k == open {
		return -1
	}
	n := 0
	for _, r := range s {
		ok := true
		switch k {
		case digits:
			ok = '0' <= r && r <= '9'
		case special:
			ok = ' ' <= r && r <= '~'
		case text:
			ok = !unicode.IsControl(r)
		case open:
		}
		if !ok {
			return n
		}
		n++
	}
	return -1
}

func (k class) String() string {
	return [...]string{"anything", "digits", "printable ASCII characters", "text without control characters"}[k]
}

// twoDigits is "000102…99", so that idText allocates nothing.
var twoDigits = func() string {
	b := make([]byte, 0, 200)
	for n := range 100 {
		b = append(b, byte('0'+n/10), byte('0'+n%10))
	}
	return string(b)
}()

// idText returns n, 0–99, as two digits.
func idText(n int) string { return twoDigits[2*n : 2*n+2] }

// checkFixed holds objects against the values that the standard lists.
func checkFixed(c *Code, _ int) *Error {
	if o := &c.Objects[0]; o.Value != "01" {
		return refuse(BadValue, "00", o.Offset+4, "The payload format indicator is %q; expected 01.", o.Value)
	}
	if o := find(c.Objects, "01"); o != nil && o.Value != "11" && o.Value != "12" {
		return refuse(BadValue, "01", o.Offset+4, "The point of initiation is %q; expected 11 (static) or 12 (dynamic).", o.Value)
	}
	if o := find(c.Objects, "58"); !isCountry(o.Value) {
		return refuse(BadValue, "58", o.Offset+4, "%q is no country of ISO 3166-1.", o.Value)
	}
	return nil
}

// checkAccounts demands a way to pay the merchant (EMV MPM §4.7.2).
func checkAccounts(c *Code, end int) *Error {
	for i := range c.Objects {
		if id := c.Objects[i].ID; "02" <= id && id <= "51" {
			return nil
		}
	}
	return refuse(MissingMandatory, "26", end, "There is no merchant account information; expected at least one of 02 to 51.")
}

func checkLanguage(c *Code, _ int) *Error {
	if o := find(c.Objects, "64.00"); o != nil && (!isLetter(o.Value[0]) || !isLetter(o.Value[1])) {
		return refuse(BadValue, "64.00", o.Offset+4, "%q is no language of ISO 639-1.", o.Value)
	}
	return nil
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// checkMoney reads the currency and the amount.
func checkMoney(c *Code, _ int) *Error {
	o := find(c.Objects, "53")
	currency := c.Currency()
	if currency == money.None {
		return refuse(BadValue, "53", o.Offset+4, "%q is no active currency of ISO 4217.", o.Value)
	}
	refusal := checkAmount(find(c.Objects, "54"), currency)
	if refusal != nil && isZero(c.Text("54")) { // the payer says how much
		refusal = c.tolerate(refusal)
	}
	return refusal
}

// isZero reports whether an amount is digits of value zero.
func isZero(s string) bool { return s != "" && strings.Trim(s, "0.") == "" && strings.Contains(s, "0") }
