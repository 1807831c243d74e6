package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/money"
)

var roundings = []money.Rounding{money.Down, money.Up, money.HalfUp, money.HalfEven, money.Floor, money.Ceiling}

// TestRounding lists tenths, and what each rounding makes of them, in the order of roundings.
func TestRounding(t *testing.T) {
	for tenths, want := range map[int64][6]int64{
		0:   {0, 0, 0, 0, 0, 0},
		10:  {1, 1, 1, 1, 1, 1},
		14:  {1, 2, 1, 1, 1, 2},
		15:  {1, 2, 2, 2, 1, 2},
		25:  {2, 3, 3, 2, 2, 3},
		26:  {2, 3, 3, 3, 2, 3},
		5:   {0, 1, 1, 0, 0, 1},
		-5:  {0, -1, -1, 0, -1, 0},
		-14: {-1, -2, -1, -1, -2, -1},
		-15: {-1, -2, -2, -2, -2, -1},
		-25: {-2, -3, -3, -2, -3, -2},
		-26: {-2, -3, -3, -3, -3, -2},
	} {
		for i, r := range roundings {
			if got, err := (money.Rate{Num: 1, Den: 10}).Of(money.Yen(tenths), r); err != nil || got != money.Yen(want[i]) {
				t.Errorf("%d/10 %v = %v, %v; expected %d", tenths, r, got, err, want[i])
			}
		}
	}
}

func TestRatesThatAreRefused(t *testing.T) {
	for _, x := range []struct {
		rate     money.Rate
		minor    int64
		rounding money.Rounding
		err      error
	}{
		{money.Rate{}, 1, money.Down, money.ErrRate},
		{money.Rate{Num: 1, Den: 0}, 1, money.Down, money.ErrRate},
		{money.Rate{Num: 1, Den: -1}, 1, money.Down, money.ErrRate},
		{money.Rate{Num: -1, Den: 1}, 1, money.Down, money.ErrNegative},
		{money.Rate{Num: 1, Den: 1}, 1, 0, money.ErrRate},
		{money.Rate{Num: 1, Den: 1}, 1, money.Ceiling + 1, money.ErrRate},
		{money.Rate{Num: 2, Den: 1}, math.MaxInt64, money.Down, money.ErrOverflow},
		{money.Rate{Num: math.MaxInt64, Den: 1}, math.MinInt64, money.Down, money.ErrOverflow},
		{money.Rate{Num: 4, Den: 1}, 1 << 62, money.Down, money.ErrOverflow},            // exactly 2^64
		{money.Rate{Num: 1190112520884487201, Den: 2}, 31, money.Up, money.ErrOverflow}, // 2^64 - 1/2
		{money.Rate{Num: math.MaxInt64, Den: math.MaxInt64 - 1}, math.MaxInt64, money.Down, money.ErrOverflow},
	} {
		if got, err := x.rate.Of(money.Yen(x.minor), x.rounding); !errors.Is(err, x.err) || got != (money.Amount{}) {
			t.Errorf("%v of %d %v = %v, %v; expected %v", x.rate, x.minor, x.rounding, got, err, x.err)
		}
	}
}

func TestRatesAgreeWithBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAmount().Draw(t, "amount")
		small := rapid.Int64Range(0, 10000)
		num := rapid.OneOf(small, rapid.Int64Range(0, math.MaxInt64)).Draw(t, "num")
		den := rapid.OneOf(rapid.Int64Range(1, 10000), rapid.Int64Range(1, math.MaxInt64)).Draw(t, "den")
		r := rapid.SampledFrom(roundings).Draw(t, "rounding")
		got, err := (money.Rate{Num: num, Den: den}).Of(a, r)
		agrees(t, r.String(), got.Minor, err, rounded(new(big.Rat).Mul(new(big.Rat).SetInt64(a.Minor), big.NewRat(num, den)), r))
		if err == nil && got.Currency != a.Currency {
			t.Fatalf("%v of %v", got, a.Currency)
		}
	})
}

// rounded finds the integer by distance, in another way than the package does.
func rounded(x *big.Rat, r money.Rounding) *big.Int {
	floor := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean, and Denom is positive: towards minus infinity
	if x.IsInt() {
		return floor
	}
	ceiling := new(big.Int).Add(floor, big.NewInt(1))
	inner, outer := floor, ceiling
	if x.Sign() < 0 {
		inner, outer = ceiling, floor
	}
	below := new(big.Rat).Sub(x, new(big.Rat).SetInt(floor))
	half := below.Cmp(big.NewRat(1, 2))
	nearest := map[int]*big.Int{-1: floor, 1: ceiling}
	switch r {
	case money.Down:
		return inner
	case money.Up:
		return outer
	case money.Floor:
		return floor
	case money.Ceiling:
		return ceiling
	case money.HalfUp:
		nearest[0] = outer
	case money.HalfEven:
		nearest[0] = floor
		if floor.Bit(0) == 1 {
			nearest[0] = ceiling
		}
	}
	return nearest[half]
}

func TestRoundingNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range append(roundings, 0, 7, 255) {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("rounding %d is called %q", uint8(r), s)
		} else {
			seen[s] = true
		}
	}
}

func BenchmarkRate(b *testing.B) {
	r, a := money.Rate{Num: 325, Den: 10000}, money.Yen(1200)
	for b.Loop() {
		if _, err := r.Of(a, money.HalfEven); err != nil {
			b.Fatal(err)
		}
	}
}
