package money

import (
	"fmt"
	"math/bits"
)

// Rate is a fraction to be taken of amounts: 3.25 % is {325, 10000}. Num is zero or more, Den is one or more.
type Rate struct{ Num, Den int64 }

// Rounding says what becomes of a fraction of a minor unit. The zero value is none of them and is refused: whoever
// takes a rate says how it rounds.
type Rounding uint8

// The ways to round.
const (
	Down     Rounding = iota + 1 // towards zero
	Up                           // away from zero
	HalfUp                       // to the nearest; a half away from zero
	HalfEven                     // to the nearest; a half to the even neighbour
	Floor                        // towards minus infinity
	Ceiling                      // towards plus infinity
)

// String returns the name of r.
func (r Rounding) String() string {
	names := [...]string{"none", "down", "up", "half up", "half even", "floor", "ceiling"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("rounding %d", uint8(r))
}

// Of returns a × r, rounded once, in the currency of a. The product is held in 128 bits, so only a result that leaves
// int64 is ErrOverflow. A negative Num is ErrNegative; a Den below one or no rounding is ErrRate.
func (r Rate) Of(a Amount, rounding Rounding) (Amount, error) {
	switch {
	case r.Num < 0:
		return Amount{}, fmt.Errorf("%w: rate %d/%d", ErrNegative, r.Num, r.Den)
	case r.Den < 1:
		return Amount{}, fmt.Errorf("%w: %d/%d", ErrRate, r.Num, r.Den)
	case rounding < Down || rounding > Ceiling:
		return Amount{}, fmt.Errorf("%w: %v", ErrRate, rounding)
	}
	den, negative := uint64(r.Den), a.Minor < 0
	hi, lo := bits.Mul64(magnitude(a.Minor), uint64(r.Num))
	if hi >= den {
		return Amount{}, ErrOverflow
	}
	q, rest := bits.Div64(hi, lo, den)
	if rest != 0 && rounding.grows(q, rest, den, negative) {
		sum, carry := bits.Add64(q, 1, 0)
		if carry != 0 {
			return Amount{}, ErrOverflow
		}
		q = sum
	}
	n, err := signed(q, negative)
	if err != nil {
		return Amount{}, err
	}
	return Amount{n, a.Currency}, nil
}

// grows reports whether the magnitude q + rest/den, with rest above zero, is rounded to q + 1 rather than to q.
func (r Rounding) grows(q, rest, den uint64, negative bool) bool {
	above, half := rest > den-rest, rest == den-rest
	switch r {
	case Up:
		return true
	case HalfUp:
		return above || half
	case HalfEven:
		return above || half && q%2 == 1
	case Floor:
		return negative
	case Ceiling:
		return !negative
	default: // Down
		return false
	}
}
