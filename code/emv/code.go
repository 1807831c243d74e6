package emv

import (
	"github.com/koban-pay/koban/money"
)

// MaxLength is the greatest length of a payload, in characters (EMV MPM §3.1).
const MaxLength = 512

// ProfileJPQR is the profile of a code that carries a JPQR store id.
const ProfileJPQR = "jpqr"

// Object is one identifier and what it holds: text, or in a template, more objects.
type Object struct {
	ID      string   // two digits
	Value   string   // the text of an object that is no template
	Objects []Object // what a template holds, in wire order
	Offset  int      // where the object starts in the payload it was read from, in characters; Encode ignores it
}

// Text returns an object that holds text.
func Text(id, value string) Object { return Object{ID: id, Value: value} }

// Template returns an object that holds objects.
func Template(id string, objects ...Object) Object { return Object{ID: id, Objects: objects} }

// Code is a merchant-presented code. Decode fills all of it; to write one, fill Objects and call Encode.
type Code struct {
	Objects  []Object  // in wire order, unknown ones included, with 63 last
	Profile  string    // ProfileJPQR, or ""
	JPQR     *JPQR     // the store id, when Profile is ProfileJPQR
	Warnings []Warning // oddities that do not make the code unreadable

	national bool
}

// Account is one way the merchant can be paid: an object 02–51.
type Account struct {
	ID      string   // its identifier in the root
	GUID    string   // who the template belongs to, as 00 says; "" for the card schemes' 02–25
	Value   string   // the text of 02–25
	Objects []Object // what a template 26–51 holds, 00 included
}

// AdditionalData is template 62. A value of "***" asks the app to prompt the consumer. Absent values are "".
type AdditionalData struct {
	BillNumber, MobileNumber, StoreLabel, LoyaltyNumber   string    // 01–04
	ReferenceLabel, CustomerLabel, TerminalLabel, Purpose string    // 05–08
	ConsumerData                                          string    // 09: A address, M mobile, E e-mail
	MerchantTaxID                                         string    // 10
	MerchantChannel                                       string    // 11
	Systems                                               []Account // 50–99, the payment systems' own templates
}

// Language is template 64: the merchant in another language.
type Language struct {
	Language string // ISO 639-1, such as "JA"
	Name     string
	City     string // "" if absent
}

// TipKind says who decides a tip or convenience fee.
type TipKind string

// The kinds, as in object 55.
const (
	TipPrompt  TipKind = "01" // the app asks the consumer
	TipFixed   TipKind = "02" // a fixed fee is added
	TipPercent TipKind = "03" // a percentage is added
)

// Tip is what is added to the amount.
type Tip struct {
	Kind    TipKind
	Fixed   *money.Amount // for TipFixed
	Percent int64         // for TipPercent, in hundredths of a percent: 1–9999
}

// Text returns the text at path, such as "59" or "62.07"; "" if there is none.
func (c *Code) Text(path string) string {
	if o := find(c.Objects, path); o != nil {
		return o.Value
	}
	return ""
}

// PointOfInitiation returns "11" for a static code, "12" for a dynamic one, and "" if the code does not say.
func (c *Code) PointOfInitiation() string { return c.Text("01") }

// MCC returns the merchant category code (ISO 18245), four digits.
func (c *Code) MCC() string { return c.Text("52") }

// Country returns the merchant's country (ISO 3166-1 alpha-2).
func (c *Code) Country() string { return c.Text("58") }

// MerchantName returns object 59, in ASCII. Language holds the name in the merchant's own language.
func (c *Code) MerchantName() string { return c.Text("59") }

// City returns object 60, in ASCII.
func (c *Code) City() string { return c.Text("60") }

// PostalCode returns object 61; "" if absent.
func (c *Code) PostalCode() string { return c.Text("61") }

// CRC returns object 63.
func (c *Code) CRC() string { return c.Text("63") }

// Accounts returns the objects 02–51, in wire order.
func (c *Code) Accounts() []Account { return accounts(c.Objects, 2, 51) }

// AdditionalData returns template 62; nil if absent.
func (c *Code) AdditionalData() *AdditionalData {
	o := find(c.Objects, "62")
	if o == nil {
		return nil
	}
	at := func(id string) string {
		if o := find(o.Objects, id); o != nil {
			return o.Value
		}
		return ""
	}
	return &AdditionalData{
		BillNumber: at("01"), MobileNumber: at("02"), StoreLabel: at("03"), LoyaltyNumber: at("04"),
		ReferenceLabel: at("05"), CustomerLabel: at("06"), TerminalLabel: at("07"), Purpose: at("08"),
		ConsumerData: at("09"), MerchantTaxID: at("10"), MerchantChannel: at("11"),
		Systems: accounts(o.Objects, 50, 99),
	}
}

// Language returns template 64; nil if absent.
func (c *Code) Language() *Language {
	if find(c.Objects, "64") == nil {
		return nil
	}
	return &Language{Language: c.Text("64.00"), Name: c.Text("64.01"), City: c.Text("64.02")}
}

// find returns the object at path among objects, or nil. A path is identifiers joined by dots.
func find(objects []Object, path string) *Object {
	for i := range objects {
		o := &objects[i]
		if o.ID == path {
			return o
		}
		if len(path) > 2 && path[2] == '.' && o.ID == path[:2] {
			return find(o.Objects, path[3:])
		}
	}
	return nil
}

func accounts(objects []Object, first, last int) []Account {
	var out []Account
	for _, o := range objects {
		if n := number(o.ID); n < first || n > last {
			continue
		}
		a := Account{ID: o.ID, Value: o.Value, Objects: o.Objects}
		if g := find(o.Objects, "00"); g != nil {
			a.GUID = g.Value
		}
		out = append(out, a)
	}
	return out
}

// number returns the value of an identifier or length of two digits, or -1.
func number(s string) int {
	if len(s) != 2 || !isDigit(s[0]) || !isDigit(s[1]) {
		return -1
	}
	return int(s[0]-'0')*10 + int(s[1]-'0')
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
