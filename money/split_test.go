package money_test

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/money"
)

func TestSplit(t *testing.T) {
	for _, x := range []struct {
		whole   int64
		weights []int64
		parts   []int64
	}{
		{100, []int64{1, 1, 1}, []int64{33, 33, 34}},
		{101, []int64{1, 1, 1}, []int64{33, 34, 34}},
		{-100, []int64{1, 1, 1}, []int64{-33, -33, -34}},
		{0, []int64{1, 2}, []int64{0, 0}},
		{1, []int64{1, 1}, []int64{0, 1}},
		{1, []int64{1}, []int64{1}},
		{1, []int64{1, 0}, []int64{1, 0}},
		{5, []int64{0, 1, 0, 1, 0}, []int64{0, 2, 0, 3, 0}},
		{10, []int64{5, 3, 1}, []int64{6, 3, 1}}, // 5.56, 3.33, 1.11
		{1000, []int64{7000, 2000, 1000}, []int64{700, 200, 100}},
		{2, []int64{1, 2, 2}, []int64{0, 1, 1}},
		{math.MaxInt64, []int64{math.MaxInt64, math.MaxInt64}, []int64{math.MaxInt64 / 2, math.MaxInt64/2 + 1}},
		{math.MinInt64, []int64{1, 1}, []int64{math.MinInt64 / 2, math.MinInt64 / 2}},
		{math.MinInt64, []int64{9}, []int64{math.MinInt64}},
		{math.MinInt64, []int64{math.MaxInt64, math.MaxInt64, 1}, []int64{-1 << 62, -1 << 62, 0}},
	} {
		parts, err := money.Of(x.whole, money.KWD).Split(x.weights...)
		if err != nil || !slices.Equal(minors(parts), x.parts) {
			t.Errorf("%d by %v = %v, %v; expected %v", x.whole, x.weights, minors(parts), err, x.parts)
		}
	}
}

func TestSplitRefusesWeights(t *testing.T) {
	for _, x := range []struct {
		weights []int64
		err     error
	}{
		{nil, money.ErrWeights},
		{[]int64{0, 0}, money.ErrWeights},
		{[]int64{1, -1}, money.ErrNegative},
		{[]int64{math.MinInt64}, money.ErrNegative},
		{[]int64{math.MaxInt64, math.MaxInt64, 2}, money.ErrOverflow},
	} {
		if parts, err := money.Yen(100).Split(x.weights...); !errors.Is(err, x.err) || parts != nil {
			t.Errorf("by %v = %v, %v; expected %v", x.weights, parts, err, x.err)
		}
	}
}

func minors(parts []money.Amount) (out []int64) {
	for _, p := range parts {
		out = append(out, p.Minor)
	}
	return out
}

func TestSplitIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := anyAmount().Draw(t, "whole")
		weights := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, math.MaxInt64/40)), 1, 40).Draw(t, "weights")
		total := new(big.Int)
		for _, w := range weights {
			total.Add(total, big.NewInt(w))
		}
		if total.Sign() == 0 {
			weights[0]++
			total.SetInt64(1)
		}
		parts, err := whole.Split(weights...)
		if err != nil || len(parts) != len(weights) {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		if sum, err := money.Sum(whole.Currency, parts...); err != nil || sum != whole {
			t.Fatalf("the parts sum to %v, %v; expected %v", sum, err, whole)
		}
		againstBig(t, whole, weights, total, parts)
		opposite, err := whole.Neg()
		if err != nil {
			return
		}
		mirrored, _ := opposite.Split(weights...)
		for i, p := range parts {
			if p.Minor != -mirrored[i].Minor {
				t.Fatalf("part %d is %v, but %v of the opposite", i, p, mirrored[i])
			}
		}
	})
}

// againstBig checks each part: its exact share cut off, or one more; and who got one more comes before who did not.
func againstBig(t *rapid.T, whole money.Amount, weights []int64, total *big.Int, parts []money.Amount) {
	remainders, extra := make([]*big.Int, len(parts)), make([]bool, len(parts))
	for i, p := range parts {
		share := new(big.Int).Mul(new(big.Int).Abs(big.NewInt(whole.Minor)), big.NewInt(weights[i]))
		q, r := new(big.Int).QuoRem(share, total, new(big.Int))
		got := new(big.Int).Abs(big.NewInt(p.Minor))
		remainders[i] = r
		switch got.Sub(got, q).Int64() {
		case 0:
		case 1:
			extra[i] = true
		default:
			t.Fatalf("part %d is %v, its share %v", i, p, q)
		}
	}
	for i := range parts {
		for j := range parts {
			order := remainders[i].Cmp(remainders[j])
			if (order > 0 || order == 0 && i > j) && extra[j] && !extra[i] {
				t.Fatalf("part %d got a unit before part %d: remainders %v, %v", j, i, remainders[j], remainders[i])
			}
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	whole := money.Yen(100)
	for b.Loop() {
		if _, err := whole.Split(1, 1, 1); err != nil {
			b.Fatal(err)
		}
	}
}
