package emv

import (
	"errors"
	"strings"
	"testing"

	"github.com/koban-pay/koban/money"
)

// coffee is the code of vector crc-lowercase with its check sum put right, object by object.
func coffee(more ...Object) *Code {
	objects := []Object{
		Text("00", "01"), Text("01", "12"),
		Template("26", Text("00", "com.example"), Text("01", "12345678")),
		Text("52", "5812"), Text("53", "392"), Text("54", "1280"), Text("58", "JP"),
		Text("59", "KOBAN COFFEE 0"), Text("60", "TOKYO"),
	}
	return &Code{Objects: append(objects, more...)}
}

func TestEncode(t *testing.T) {
	const want = "00020101021226270011com.example010812345678520458125303392540412805802JP5914KOBAN COFFEE 06005TOKYO6304BD51"
	for name, c := range map[string]*Code{
		"objects":            coffee(),
		"stale check sum":    coffee(Text("63", "0000")),
		"template as text":   {Objects: replaced(coffee().Objects, Text("26", "0011com.example010812345678"))},
		"profile of another": {Objects: coffee().Objects, Profile: ProfileJPQR, JPQR: &JPQR{}},
	} {
		if got, err := Encode(c); err != nil || got != want {
			t.Errorf("%s: %q, %v; expected %q", name, got, err, want)
		}
	}
}

func TestEncodeCountsCharacters(t *testing.T) {
	got, err := Encode(coffee(Template("64", Text("00", "JA"), Text("01", "小判珈琲"))))
	if err != nil || !strings.Contains(got, "64140002JA0104小判珈琲6304") {
		t.Errorf("%q, %v", got, err)
	}
}

func replaced(objects []Object, with Object) []Object {
	for i := range objects {
		if objects[i].ID == with.ID {
			objects[i] = with
		}
	}
	return objects
}

func TestEncodeRefuses(t *testing.T) {
	const end = 99 // where what follows the objects of coffee starts
	deep := Template("27", Text("00", "x"), Template("01", Template("02", Text("03", "x"))))
	for _, v := range []struct {
		name   string
		code   *Code
		want   Fault
		object string
		offset int
	}{
		{"name of 120", &Code{Objects: replaced(coffee().Objects, Text("59", long(120)))}, BadLength, "59", 74},
		{"name of 26", &Code{Objects: replaced(coffee().Objects, Text("59", long(26)))}, BadLength, "59", 74},
		{"empty text", coffee(Text("61", "")), BadLength, "61", end + 2},
		{"empty template", coffee(Template("62")), BadLength, "62", end + 2},
		{"empty list of objects", coffee(Object{ID: "62", Objects: []Object{}}), BadLength, "62", end + 2},
		{"template of 100", coffee(Template("27", Text("00", "x"), Text("01", long(91)))), BadLength, "27", end + 2},
		{"identifier of letters", coffee(Text("6a", "x")), BadID, "", end},
		{"identifier of one", coffee(Text("6", "x")), BadID, "", end},
		{"identifier of three", coffee(Text("061", "x")), BadID, "", end},
		{"no identifier inside", coffee(Template("27", Text("", "x"))), BadID, "27", end + 4},
		{"too deep", coffee(deep), TooDeep, "27.01", end + 9},
		{"objects in text", coffee(Template("65", Text("00", "x"))), TooDeep, "65", end},
		{"objects and text", coffee(Object{ID: "62", Value: "0101x", Objects: []Object{Text("01", "x")}}), BadValue, "62", end},
		{"early check sum", coffee(Text("63", "BD51"), Text("65", "x")), CRCNotLast, "63", end},
		{"bad byte", coffee(Text("65", "\xff")), NotUTF8, "", end + 4},
		{"split character", coffee(Text("65", "京"[:1]), Text("66", "京"[1:])), NotUTF8, "", end + 4},
		{"more than 512", coffee(Text("65", long(99)), Text("66", long(99)), Text("67", long(99)), Text("68", long(99))), TooLong, "", 512},
		{"duplicate", coffee(Text("60", "KYOTO")), DuplicateID, "60", end},
		{"another first", &Code{Objects: append([]Object{Text("65", "x")}, coffee().Objects...)}, BadOrder, "00", 5},
		{"yen with decimals", &Code{Objects: replaced(coffee().Objects, Text("54", "1.5"))}, BadAmount, "54", 62},
		{"no more than a check sum", &Code{Objects: []Object{Text("63", "AAE6")}}, MissingMandatory, "00", 0},
	} {
		got, err := Encode(v.code)
		var e *Error
		if got != "" || !errors.As(err, &e) || e.Code != v.want || e.Object != v.object || e.Offset != v.offset {
			t.Errorf("%s: %q, %v; expected %s in %q at %d", v.name, got, err, v.want, v.object, v.offset)
		}
	}
}

func TestEncodeLeavesTheCodeAlone(t *testing.T) {
	c := coffee(Text("63", "0000"))
	if _, err := Encode(c); err != nil {
		t.Fatal(err)
	}
	if got := c.Text("63"); got != "0000" || len(c.Objects) != 10 {
		t.Errorf("63 is %q in %d objects", got, len(c.Objects))
	}
}

func shop() JPQRShop {
	return JPQRShop{
		ID:   JPQR{LV1: "0000000000001", LV2: "0001", LV3: "000001", LV4: "000002"},
		Name: "Koban Coffee Yanaka", NameJA: "小判珈琲 谷中店", City: "Tokyo", PostalCode: "1100001", MCC: "5814",
	}
}

func TestEncodeJPQR(t *testing.T) {
	yen := money.Yen(1280)
	dynamic := shop()
	dynamic.Amount, dynamic.StoreLabel, dynamic.TerminalLabel = &yen, "YANAKA", "T-07"
	for name, v := range map[string]struct {
		shop JPQRShop
		body string
	}{
		"static": {shop(), "00020101021126680019jp.or.paymentsjapan0113000000000000102040001030600000104060000025204581453033925802JP" +
			"5919Koban Coffee Yanaka6005Tokyo6107110000164180002JA0108小判珈琲 谷中店"},
		"dynamic": {dynamic, "00020101021226680019jp.or.paymentsjapan01130000000000001020400010306000001040600000252045814530339254041280" +
			"5802JP5919Koban Coffee Yanaka6005Tokyo6107110000162180306YANAKA0704T-0764180002JA0108小判珈琲 谷中店"},
	} {
		got, err := EncodeJPQR(v.shop)
		if err != nil || got != seal(v.body) {
			t.Errorf("%s: %q, %v; expected %q", name, got, err, seal(v.body))
			continue
		}
		c, err := Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		if c.Profile != ProfileJPQR || *c.JPQR != v.shop.ID || c.JPQR.String() != "00000000000010001000001000002" || len(c.Warnings) > 0 {
			t.Errorf("%s: profile %q, id %v, warnings %v", name, c.Profile, c.JPQR, c.Warnings)
		}
		if a := c.Amount(); (a == nil) != (v.shop.Amount == nil) || a != nil && *a != yen {
			t.Errorf("%s: amount %v", name, a)
		}
	}
}

func TestEncodeJPQRRefuses(t *testing.T) {
	for _, v := range []struct {
		name   string
		edit   func(*JPQRShop)
		want   Fault
		object string
	}{
		{"LV1 of 12", func(s *JPQRShop) { s.ID.LV1 = "000000000001" }, BadLength, "26.01"},
		{"LV2 of letters", func(s *JPQRShop) { s.ID.LV2 = "000A" }, BadFormat, "26.02"},
		{"LV3 missing", func(s *JPQRShop) { s.ID.LV3 = "" }, BadLength, "26.03"},
		{"LV4 of 7", func(s *JPQRShop) { s.ID.LV4 = "0000001" }, BadLength, "26.04"},
		{"no name", func(s *JPQRShop) { s.Name = "" }, BadLength, "59"},
		{"name in Japanese", func(s *JPQRShop) { s.Name = "小判" }, BadFormat, "59"},
		{"name of 26", func(s *JPQRShop) { s.Name = long(26) }, BadLength, "59"},
		{"no Japanese name", func(s *JPQRShop) { s.NameJA = "" }, BadValue, "64.01"},
		{"blank Japanese name", func(s *JPQRShop) { s.NameJA = "　" }, BadValue, "64.01"},
		{"Japanese name of 26", func(s *JPQRShop) { s.NameJA = strings.Repeat("店", 26) }, BadLength, "64.01"},
		{"no city", func(s *JPQRShop) { s.City = "" }, BadLength, "60"},
		{"postal code with hyphen", func(s *JPQRShop) { s.PostalCode = "110-0001" }, BadValue, "61"},
		{"no postal code", func(s *JPQRShop) { s.PostalCode = "" }, BadValue, "61"},
		{"MCC of letters", func(s *JPQRShop) { s.MCC = "581x" }, BadFormat, "52"},
		{"store label of 26", func(s *JPQRShop) { s.StoreLabel = long(26) }, BadLength, "62.03"},
		{"terminal label in Japanese", func(s *JPQRShop) { s.TerminalLabel = "一" }, BadFormat, "62.07"},
		{"amount of zero", func(s *JPQRShop) { a := money.Yen(0); s.Amount = &a }, BadAmount, "54"},
		{"amount below zero", func(s *JPQRShop) { a := money.Yen(-1); s.Amount = &a }, BadAmount, "54"},
		{"amount in dollars", func(s *JPQRShop) { a := money.Of(100, money.USD); s.Amount = &a }, BadAmount, "54"},
		{"amount of 14 digits", func(s *JPQRShop) { a := money.Yen(10_000_000_000_000); s.Amount = &a }, BadLength, "54"},
	} {
		s := shop()
		v.edit(&s)
		got, err := EncodeJPQR(s)
		var e *Error
		if got != "" || !errors.As(err, &e) || e.Code != v.want || e.Object != v.object {
			t.Errorf("%s: %q, %v; expected %s in %s", v.name, got, err, v.want, v.object)
		}
	}
}
