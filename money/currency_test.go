package money_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/money"
)

// exponents lists every currency whose minor unit is not a hundredth, as ISO 4217 List One gives it.
var exponents = map[int]string{
	0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
	3: "BHD IQD JOD KWD LYD OMR TND",
	4: "CLF UYW",
}

func TestEveryActiveCurrencyIsListed(t *testing.T) {
	// List One of 2026-09-17 has 178 codes, of which 13 have no minor unit.
	all := money.Currencies()
	if len(all) != 165 {
		t.Errorf("%d currencies, expected 165", len(all))
	}
	special := map[string]int{}
	for e, codes := range exponents {
		for code := range strings.FieldsSeq(codes) {
			special[code] = e
		}
	}
	seen := map[int]bool{}
	for _, c := range all {
		want, ok := special[c.Code()]
		if !ok {
			want = 2
		}
		delete(special, c.Code())
		if c.Exponent() != want {
			t.Errorf("%v: exponent %d, expected %d", c, c.Exponent(), want)
		}
		if !c.IsISO() || !c.Known() || c.Name() == "" || c.Numeric() < 1 || c.Numeric() > 999 || seen[c.Numeric()] {
			t.Errorf("%v: bad row: %q, number %d", c, c.Name(), c.Numeric())
		}
		seen[c.Numeric()] = true
		if got, err := money.ParseCurrency(c.Code()); err != nil || got != c {
			t.Errorf("ParseCurrency(%q) = %v, %v", c.Code(), got, err)
		}
		if got, err := money.CurrencyByNumeric(c.Numeric()); err != nil || got != c {
			t.Errorf("CurrencyByNumeric(%d) = %v, %v", c.Numeric(), got, err)
		}
	}
	if len(special) != 0 {
		t.Errorf("not listed: %v", special)
	}
	if !slices.IsSortedFunc(all, func(a, b money.Currency) int { return strings.Compare(a.Code(), b.Code()) }) {
		t.Error("not ordered by code")
	}
}

func TestNamedCurrencies(t *testing.T) {
	for code, c := range map[string]money.Currency{
		"AUD": money.AUD, "BHD": money.BHD, "CHF": money.CHF, "CLF": money.CLF, "CNY": money.CNY, "EUR": money.EUR,
		"GBP": money.GBP, "HKD": money.HKD, "JPY": money.JPY, "KRW": money.KRW, "KWD": money.KWD, "PT": money.PT,
		"SGD": money.SGD, "THB": money.THB, "TWD": money.TWD, "USD": money.USD, "UYW": money.UYW,
	} {
		if c.Code() != code || c.String() != code {
			t.Errorf("the constant %s is %v", code, c)
		}
	}
}

func TestNumericCodesFollowAmendments(t *testing.T) {
	for code, want := range map[string]int{
		"ALL": 8, "JPY": 392, "XAD": 396, "XCG": 532, "USD": 840, "ZWG": 924, "SLE": 925, "VED": 926, "UYW": 927, "VES": 928,
		"MRU": 929, "STN": 930, "BYN": 933, "EUR": 978, "USN": 997,
	} {
		if c, err := money.ParseCurrency(code); err != nil || c.Numeric() != want {
			t.Errorf("%s = %d, %v; expected %d", code, c.Numeric(), err, want)
		}
	}
}

func TestPoint(t *testing.T) {
	c, err := money.ParseCurrency("PT")
	if err != nil || c != money.PT || c.IsISO() || !c.Known() || c.Exponent() != 0 || c.Numeric() != 1000 || c.Name() != "Point" {
		t.Errorf("PT = %v, %v: iso %v, exponent %d", c, err, c.IsISO(), c.Exponent())
	}
	if c, err := money.CurrencyByNumeric(1000); err != nil || c != money.PT {
		t.Errorf("CurrencyByNumeric(1000) = %v, %v", c, err)
	}
	if slices.Contains(money.Currencies(), money.PT) {
		t.Error("PT is listed as a currency of ISO 4217")
	}
}

func TestCurrenciesThatAreRefused(t *testing.T) {
	retired := "BGN HRK SLL ZWL ANG CUC DEM FRF BYR MRO STD VEF LTL LVL EEK ZMK TRL USS"
	unpayable := "XXX XTS XAU XAG XPT XPD XDR XSU XUA XBA XBB XBC XBD"
	malformed := []string{"", "JP", "JPYY", "jpy", "Jpy", " JPY", "JPY ", "JP\x00", "392", "ＪＰＹ", "pt", "PTS", "ZZZ", "AAA", strings.Repeat("A", 1000)}
	for _, code := range slices.Concat(strings.Fields(retired), strings.Fields(unpayable), malformed) {
		c, err := money.ParseCurrency(code)
		if !errors.Is(err, money.ErrCurrency) || c != money.None {
			t.Errorf("ParseCurrency(%.12q) = %v, %v", code, c, err)
		} else if len(err.Error()) > 100 {
			t.Errorf("ParseCurrency(%.12q): the error has %d bytes", code, len(err.Error()))
		}
	}
	for _, n := range []int{-1 << 62, -392, 0, 1, 191, 963, 999, 1001, 65536 + 392, 1 << 62} {
		if c, err := money.CurrencyByNumeric(n); !errors.Is(err, money.ErrCurrency) || c != money.None {
			t.Errorf("CurrencyByNumeric(%d) = %v, %v", n, c, err)
		}
	}
}

func TestUnknownCurrencyIsHarmless(t *testing.T) {
	for c, text := range map[money.Currency]string{money.None: "none", 999: "currency 999", 65535: "currency 65535"} {
		if c.Known() || c.IsISO() || c.Code() != "" || c.Name() != "" || c.Exponent() != 0 || c.String() != text {
			t.Errorf("%d: %q %q %q", c.Numeric(), c, c.Code(), c.Name())
		}
	}
}

func BenchmarkParseCurrency(b *testing.B) {
	for b.Loop() {
		if _, err := money.ParseCurrency("JPY"); err != nil {
			b.Fatal(err)
		}
	}
}
