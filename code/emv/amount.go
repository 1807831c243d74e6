package emv

import (
	"strings"

	"github.com/koban-pay/koban/money"
)

// Currency returns the currency of object 53; money.None if there is no active one.
func (c *Code) Currency() money.Currency {
	s := c.Text("53")
	if len(s) != 3 {
		return money.None
	}
	n := 0
	for i := range 3 {
		if !isDigit(s[i]) {
			return money.None
		}
		n = n*10 + int(s[i]-'0')
	}
	currency, err := money.CurrencyByNumeric(n)
	if err != nil {
		return money.None
	}
	return currency
}

// Amount returns the amount of object 54; nil if it is absent and the app has to ask the payer for it.
func (c *Code) Amount() *money.Amount { return c.amountAt("54") }

func (c *Code) amountAt(id string) *money.Amount {
	o := find(c.Objects, id)
	if o == nil {
		return nil
	}
	a, problem := parseAmount(o.Value, c.Currency())
	if problem != "" {
		return nil
	}
	return &a
}

// Tip returns what 55 to 57 say is added to the amount; nil if they say nothing.
func (c *Code) Tip() *Tip {
	switch kind := TipKind(c.Text("55")); kind {
	case TipPrompt:
		return &Tip{Kind: kind}
	case TipFixed:
		return &Tip{Kind: kind, Fixed: c.amountAt("56")}
	case TipPercent:
		percent, _ := parsePercent(c.Text("57"))
		return &Tip{Kind: kind, Percent: percent}
	}
	return nil
}

// parseAmount reads the value of 54 or 56 (EMV MPM §4.7.7): digits with at most one point, above zero, with no more
// decimals than the currency has. The point may be last ("98."), but only where the currency has decimals. problem
// says what is wrong, or is "".
func parseAmount(s string, c money.Currency) (_ money.Amount, problem string) {
	whole, fraction, dotted := strings.Cut(s, ".")
	switch {
	case !allDigits(whole) || fraction != "" && !allDigits(fraction):
		return money.Amount{}, "expected digits and at most one point after the first"
	case dotted && c.Exponent() == 0:
		return money.Amount{}, "the currency has no decimals"
	case len(fraction) > c.Exponent():
		return money.Amount{}, "the currency has fewer decimals"
	}
	major := strings.TrimLeft(whole, "0")
	if major == "" {
		major = "0"
	}
	if fraction != "" {
		major += "." + fraction
	}
	a, err := money.ParseDecimal(major, c)
	if err != nil {
		return money.Amount{}, err.Error()
	}
	if a.Sign() <= 0 {
		return money.Amount{}, "expected more than zero"
	}
	return a, ""
}

// parsePercent reads the value of 57 (EMV MPM §4.7.10), 00.01 to 99.99, in hundredths of a percent.
func parsePercent(s string) (int64, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if !allDigits(whole) || len(whole) > 2 || fraction != "" && !allDigits(fraction) || len(fraction) > 2 {
		return 0, false
	}
	var n int64
	for _, d := range []byte(whole + (fraction + "00")[:2]) {
		n = n*10 + int64(d-'0')
	}
	return n, n > 0
}

// allDigits reports whether s is one digit or more, and nothing else.
func allDigits(s string) bool { return s != "" && digits.mismatch(s) < 0 }

func checkAmount(o *Object, c money.Currency) *Error {
	if o == nil {
		return nil
	}
	if _, problem := parseAmount(o.Value, c); problem != "" {
		return refuse(BadAmount, o.ID, o.Offset+4, "%q is no amount in %s: %s.", o.Value, c.Code(), problem)
	}
	return nil
}

// checkTip holds 55 to 57 together: a fixed fee goes with 02 and nothing else, a percentage with 03 and nothing else.
func checkTip(c *Code, end int) *Error {
	kind := find(c.Objects, "55")
	if kind != nil && (kind.Value < string(TipPrompt) || kind.Value > string(TipPercent)) {
		return refuse(BadValue, "55", kind.Offset+4, "The tip indicator is %q; expected 01, 02 or 03.", kind.Value)
	}
	for _, fee := range [...]struct {
		id   string
		kind TipKind
	}{{"56", TipFixed}, {"57", TipPercent}} {
		o := find(c.Objects, fee.id)
		wanted := kind != nil && kind.Value == string(fee.kind)
		if wanted && o == nil {
			return refuse(MissingMandatory, fee.id, end, "The tip indicator 55 is %s, but the fee is not there.", fee.kind)
		}
		if !wanted && o != nil {
			return refuse(Unexpected, fee.id, o.Offset, "The fee is there, but the tip indicator 55 is not %s.", fee.kind)
		}
	}
	if o := find(c.Objects, "57"); o != nil {
		if _, ok := parsePercent(o.Value); !ok {
			return refuse(BadAmount, "57", o.Offset+4, "%q is no percentage; expected 00.01 to 99.99.", o.Value)
		}
	}
	return checkAmount(find(c.Objects, "56"), c.Currency())
}
