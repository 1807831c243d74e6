package money

import (
	"fmt"
	"strconv"
	"strings"
)

// Decimal returns the number of a in major units, with all decimals of the currency and nothing else: "12.34", "-0.05", "1200".
func (a Amount) Decimal() string {
	return string(a.appendDecimal(make([]byte, 0, 24), 0))
}

// String returns a for people and logs, with commas: "JPY 1,200", "USD -12.34".
func (a Amount) String() string {
	b := append(make([]byte, 0, 40), a.Currency.String()...)
	return string(a.appendDecimal(append(b, ' '), ','))
}

func (a Amount) appendDecimal(b []byte, comma byte) []byte {
	if a.Minor < 0 {
		b = append(b, '-')
	}
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], magnitude(a.Minor), 10)
	point := len(d) - a.Currency.Exponent()
	if point <= 0 {
		b = append(b, '0')
	}
	for i := 0; i < point; i++ {
		if comma != 0 && i > 0 && (point-i)%3 == 0 {
			b = append(b, comma)
		}
		b = append(b, d[i])
	}
	if point == len(d) {
		return b
	}
	b = append(b, '.')
	for i := point; i < 0; i++ {
		b = append(b, '0')
	}
	return append(b, d[max(point, 0):]...)
}

// ParseDecimal reads an amount in major units: "23.72" of USD is 2372 minor units. The text is ASCII digits, without a
// leading zero unless it is the only digit before the point, then at most one point with one digit or more after it,
// at most as many as the currency has decimals. There is no sign, blank, comma or exponent. What breaks this is
// ErrDecimal; more than MaxStored is ErrOverflow; a currency that is not known is ErrCurrency.
func ParseDecimal(s string, c Currency) (Amount, error) {
	if !c.Known() {
		return Amount{}, fmt.Errorf("%w: %v", ErrCurrency, c)
	}
	whole, fraction, dotted := strings.Cut(s, ".")
	switch {
	case whole == "" || dotted && fraction == "":
		return Amount{}, fmt.Errorf("%w: expected a digit before and after the point in %.24q", ErrDecimal, s)
	case len(whole) > 1 && whole[0] == '0':
		return Amount{}, fmt.Errorf("%w: leading zero in %.24q", ErrDecimal, s)
	case len(fraction) > c.Exponent():
		return Amount{}, fmt.Errorf("%w: %v has %d decimals, unlike %.24q", ErrDecimal, c, c.Exponent(), s)
	}
	n, fits := int64(0), true
	for _, digits := range [...]string{whole, fraction, "0000"[:c.Exponent()-len(fraction)]} {
		for i := 0; i < len(digits); i++ {
			d := int64(digits[i]) - '0'
			if d < 0 || d > 9 {
				return Amount{}, fmt.Errorf("%w: expected digits and at most one point in %.24q", ErrDecimal, s)
			}
			fits = fits && n <= (MaxStored-d)/10
			n = n*10 + d // wraps once it no longer fits, and is then not used
		}
	}
	if !fits {
		return Amount{}, fmt.Errorf("%w: %.24q", ErrOverflow, s)
	}
	return Amount{n, c}, nil
}
