package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/money"
)

// anyInt draws from all of int64, with its edges drawn often.
func anyInt() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
		0, 1, -1, 9, 100, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1,
		money.MaxStored, -money.MaxStored, money.MaxStored + 1, money.MaxWire, math.MaxInt32, math.MinInt32, 1 << 31, 1 << 32,
	}))
}

func anyCurrency() *rapid.Generator[money.Currency] {
	return rapid.SampledFrom(append(money.Currencies(), money.PT))
}

func anyAmount() *rapid.Generator[money.Amount] {
	return rapid.Custom(func(t *rapid.T) money.Amount {
		return money.Of(anyInt().Draw(t, "minor"), anyCurrency().Draw(t, "currency"))
	})
}

// agrees fails unless got is want, or err is ErrOverflow and want does not fit into an int64.
func agrees(t *rapid.T, op string, got int64, err error, want *big.Int) {
	t.Helper()
	switch {
	case want.IsInt64() && (err != nil || got != want.Int64()):
		t.Fatalf("%s = %d, %v; expected %v", op, got, err, want)
	case !want.IsInt64() && !errors.Is(err, money.ErrOverflow):
		t.Fatalf("%s = %d, %v; expected an overflow of %v", op, got, err, want)
	}
}

func TestCheckedIntegersAgreeWithBigOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyInt().Draw(t, "a"), anyInt().Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		for _, op := range []struct {
			name  string
			plain func(a, b int64) (int64, error)
			exact func(z, x, y *big.Int) *big.Int
		}{
			{"add", money.AddInt, (*big.Int).Add}, {"sub", money.SubInt, (*big.Int).Sub}, {"mul", money.MulInt, (*big.Int).Mul},
		} {
			got, err := op.plain(a, b)
			agrees(t, op.name, got, err, op.exact(new(big.Int), x, y))
		}
	})
}

func TestAmountsAgreeWithBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCurrency().Draw(t, "currency")
		a, b := money.Of(anyInt().Draw(t, "a"), c), money.Of(anyInt().Draw(t, "b"), c)
		x, y := big.NewInt(a.Minor), big.NewInt(b.Minor)
		sum, err := a.Add(b)
		agrees(t, "add", sum.Minor, err, new(big.Int).Add(x, y))
		difference, err := a.Sub(b)
		agrees(t, "sub", difference.Minor, err, new(big.Int).Sub(x, y))
		opposite, err := a.Neg()
		agrees(t, "neg", opposite.Minor, err, new(big.Int).Neg(x))
		if order, err := a.Cmp(b); err != nil || order != x.Cmp(y) {
			t.Fatalf("cmp = %d, %v", order, err)
		}
		if a.Sign() != x.Sign() || a.IsZero() != (x.Sign() == 0) {
			t.Fatalf("sign %d, zero %v", a.Sign(), a.IsZero())
		}
	})
}

func TestSumAgreesWithBigIntegersInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := new(big.Int)
		var parts []money.Amount
		for _, n := range rapid.SliceOfN(anyInt(), 0, 12).Draw(t, "parts") {
			parts = append(parts, money.Yen(n))
			want.Add(want, big.NewInt(n))
		}
		got, err := money.Sum(money.JPY, parts...)
		agrees(t, "sum", got.Minor, err, want)
		if err == nil && got.Currency != money.JPY {
			t.Fatalf("sum in %v", got.Currency)
		}
	})
}

func TestMixedCurrenciesAreRefused(t *testing.T) {
	yen, dollar := money.Yen(1), money.Of(1, money.USD)
	for name, op := range map[string]func() (any, error){
		"add":        func() (any, error) { return yen.Add(dollar) },
		"sub":        func() (any, error) { return yen.Sub(dollar) },
		"cmp":        func() (any, error) { return yen.Cmp(dollar) },
		"sum":        func() (any, error) { return money.Sum(money.JPY, yen, dollar) },
		"sum of one": func() (any, error) { return money.Sum(money.JPY, money.Of(0, money.USD)) },
	} {
		if got, err := op(); !errors.Is(err, money.ErrMixed) {
			t.Errorf("%s = %v, %v", name, got, err)
		}
	}
	if yen == dollar || yen != money.Of(1, money.JPY) {
		t.Error("== does not compare both members")
	}
}

func TestBounds(t *testing.T) {
	if int64(money.MaxWire) != 9007199254740991 || int64(money.MaxStored) != 4611686018427387903 {
		t.Error("a bound has moved")
	}
	if _, err := money.AddInt(money.MaxStored, money.MaxStored); err != nil {
		t.Errorf("two stored amounts do not add up: %v", err)
	}
	if got, err := money.Sum(money.JPY); err != nil || got != money.Yen(0) {
		t.Errorf("the sum of none = %v, %v", got, err)
	}
}

func BenchmarkAdd(b *testing.B) {
	x, y := money.Yen(1200), money.Yen(34)
	for b.Loop() {
		if _, err := x.Add(y); err != nil {
			b.Fatal(err)
		}
	}
}
