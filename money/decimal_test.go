package money_test

import (
	"errors"
	"math"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/money"
)

func TestText(t *testing.T) {
	for _, x := range []struct {
		amount        money.Amount
		text, decimal string
	}{
		{money.Yen(0), "JPY 0", "0"},
		{money.Yen(999), "JPY 999", "999"},
		{money.Yen(1200), "JPY 1,200", "1200"},
		{money.Yen(-100), "JPY -100", "-100"},
		{money.Yen(-123456), "JPY -123,456", "-123456"},
		{money.Of(1234, money.USD), "USD 12.34", "12.34"},
		{money.Of(100, money.USD), "USD 1.00", "1.00"},
		{money.Of(5, money.USD), "USD 0.05", "0.05"},
		{money.Of(-5, money.USD), "USD -0.05", "-0.05"},
		{money.Of(-1234, money.USD), "USD -12.34", "-12.34"},
		{money.Of(123456789, money.USD), "USD 1,234,567.89", "1234567.89"},
		{money.Of(1, money.KWD), "KWD 0.001", "0.001"},
		{money.Of(1234567, money.KWD), "KWD 1,234.567", "1234.567"},
		{money.Of(10000, money.CLF), "CLF 1.0000", "1.0000"},
		{money.Of(3, money.UYW), "UYW 0.0003", "0.0003"},
		{money.Of(500, money.PT), "PT 500", "500"},
		{money.Yen(math.MaxInt64), "JPY 9,223,372,036,854,775,807", "9223372036854775807"},
		{money.Of(math.MinInt64, money.USD), "USD -92,233,720,368,547,758.08", "-92233720368547758.08"},
		{money.Amount{}, "none 0", "0"},
		{money.Of(1200, 999), "currency 999 1,200", "1200"},
	} {
		if got := x.amount.String(); got != x.text {
			t.Errorf("String = %q, expected %q", got, x.text)
		}
		if got := x.amount.Decimal(); got != x.decimal {
			t.Errorf("Decimal = %q, expected %q", got, x.decimal)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, x := range []struct {
		text     string
		currency money.Currency
		minor    int64
		err      error
	}{
		{"0", money.JPY, 0, nil},
		{"1", money.JPY, 1, nil},
		{"1200", money.JPY, 1200, nil},
		{"23.72", money.USD, 2372, nil},
		{"23.7", money.USD, 2370, nil},
		{"23", money.USD, 2300, nil},
		{"0.05", money.USD, 5, nil},
		{"0.00", money.USD, 0, nil},
		{"1.234", money.KWD, 1234, nil},
		{"1.2", money.BHD, 1200, nil},
		{"1.2345", money.CLF, 12345, nil},
		{"0.0001", money.UYW, 1, nil},
		{"500", money.PT, 500, nil},
		{"4611686018427387903", money.JPY, money.MaxStored, nil},
		{"46116860184273879.03", money.USD, money.MaxStored, nil},

		{"4611686018427387904", money.JPY, 0, money.ErrOverflow},
		{"46116860184273879.04", money.USD, 0, money.ErrOverflow},
		{"46116860184273880", money.USD, 0, money.ErrOverflow},
		{"9223372036854775808", money.JPY, 0, money.ErrOverflow},
		{"18446744073709551616", money.JPY, 0, money.ErrOverflow},
		{"18446744073709551617", money.JPY, 0, money.ErrOverflow},
		{strings.Repeat("9", 400), money.JPY, 0, money.ErrOverflow},
		{strings.Repeat("9", 400) + "x", money.JPY, 0, money.ErrDecimal},

		{"1.0", money.JPY, 0, money.ErrDecimal},
		{"1.5", money.PT, 0, money.ErrDecimal},
		{"1.234", money.USD, 0, money.ErrDecimal},
		{"1.000", money.USD, 0, money.ErrDecimal},
		{"1.2345", money.KWD, 0, money.ErrDecimal},
		{"1.23456", money.CLF, 0, money.ErrDecimal},

		{"1", money.None, 0, money.ErrCurrency},
		{"1", 999, 0, money.ErrCurrency},
	} {
		got, err := money.ParseDecimal(x.text, x.currency)
		if want := money.Of(x.minor, x.currency); !errors.Is(err, x.err) || err == nil && got != want || err != nil && got != (money.Amount{}) {
			t.Errorf("ParseDecimal(%.24q, %v) = %v, %v; expected %d, %v", x.text, x.currency, got, err, x.minor, x.err)
		}
	}
}

func TestWhatIsNotADecimal(t *testing.T) {
	for _, s := range []string{
		"", " ", ".", "..", ".5", "5.", "0.", "1..2", "1.2.3", "1,2", "1,200", "01", "00", "00.5", "-0", "-1", "-0.01", "+1", " 1", "1 ",
		"1\n", "1\x00", "1e3", "1E-2", "0x10", "0b1", "1_000", "１", "1２", "٣", "NaN", "Inf", "-Inf", "nil", "1/2", "1:2", "$1", "¥1", "1.-2", "1.+2", "−1",
	} {
		for _, c := range []money.Currency{money.USD, money.JPY, money.CLF} {
			if got, err := money.ParseDecimal(s, c); !errors.Is(err, money.ErrDecimal) {
				t.Errorf("ParseDecimal(%q, %v) = %v, %v", s, c, got, err)
			}
		}
	}
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAmount().Draw(t, "amount")
		text := a.Decimal()
		if got := a.Currency.Code() + " " + strings.ReplaceAll(text, ",", ""); got != strings.ReplaceAll(a.String(), ",", "") {
			t.Fatalf("%q and %q differ", a.String(), text)
		}
		got, err := money.ParseDecimal(text, a.Currency)
		switch {
		case a.Minor < 0:
			if !errors.Is(err, money.ErrDecimal) {
				t.Fatalf("ParseDecimal(%q) = %v, %v", text, got, err)
			}
		case a.Minor > money.MaxStored:
			if !errors.Is(err, money.ErrOverflow) {
				t.Fatalf("ParseDecimal(%q) = %v, %v", text, got, err)
			}
		case err != nil || got != a:
			t.Fatalf("ParseDecimal(%q) = %v, %v; expected %v", text, got, err, a)
		}
	})
}

// patterns holds what a decimal looks like, by exponent.
var patterns = map[int]*regexp.Regexp{
	0: regexp.MustCompile(`^(0|[1-9][0-9]*)$`),
	2: regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,2})?$`),
	3: regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,3})?$`),
	4: regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,4})?$`),
}

// FuzzParseDecimal holds the parser against a regular expression and math/big.
func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "1200", "23.72", "0.0001", "01", "1e3", "-0", "+1", " 1", "１", "1.", ".1", "4611686018427387903", "4611686018427387904"} {
		f.Add(s, uint16(money.JPY))
		f.Add(s, uint16(money.USD))
		f.Add(s, uint16(money.CLF))
	}
	f.Fuzz(func(t *testing.T, s string, number uint16) {
		c := money.Currency(number)
		got, err := money.ParseDecimal(s, c)
		if !c.Known() {
			if !errors.Is(err, money.ErrCurrency) {
				t.Fatalf("ParseDecimal(%q, %d) = %v, %v", s, number, got, err)
			}
			return
		}
		if !patterns[c.Exponent()].MatchString(s) {
			if !errors.Is(err, money.ErrDecimal) {
				t.Fatalf("ParseDecimal(%q, %v) = %v, %v", s, c, got, err)
			}
			return
		}
		exact, _ := new(big.Rat).SetString(s)
		exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Exponent())), nil)))
		if exact.Num().Cmp(big.NewInt(money.MaxStored)) > 0 {
			if !errors.Is(err, money.ErrOverflow) {
				t.Fatalf("ParseDecimal(%q, %v) = %v, %v", s, c, got, err)
			}
			return
		}
		if err != nil || got != money.Of(exact.Num().Int64(), c) {
			t.Fatalf("ParseDecimal(%q, %v) = %v, %v; expected %v", s, c, got, err, exact)
		}
	})
}

func BenchmarkParseDecimal(b *testing.B) {
	for b.Loop() {
		if _, err := money.ParseDecimal("1234.56", money.USD); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkString(b *testing.B) {
	a := money.Of(123456, money.USD)
	for b.Loop() {
		if a.String() == "" {
			b.Fatal("empty")
		}
	}
}
