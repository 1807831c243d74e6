package money

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// share is what one part still has coming after division: the remainder of its weight's share.
type share struct {
	remainder uint64
	part      int
}

// Split divides a among parts in proportion to weights, one part for each weight in their order. The parts always sum
// to a. Each gets its share rounded towards zero; the minor units left over go one each to the largest remainders and,
// among equals, to later parts first: 100 by 1, 1, 1 is 33, 33, 34. A weight of zero gets zero. A negative amount is
// split as its opposite is.
//
// It fails with ErrNegative for a negative weight, ErrWeights if there is no weight above zero, and ErrOverflow if
// the weights sum to 2^64 or more.
func (a Amount) Split(weights ...int64) ([]Amount, error) {
	total, err := totalWeight(weights)
	if err != nil {
		return nil, err
	}
	var few [16]share
	shares := few[:0]
	parts := make([]Amount, len(weights))
	whole := magnitude(a.Minor)
	left := whole
	for i, w := range weights {
		hi, lo := bits.Mul64(whole, uint64(w))
		q, r := bits.Div64(hi, lo, total) // hi < total: whole < 2^64 and w <= total
		left -= q
		parts[i] = Amount{a.signed(q), a.Currency}
		shares = append(shares, share{r, i})
	}
	if left == 0 {
		return parts, nil
	}
	// The remainders sum to left × total and each is below total, so more than left of them are above zero: no
	// weight of zero is reached.
	slices.SortFunc(shares, func(x, y share) int {
		return cmp.Or(cmp.Compare(y.remainder, x.remainder), cmp.Compare(y.part, x.part))
	})
	for _, s := range shares[:left] {
		parts[s.part].Minor += a.signed(1)
	}
	return parts, nil
}

// signed gives m the sign of a; m is at most |a|, so it always fits.
func (a Amount) signed(m uint64) int64 {
	if a.Minor < 0 {
		return int64(-m)
	}
	return int64(m)
}

func totalWeight(weights []int64) (uint64, error) {
	var total uint64
	for _, w := range weights {
		if w < 0 {
			return 0, fmt.Errorf("%w: weight %d", ErrNegative, w)
		}
		sum, carry := bits.Add64(total, uint64(w), 0)
		if carry != 0 {
			return 0, fmt.Errorf("%w: sum of weights", ErrOverflow)
		}
		total = sum
	}
	if total == 0 {
		return 0, ErrWeights
	}
	return total, nil
}
