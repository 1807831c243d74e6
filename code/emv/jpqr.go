package emv

import (
	"strings"
	"unicode/utf8"

	"github.com/koban-pay/koban/money"
)

// jpqrGUID marks the account template of the JPQR profile.
const jpqrGUID = "jp.or.paymentsjapan"

// jpqrLevels are the lengths of 01–04 in the account template: 68 characters together with 00.
var jpqrLevels = [...]int{13, 4, 6, 6}

// JPQR is the id that Payments Japan gives a store: a company, and three levels of its hierarchy below.
type JPQR struct {
	LV1 string `json:"lv1"` // 13 characters
	LV2 string `json:"lv2"` // 4
	LV3 string `json:"lv3"` // 6
	LV4 string `json:"lv4"` // 6
}

// String returns the four levels without anything between them: 29 characters that name one store.
func (j JPQR) String() string { return j.LV1 + j.LV2 + j.LV3 + j.LV4 }

// readJPQR finds the JPQR account template and holds the code against the profile (JPQR MPM guideline): country JP, yen,
// postal code, the name in Japanese without a city. A code without the template is no JPQR code, and fine.
func readJPQR(c *Code, end int) *Error {
	account := ""
	for i := range c.Objects {
		o := &c.Objects[i]
		if g := find(o.Objects, "00"); o.ID > "51" || g == nil || g.Value != jpqrGUID {
			continue
		}
		if account != "" {
			return refuse(DuplicateID, o.ID, o.Offset, "A second JPQR store id, after the one in %s; expected one.", account)
		}
		account = o.ID
		if refusal := c.readJPQRAccount(o); refusal != nil {
			return refusal
		}
	}
	if account == "" {
		return nil
	}
	c.Profile = ProfileJPQR
	for _, want := range [...]struct{ id, value string }{{"52", ""}, {"53", "392"}, {"58", "JP"}, {"59", ""}, {"60", ""}, {"61", ""}, {"64", ""}, {"64.00", "JA"}} {
		o := find(c.Objects, want.id)
		if o == nil {
			return refuse(MissingMandatory, want.id, end, "JPQR demands the object, but it is not there.")
		}
		if o.Value == "" && o.Objects == nil {
			return refuse(BadLength, want.id, o.Offset+2, "The length is zero; JPQR demands a value.")
		}
		if want.value != "" && o.Value != want.value {
			return refuse(BadValue, want.id, o.Offset+4, "Found %q; JPQR demands %s.", o.Value, want.value)
		}
	}
	if o := find(c.Objects, "64.02"); o != nil {
		return refuse(Unexpected, "64.02", o.Offset, "A city in Japanese; JPQR has none.")
	}
	return nil
}

func (c *Code) readJPQRAccount(account *Object) *Error {
	var levels [len(jpqrLevels)]string
	end := account.Offset + 4
	for i := range account.Objects {
		o := &account.Objects[i]
		end += 4 + utf8.RuneCountInString(o.Value)
		n := number(o.ID) - 1
		if n < 0 {
			continue
		}
		if n >= len(levels) {
			return refuse(Unexpected, join(account.ID, o.ID), o.Offset, "JPQR has no object after 04 here.")
		}
		if len(o.Value) != jpqrLevels[n] {
			return refuse(BadLength, join(account.ID, o.ID), o.Offset+2, "The length is %d; JPQR demands %d.", len(o.Value), jpqrLevels[n])
		}
		if at := digits.mismatch(o.Value); at >= 0 {
			c.warn(refuse(BadFormat, join(account.ID, o.ID), o.Offset+4+at, "Found %q; store ids are made of digits.", o.Value))
		}
		levels[n] = o.Value
	}
	for n, v := range levels {
		if v == "" {
			return refuse(MissingMandatory, join(account.ID, idText(n+1)), end, "JPQR demands the object, but it is not there.")
		}
	}
	c.JPQR = &JPQR{LV1: levels[0], LV2: levels[1], LV3: levels[2], LV4: levels[3]}
	return nil
}

// JPQRShop is what a JPQR code of a shop says.
type JPQRShop struct {
	ID            JPQR          // digits only
	Name          string        // printable ASCII, 1–25 characters
	NameJA        string        // Japanese, 1–25 characters
	City          string        // printable ASCII, 1–15 characters
	PostalCode    string        // seven digits, no hyphen
	MCC           string        // four digits
	StoreLabel    string        // printable ASCII, up to 25 characters; "" leaves it out
	TerminalLabel string        // printable ASCII, up to 25 characters; "" leaves it out
	Amount        *money.Amount // in yen, above zero; nil lets the payer enter it
}

// EncodeJPQR returns the payload of a shop's code: static without an amount, dynamic with one. The error is always an
// *Error.
func EncodeJPQR(shop JPQRShop) (string, error) {
	if refusal := shop.check(); refusal != nil {
		return "", refusal
	}
	initiation := "11"
	if shop.Amount != nil {
		initiation = "12"
	}
	objects := []Object{
		Text("00", "01"),
		Text("01", initiation),
		Template("26", Text("00", jpqrGUID),
			Text("01", shop.ID.LV1), Text("02", shop.ID.LV2), Text("03", shop.ID.LV3), Text("04", shop.ID.LV4)),
		Text("52", shop.MCC),
		Text("53", "392"),
	}
	if shop.Amount != nil {
		objects = append(objects, Text("54", shop.Amount.Decimal()))
	}
	objects = append(objects, Text("58", "JP"), Text("59", shop.Name), Text("60", shop.City), Text("61", shop.PostalCode))
	if labels := shop.labels(); len(labels) > 0 {
		objects = append(objects, Template("62", labels...))
	}
	objects = append(objects, Template("64", Text("00", "JA"), Text("01", shop.NameJA)))
	return Encode(&Code{Objects: objects})
}

// check refuses what the general rules would let pass. Offsets are zero: there is no payload yet.
func (s *JPQRShop) check() *Error {
	for i, level := range [...]string{s.ID.LV1, s.ID.LV2, s.ID.LV3, s.ID.LV4} {
		path := join("26", idText(i+1))
		if len(level) != jpqrLevels[i] {
			return refuse(BadLength, path, 0, "The length is %d; expected %d digits.", len(level), jpqrLevels[i])
		}
		if !allDigits(level) {
			return refuse(BadFormat, path, 0, "Found %q; expected digits.", level)
		}
	}
	if len(s.PostalCode) != 7 || !allDigits(s.PostalCode) {
		return refuse(BadValue, "61", 0, "The postal code is %q; expected seven digits.", s.PostalCode)
	}
	if s.Amount != nil && (s.Amount.Currency != money.JPY || s.Amount.Sign() <= 0) {
		return refuse(BadAmount, "54", 0, "The amount is %s; expected yen, above zero.", s.Amount)
	}
	for _, label := range [...]struct{ id, text string }{{"62.03", s.StoreLabel}, {"62.07", s.TerminalLabel}} {
		if special.mismatch(label.text) >= 0 {
			return refuse(BadFormat, label.id, 0, "Found %q; expected %s.", label.text, special)
		}
	}
	if strings.TrimSpace(s.NameJA) == "" {
		return refuse(BadValue, "64.01", 0, "The name in Japanese is empty.")
	}
	return nil
}

func (s *JPQRShop) labels() []Object {
	var out []Object
	if s.StoreLabel != "" {
		out = append(out, Text("03", s.StoreLabel))
	}
	if s.TerminalLabel != "" {
		out = append(out, Text("07", s.TerminalLabel))
	}
	return out
}
