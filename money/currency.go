package money

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Currency is the numeric code of a currency in ISO 4217, such as 392 for the yen. The zero value is no currency.
type Currency uint16

// The currencies that the platform names itself. Any other comes from ParseCurrency or CurrencyByNumeric.
const (
	None Currency = 0
	AUD  Currency = 36
	BHD  Currency = 48
	CHF  Currency = 756
	CLF  Currency = 990
	CNY  Currency = 156
	EUR  Currency = 978
	GBP  Currency = 826
	HKD  Currency = 344
	JPY  Currency = 392
	KRW  Currency = 410
	KWD  Currency = 414
	SGD  Currency = 702
	THB  Currency = 764
	TWD  Currency = 901
	USD  Currency = 840
	UYW  Currency = 927

	// PT is the loyalty point: Koban's own unit, outside ISO 4217, whose numbers end at 999. It has no decimals.
	PT Currency = 1000
)

var point = row{"PT", PT, 0, "Point"}

// byNumeric holds, for each number, the place in listOne plus one.
var byNumeric = func() (index [1000]uint8) {
	for i, r := range listOne {
		index[r.numeric] = uint8(i + 1)
	}
	return index
}()

func (c Currency) row() *row {
	switch {
	case c == PT:
		return &point
	case int(c) < len(byNumeric) && byNumeric[c] != 0:
		return &listOne[byNumeric[c]-1]
	}
	return nil
}

// ParseCurrency returns the currency with the alphabetic code: exactly three upper-case letters of an active currency
// of ISO 4217 that has a minor unit, or PT. Anything else is ErrCurrency.
func ParseCurrency(code string) (Currency, error) {
	if code == point.code {
		return PT, nil
	}
	i, ok := slices.BinarySearchFunc(listOne[:], code, func(r row, s string) int { return strings.Compare(r.code, s) })
	if !ok {
		return None, fmt.Errorf("%w: %.12q", ErrCurrency, code)
	}
	return listOne[i].numeric, nil
}

// CurrencyByNumeric returns the currency with the numeric code, such as 392, or 1000 for PT. A number without an active
// currency is ErrCurrency.
func CurrencyByNumeric(n int) (Currency, error) {
	if n > 0 && n <= int(PT) {
		if c := Currency(n); c.row() != nil {
			return c, nil
		}
	}
	return None, fmt.Errorf("%w: %d", ErrCurrency, n)
}

// Currencies returns all active currencies of ISO 4217 that have a minor unit, ordered by code.
func Currencies() []Currency {
	all := make([]Currency, len(listOne))
	for i, r := range listOne {
		all[i] = r.numeric
	}
	return all
}

// Known reports whether c is an active currency or PT.
func (c Currency) Known() bool { return c.row() != nil }

// IsISO reports whether c is an active currency of ISO 4217.
func (c Currency) IsISO() bool { return c != PT && c.Known() }

// Numeric returns the numeric code; 0 for no currency.
func (c Currency) Numeric() int { return int(c) }

// Code returns the alphabetic code, and "" if c is not known.
func (c Currency) Code() string {
	if r := c.row(); r != nil {
		return r.code
	}
	return ""
}

// Exponent returns how many decimals the minor unit stands for: 0 for the yen, 2 for the dollar, and 0 if c is not known.
func (c Currency) Exponent() int {
	if r := c.row(); r != nil {
		return int(r.exponent)
	}
	return 0
}

// Name returns the English name in ISO 4217, and "" if c is not known.
func (c Currency) Name() string {
	if r := c.row(); r != nil {
		return r.name
	}
	return ""
}

// String returns the alphabetic code; for what is not known, "none" or the number, for logs only.
func (c Currency) String() string {
	switch r := c.row(); {
	case r != nil:
		return r.code
	case c == None:
		return "none"
	}
	return "currency " + strconv.Itoa(int(c))
}
