package money

import (
	"cmp"
	"fmt"
	"math/bits"
)

// Amount is a number of minor units of a currency: 1234 of USD is 12.34 dollars. It is a value: == compares it.
type Amount struct {
	Minor    int64
	Currency Currency
}

// Of returns the amount of minor units of c.
func Of(minor int64, c Currency) Amount { return Amount{minor, c} }

// Yen returns n yen.
func Yen(n int64) Amount { return Amount{n, JPY} }

// IsZero reports whether a is an amount of zero, in any currency.
func (a Amount) IsZero() bool { return a.Minor == 0 }

// Sign returns -1, 0 or 1.
func (a Amount) Sign() int { return cmp.Compare(a.Minor, 0) }

// Add returns a + b. It fails with ErrMixed or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mixed(a.Currency, b.Currency)
	}
	n, err := AddInt(a.Minor, b.Minor)
	if err != nil {
		return Amount{}, err
	}
	return Amount{n, a.Currency}, nil
}

// Sub returns a - b. It fails with ErrMixed or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mixed(a.Currency, b.Currency)
	}
	n, err := SubInt(a.Minor, b.Minor)
	if err != nil {
		return Amount{}, err
	}
	return Amount{n, a.Currency}, nil
}

// Neg returns -a. The smallest int64 has no opposite: ErrOverflow.
func (a Amount) Neg() (Amount, error) { return Amount{0, a.Currency}.Sub(a) }

// Cmp returns -1, 0 or 1 as a is less than, equal to or more than b. It fails with ErrMixed.
func (a Amount) Cmp(b Amount) (int, error) {
	if a.Currency != b.Currency {
		return 0, mixed(a.Currency, b.Currency)
	}
	return cmp.Compare(a.Minor, b.Minor), nil
}

// Sum returns the sum of parts, all of which are in c; the sum of none is zero. It fails with ErrMixed, and with
// ErrOverflow if the whole sum leaves int64, whatever the order of the parts.
func Sum(c Currency, parts ...Amount) (Amount, error) {
	var hi, lo uint64 // the running sum as a 128-bit integer in two's complement
	for _, p := range parts {
		if p.Currency != c {
			return Amount{}, mixed(c, p.Currency)
		}
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(p.Minor), 0)
		hi += uint64(p.Minor>>63) + carry
	}
	n := int64(lo)
	if hi != uint64(n>>63) {
		return Amount{}, ErrOverflow
	}
	return Amount{n, c}, nil
}

func mixed(a, b Currency) error { return fmt.Errorf("%w: %v and %v", ErrMixed, a, b) }
