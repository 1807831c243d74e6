package emv

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/money"
)

// tlv writes an object, with the length in characters.
func tlv(id, value string) string {
	return fmt.Sprintf("%s%02d%s", id, utf8.RuneCountInString(value), value)
}

// seal ends body with its check sum.
func seal(body string) string {
	body += "6304"
	return body + crcText(CRC16([]byte(body)))
}

// row is objects of a root, by identifier and value.
type row [][2]string

// plain is a small valid code. Offsets: 26 at 6, 52 at 25, 53 at 33, 58 at 40, 59 at 46, 60 at 53, 63 at 60.
var plain = row{{"00", "01"}, {"26", "0011com.example"}, {"52", "4111"}, {"53", "840"}, {"58", "US"}, {"59", "abc"}, {"60", "xyz"}}

// store is a small valid JPQR code. Offsets: 26 at 6, 52 at 78, 53 at 86, 58 at 93, 59 at 99, 60 at 106, 61 at 113,
// 64 at 124, 63 at 142.
var store = row{
	{"00", "01"},
	{"26", "0019jp.or.paymentsjapan011312345678901230204000103060000020406000003"},
	{"52", "5812"},
	{"53", "392"},
	{"58", "JP"},
	{"59", "abc"},
	{"60", "xyz"},
	{"61", "1066143"},
	{"64", "0002JA0104カフェ屋"},
}

// with returns r with the objects of more in place of those with the same identifier, else at the end. An empty value
// leaves the object out.
func (r row) with(more ...string) row {
	out := append(row(nil), r...)
	for i := 0; i < len(more); i += 2 {
		at := -1
		for j := range out {
			if out[j][0] == more[i] {
				at = j
			}
		}
		switch {
		case at < 0:
			out = append(out, [2]string{more[i], more[i+1]})
		case more[i+1] == "":
			out = append(out[:at], out[at+1:]...)
		default:
			out[at][1] = more[i+1]
		}
	}
	return out
}

func (r row) body() string {
	var b strings.Builder
	for _, o := range r {
		b.WriteString(tlv(o[0], o[1]))
	}
	return b.String()
}

func (r row) String() string { return seal(r.body()) }

func long(n int) string { return strings.Repeat("x", n) }

func TestAccepted(t *testing.T) {
	for name, r := range map[string]row{
		"plain":                        plain,
		"store":                        store,
		"static":                       plain.with("01", "11"),
		"dynamic":                      plain.with("01", "12"),
		"scheme account alone":         plain.with("26", "", "04", "4111111111111111"),
		"first account":                plain.with("26", "", "02", "x"),
		"last account":                 plain.with("26", "", "51", "0001x"),
		"guid not first":               plain.with("26", "0104abcd0011com.example"),
		"guid of 32":                   plain.with("26", "0032"+long(32)),
		"account object not looked at": plain.with("26", "0001x0108026304AA"),
		"whole amount":                 plain.with("54", "98"),
		"amount with decimals":         plain.with("54", "98.73"),
		"amount ending in a point":     plain.with("54", "98."),
		"least amount":                 plain.with("54", "0.01"),
		"amount with leading zeros":    plain.with("54", "0098.7"),
		"amount of 13":                 plain.with("54", "9999999999.99"),
		"amount of three decimals":     plain.with("53", "414", "54", "1.234"),
		"tip to be asked for":          plain.with("55", "01"),
		"fixed fee":                    plain.with("55", "02", "56", "0.50"),
		"least percentage":             plain.with("55", "03", "57", "00.01"),
		"greatest percentage":          plain.with("55", "03", "57", "99.99"),
		"whole percentage":             plain.with("55", "03", "57", "5"),
		"name of 25":                   plain.with("59", long(25)),
		"city of 15":                   plain.with("60", long(15)),
		"postal code of 10":            plain.with("61", long(10)),
		"additional data":              plain.with("62", "0125"+long(25)+"0725"+long(25)+"0903AME1003T12"),
		"prompts":                      plain.with("62", "0103***0703***"),
		"additional system template":   plain.with("62", "50080004abcd9909000500000"),
		"language name of 25":          plain.with("64", "0002ZH0125"+strings.Repeat("京", 25)+"0215"+strings.Repeat("都", 15)),
		"language in lower case":       plain.with("64", "0002ja0101店"),
		"language RFU":                 plain.with("64", "0002JA0101店0303abc9901x"),
		"RFU not of objects":           plain.with("65", "00", "79", "最\x01"),
		"unreserved":                   plain.with("80", "0001x", "99", "0032"+long(32)+"0102京都"),
		"JPQR elsewhere":               store.with("26", "", "51", store[1][1]),
		"JPQR objects in another order": store.with("26",
			"020400010406000003011312345678901230019jp.or.paymentsjapan0306000002"),
		"JPQR beside another account": store.with("27", "0011com.example"),
	} {
		c, err := Decode(r.String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(c.Warnings) > 0 {
			t.Errorf("%s: warned of %v", name, c.Warnings)
		}
		if again, err := Encode(c); err != nil || again != r.String() {
			t.Errorf("%s: encoded again as %q, %v; expected %q", name, again, err, r)
		}
	}
}

func TestRefused(t *testing.T) {
	const end = 60 // where object 63 of plain starts
	refused := []struct {
		name    string
		payload string
		code    Fault
		object  string
		offset  int
	}{
		{"nothing", "", MissingMandatory, "00", 0},
		{"no format indicator", seal(plain.body()[6:]), MissingMandatory, "00", 0},
		{"format indicator late", seal(plain.body()[6:] + "000201"), BadOrder, "00", 54},
		{"format 02", plain.with("00", "02").String(), BadValue, "00", 4},
		{"format of one digit", plain.with("00", "1").String(), BadLength, "00", 2},
		{"a web address", "https://example.com", BadID, "", 0},
		{"blank before", " " + plain.String(), BadID, "", 0},
		{"line end after", plain.String() + "\n", CRCNotLast, "63", end},
		{"EMV consumer code", "hQVDUFYwMWEaTwegAAAAVVVVVw8SNFZ4kBI0WNGRIgESNF8=", UnsupportedKind, "", 0},
		{"JPQR consumer code", "hQVKUFFSMWElTwgx", UnsupportedKind, "", 0},
		{"bad byte", seal(plain.body() + "6501\xff"), NotUTF8, "", end + 4},
		{"bad byte after others", seal(plain.body() + "6502京\xe3"), NotUTF8, "", end + 5},
		{"surrogate", seal(plain.body() + "6501\xed\xa0\x80"), NotUTF8, "", end + 4},
		{"513 characters", plain.with("65", strings.Repeat("京", 99), "66", long(99), "67", long(99), "68", long(99), "69", long(29)).String(), TooLong, "", 512},
		{"far too long", strings.Repeat("0", 1<<20), TooLong, "", 512},

		{"letter in an identifier", seal(plain.body() + "6A01x"), BadID, "", end + 1},
		{"full-width identifier", seal(plain.body() + "６５01x"), BadID, "", end},
		{"letter in a length", seal(plain.body() + "650x1"), BadLength, "65", end + 3},
		{"negative length", seal(plain.body() + "65-1x"), BadLength, "65", end + 2},
		{"zero length", seal(plain.body() + "6500"), BadLength, "65", end + 2},
		{"ends in an identifier", plain.body() + "6", TruncatedValue, "", end + 1},
		{"ends in a length", plain.body() + "651", TruncatedValue, "65", end + 3},
		{"ends in a value", plain.body() + "6503ab", TruncatedValue, "65", end + 2},
		{"length over the check sum", seal(plain.body() + "6299short"), TruncatedValue, "62", end + 2},
		{"length in bytes", plain.body() + "6506京都", TruncatedValue, "65", end + 2},
		{"duplicate", seal(plain.body() + "5903def"), DuplicateID, "59", end},
		{"duplicate of the unknown", seal(plain.body() + "6501x6501y"), DuplicateID, "65", end + 5},

		{"no check sum", plain.body(), CRCMissing, "63", end},
		{"check sum wrong", plain.body() + "63040000", BadCRC, "63", end + 4},
		{"check sum in lower case", plain.body() + "63041a2B", BadCRCFormat, "63", end + 5},
		{"check sum of other letters", plain.body() + "630400G0", BadCRCFormat, "63", end + 6},
		{"check sum not ASCII", plain.body() + "6304AB京C", BadCRCFormat, "63", end + 6},
		{"check sum of three", plain.body() + "6303ABC", BadLength, "63", end + 2},
		{"check sum of five", plain.body() + "6305ABCDE", BadLength, "63", end + 2},
		{"check sum cut off", plain.body() + "6304AB", TruncatedValue, "63", end + 2},
		{"check sum early", seal(plain.body() + "63041234" + "6501x"), CRCNotLast, "63", end},

		{"no account", plain.with("26", "").String(), MissingMandatory, "26", 41},
		{"no MCC", plain.with("52", "").String(), MissingMandatory, "52", 52},
		{"no currency", plain.with("53", "").String(), MissingMandatory, "53", 53},
		{"no country", plain.with("58", "").String(), MissingMandatory, "58", 54},
		{"no name", plain.with("59", "").String(), MissingMandatory, "59", 53},
		{"no city", plain.with("60", "").String(), MissingMandatory, "60", 53},

		{"initiation 13", plain.with("01", "13").String(), BadValue, "01", end + 4},
		{"initiation of letters", plain.with("01", "1a").String(), BadFormat, "01", end + 5},
		{"initiation of three", plain.with("01", "011").String(), BadLength, "01", end + 2},
		{"scheme account not ASCII", plain.with("02", "a京").String(), BadFormat, "02", end + 5},
		{"account template not ASCII", plain.with("27", "0001x0101京").String(), BadFormat, "27", end + 13},
		{"account template not of objects", plain.with("27", "com.example").String(), BadID, "27", end + 4},
		{"account template without guid", plain.with("27", "0101x").String(), MissingMandatory, "27.00", end + 9},
		{"account guid of 33", plain.with("27", "0033"+long(33)).String(), BadLength, "27.00", end + 6},
		{"account guid empty", plain.with("27", "0000").String(), BadLength, "27.00", end + 6},
		{"account object past its template", plain.with("27", "0001x0103ab").String(), TruncatedValue, "27.01", end + 11},
		{"account object twice", plain.with("27", "0001x0001y").String(), DuplicateID, "27.00", end + 9},
		{"account ends in an identifier", plain.with("27", "0001x0").String(), TruncatedValue, "27", end + 10},
		{"MCC of five", plain.with("52", "41111").String(), BadLength, "52", 27},
		{"MCC of letters", plain.with("52", "41x1").String(), BadFormat, "52", 31},
		{"currency by letters", plain.with("53", "USD").String(), BadFormat, "53", 37},
		{"currency unknown", plain.with("53", "999").String(), BadValue, "53", 37},
		{"currency none", plain.with("53", "000").String(), BadValue, "53", 37},
		{"currency of four", plain.with("53", "0840").String(), BadLength, "53", 35},
		{"country in lower case", plain.with("58", "us").String(), BadValue, "58", 44},
		{"country unknown", plain.with("58", "ZZ").String(), BadValue, "58", 44},
		{"country across two", plain.with("58", "D ").String(), BadValue, "58", 44},
		{"country of three", plain.with("58", "USA").String(), BadLength, "58", 42},
		{"name of 26", plain.with("59", long(26)).String(), BadLength, "59", 48},
		{"name not ASCII", plain.with("59", "a食堂").String(), BadFormat, "59", 51},
		{"name with a tab", plain.with("59", "a\tb").String(), BadFormat, "59", 51},
		{"city of 16", plain.with("60", long(16)).String(), BadLength, "60", 55},
		{"city not ASCII", plain.with("60", "京都").String(), BadFormat, "60", 57},
		{"postal code of 11", plain.with("61", long(11)).String(), BadLength, "61", end + 2},
		{"postal code not ASCII", plain.with("61", "１").String(), BadFormat, "61", end + 4},

		{"amount of 14", plain.with("54", "10000000000.00").String(), BadLength, "54", end + 2},
		{"amount of zero", plain.with("54", "0").String(), BadAmount, "54", end + 4},
		{"amount of zeros", plain.with("54", "000.00").String(), BadAmount, "54", end + 4},
		{"amount of letters", plain.with("54", "abc").String(), BadAmount, "54", end + 4},
		{"amount with a comma", plain.with("54", "1,00").String(), BadAmount, "54", end + 4},
		{"amount with a sign", plain.with("54", "-1").String(), BadAmount, "54", end + 4},
		{"amount with plus", plain.with("54", "+1").String(), BadAmount, "54", end + 4},
		{"amount with a blank", plain.with("54", "1 ").String(), BadAmount, "54", end + 4},
		{"amount with an exponent", plain.with("54", "1e3").String(), BadAmount, "54", end + 4},
		{"amount of two points", plain.with("54", "1.2.3").String(), BadAmount, "54", end + 4},
		{"amount of a point", plain.with("54", ".").String(), BadAmount, "54", end + 4},
		{"amount starting in a point", plain.with("54", ".5").String(), BadAmount, "54", end + 4},
		{"amount too precise", plain.with("54", "1.234").String(), BadAmount, "54", end + 4},
		{"amount of full-width digits", plain.with("54", "１").String(), BadFormat, "54", end + 4},
		{"yen with decimals", store.with("54", "1.0").String(), BadAmount, "54", 146},
		{"yen with a point", store.with("54", "1.").String(), BadAmount, "54", 146},

		{"tip 04", plain.with("55", "04").String(), BadValue, "55", end + 4},
		{"tip 00", plain.with("55", "00").String(), BadValue, "55", end + 4},
		{"tip of letters", plain.with("55", "x1").String(), BadFormat, "55", end + 4},
		{"fixed fee without the fee", plain.with("55", "02").String(), MissingMandatory, "56", end + 6},
		{"percentage without it", plain.with("55", "03").String(), MissingMandatory, "57", end + 6},
		{"fixed fee without tip", plain.with("56", "1").String(), Unexpected, "56", end},
		{"percentage without tip", plain.with("57", "1").String(), Unexpected, "57", end},
		{"fixed fee with prompt", plain.with("55", "01", "56", "1").String(), Unexpected, "56", end + 6},
		{"percentage with fixed", plain.with("55", "02", "56", "1", "57", "1").String(), Unexpected, "57", end + 11},
		{"fee of zero", plain.with("55", "02", "56", "0.00").String(), BadAmount, "56", end + 10},
		{"fee too precise", plain.with("55", "02", "56", "0.001").String(), BadAmount, "56", end + 10},
		{"percentage of zero", plain.with("55", "03", "57", "00.00").String(), BadAmount, "57", end + 10},
		{"percentage of 100", plain.with("55", "03", "57", "100").String(), BadAmount, "57", end + 10},
		{"percentage with sign", plain.with("55", "03", "57", "5%").String(), BadAmount, "57", end + 10},
		{"percentage too precise", plain.with("55", "03", "57", "1.234").String(), BadAmount, "57", end + 10},
		{"percentage of six", plain.with("55", "03", "57", "001.00").String(), BadLength, "57", end + 8},

		{"additional data not of objects", plain.with("62", "table 7").String(), BadID, "62", end + 4},
		{"bill number of 26", plain.with("62", "0126"+long(26)).String(), BadLength, "62.01", end + 6},
		{"terminal label of 26", plain.with("62", "0101x0726"+long(26)).String(), BadLength, "62.07", end + 11},
		{"terminal label empty", plain.with("62", "0700").String(), BadLength, "62.07", end + 6},
		{"terminal label twice", plain.with("62", "0701x0701y").String(), DuplicateID, "62.07", end + 9},
		{"consumer data of four", plain.with("62", "0904AMEA").String(), BadLength, "62.09", end + 6},
		{"tax id of 21", plain.with("62", "1021"+long(21)).String(), BadLength, "62.10", end + 6},
		{"channel of two", plain.with("62", "110212").String(), BadLength, "62.11", end + 6},
		{"system template cut short", plain.with("62", "50060002x").String(), TruncatedValue, "62.50", end + 6},

		{"language missing", plain.with("64", "0101x").String(), MissingMandatory, "64.00", end + 9},
		{"language of three", plain.with("64", "0003JPN0101x").String(), BadLength, "64.00", end + 6},
		{"language of digits", plain.with("64", "0002J10101x").String(), BadValue, "64.00", end + 8},
		{"language starting in a digit", plain.with("64", "00021A0101x").String(), BadValue, "64.00", end + 8},
		{"language not ASCII", plain.with("64", "0002日本0101x").String(), BadFormat, "64.00", end + 8},
		{"language without name", plain.with("64", "0002JA").String(), MissingMandatory, "64.01", end + 10},
		{"language name of 26", plain.with("64", "0002JA0126"+strings.Repeat("京", 26)).String(), BadLength, "64.01", end + 12},
		{"language name with a line end", plain.with("64", "0002JA0103京\n都").String(), BadFormat, "64.01", end + 15},
		{"language city of 16", plain.with("64", "0002JA0101x0216"+long(16)).String(), BadLength, "64.02", end + 17},

		{"unreserved without guid", plain.with("80", "0101x").String(), MissingMandatory, "80.00", end + 9},
		{"unreserved guid of 33", plain.with("80", "0033"+long(33)).String(), BadLength, "80.00", end + 6},
		{"unreserved guid not ASCII", plain.with("80", "0002京都").String(), BadFormat, "80.00", end + 8},

		{"JPQR in dollars", store.with("53", "840").String(), BadValue, "53", 90},
		{"JPQR abroad", store.with("58", "US").String(), BadValue, "58", 97},
		{"JPQR without postal code", store.with("61", "").String(), MissingMandatory, "61", 131},
		{"JPQR without language", store.with("64", "").String(), MissingMandatory, "64", 124},
		{"JPQR in another language", store.with("64", "0002ZH0101x").String(), BadValue, "64.00", 132},
		{"JPQR in lower case", store.with("64", "0002ja0101x").String(), BadValue, "64.00", 132},
		{"JPQR with a city", store.with("64", "0002JA0101x0202北京").String(), Unexpected, "64.02", 139},
		{"JPQR without LV4", store.with("26", "0019jp.or.paymentsjapan01131234567890123020400010306000002").String(), MissingMandatory, "26.04", 68},
		{"JPQR without levels", store.with("26", "0019jp.or.paymentsjapan").String(), MissingMandatory, "26.01", 33},
		{"JPQR LV1 of 12", store.with("26", "0019jp.or.paymentsjapan0112123456789012").String(), BadLength, "26.01", 35},
		{"JPQR LV2 of 5", store.with("26", "0019jp.or.paymentsjapan020500001").String(), BadLength, "26.02", 35},
		{"JPQR LV3 of 5", store.with("26", "0019jp.or.paymentsjapan030500001").String(), BadLength, "26.03", 35},
		{"JPQR LV4 of 7", store.with("26", "0019jp.or.paymentsjapan04070000001").String(), BadLength, "26.04", 35},
		{"JPQR with more", store.with("26", store[1][1]+"0501x").String(), Unexpected, "26.05", 78},
		{"JPQR twice", store.with("27", store[1][1]).String(), DuplicateID, "27", 142},
	}
	for _, v := range refused {
		e := refusal(t, v.payload)
		if e.Code != v.code || e.Object != v.object || e.Offset != v.offset {
			t.Errorf("%s: %v; expected %s in %q at %d", v.name, e, v.code, v.object, v.offset)
		}
		if e.Message == "" || strings.Contains(e.Message, "%!") {
			t.Errorf("%s: message %q", v.name, e.Message)
		}
	}
}

func TestRefusalIsTheInvalidCodeFault(t *testing.T) {
	for _, payload := range []string{"foo", plain.with("60", "").String()} {
		_, err := Decode(payload)
		if !fault.HasCode(err, fault.InvalidCode) || !errors.Is(err, fault.Invalid) {
			t.Errorf("%v is no %s", err, fault.InvalidCode)
		}
	}
	if m := fault.Of(refusal(t, plain.with("60", "").String())).Message; !strings.Contains(m, "object 60") {
		t.Errorf("message %q does not name the object", m)
	}
}

func TestWarnings(t *testing.T) {
	const at = 60 + 4 // where the text of the last object of plain starts
	for _, v := range []struct {
		payload row
		object  string
		offset  int
	}{
		{plain.with("62", "0903tuv"), "62.09", at + 4},
		{plain.with("62", "0902AA"), "62.09", at + 4},
		{plain.with("62", "0702店x"), "62.07", at + 4},
		{plain.with("62", "070201"+"1103x00"), "62.11", at + 10},
		{plain.with("62", "0001x"), "62.00", at},
		{plain.with("62", "50050101x"), "62.50", at + 4},
		{plain.with("62", "5001x"), "62.50", at + 4},
		{plain.with("62", "50050002x"), "62.50", at + 4},
		{plain.with("62", "99150004abcd0005abc"), "62.99", at + 4},
		{plain.with("99", "abcd"), "99", at},
		{plain.with("80", "INV-0001"), "80", at},
		{store.with("26", strings.Replace(store[1][1], "1234567890123", "123456789012X", 1)), "26.01", 49},
	} {
		c, err := Decode(v.payload.String())
		if err != nil {
			t.Errorf("%s: %v", v.payload, err)
			continue
		}
		if len(c.Warnings) != 1 || c.Warnings[0].Object != v.object || c.Warnings[0].Offset != v.offset || c.Warnings[0].Message == "" {
			t.Errorf("%s: warnings %+v; expected one in %s at %d", v.payload, c.Warnings, v.object, v.offset)
		}
	}
}

func TestAccessors(t *testing.T) {
	c, err := Decode(plain.with("01", "12", "04", "4111", "54", "23.7", "55", "02", "56", "0.5", "61", "94105",
		"62", "0101a0201b0301c0401d0501e0601f0701g0801h0901A1001j1103123"+"50080004koba", "64", "0002ZH0102北京0201市").String())
	if err != nil {
		t.Fatal(err)
	}
	if got := *c.Amount(); got != money.Of(2370, money.USD) {
		t.Errorf("amount %v", got)
	}
	if tip := c.Tip(); tip.Kind != TipFixed || *tip.Fixed != money.Of(50, money.USD) {
		t.Errorf("tip %+v", tip)
	}
	got := []string{c.PointOfInitiation(), c.MCC(), c.Country(), c.MerchantName(), c.City(), c.PostalCode(), c.Currency().Code(), c.Profile}
	want := []string{"12", "4111", "US", "abc", "xyz", "94105", "USD", ""}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q; expected %q", got, want)
	}
	if len(c.CRC()) != 4 || c.JPQR != nil || *c.Language() != (Language{"ZH", "北京", "市"}) {
		t.Errorf("crc %s, jpqr %v, language %v", c.CRC(), c.JPQR, c.Language())
	}
	if a := c.Accounts(); len(a) != 2 || a[0].GUID != "com.example" || a[1].GUID != "" || a[1].Value != "4111" {
		t.Errorf("accounts %+v", a)
	}
	d := c.AdditionalData()
	if s := d.BillNumber + d.MobileNumber + d.StoreLabel + d.LoyaltyNumber + d.ReferenceLabel + d.CustomerLabel + d.TerminalLabel +
		d.Purpose + d.ConsumerData + d.MerchantTaxID + d.MerchantChannel; s != "abcdefghAj123" {
		t.Errorf("additional data %+v", d)
	}
	if len(d.Systems) != 1 || d.Systems[0].ID != "50" || d.Systems[0].GUID != "koba" || c.Text("62.50.00") != "koba" {
		t.Errorf("systems %+v", d.Systems)
	}
}

func TestAbsentIsNil(t *testing.T) {
	c, err := Decode(plain.String())
	if err != nil {
		t.Fatal(err)
	}
	if c.Amount() != nil || c.Tip() != nil || c.AdditionalData() != nil || c.Language() != nil || c.JPQR != nil || c.PointOfInitiation() != "" {
		t.Errorf("%+v", c)
	}
}

// A store id counts where the payer's app looks for accounts, and nowhere else.
func TestStoreIDOutsideTheAccountsIsNoJPQR(t *testing.T) {
	c, err := Decode(plain.with("80", store[1][1]).String())
	if err != nil || c.Profile != "" || c.JPQR != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestErrorText(t *testing.T) {
	for payload, want := range map[string]string{
		"foo":                          "BAD_ID at 0: Found 'f' in an identifier; expected two digits.",
		plain.with("52", "1").String(): "BAD_LENGTH in 52 at 27: The length is 01; expected 04.",
	} {
		if got := refusal(t, payload).Error(); got != want {
			t.Errorf("%q; expected %q", got, want)
		}
	}
}

func TestTipPercentage(t *testing.T) {
	for s, want := range map[string]int64{"00.01": 1, "99.99": 9999, "5": 500, "3.5": 350, "12.": 1200} {
		c, err := Decode(plain.with("55", "03", "57", s).String())
		if err != nil {
			t.Errorf("%s: %v", s, err)
		} else if tip := c.Tip(); tip.Kind != TipPercent || tip.Percent != want || tip.Fixed != nil {
			t.Errorf("%s: %+v; expected %d", s, tip, want)
		}
	}
}

// TestCountries holds the list against its own length and order, so that a slip in it shows.
func TestCountries(t *testing.T) {
	list := strings.Fields(countries)
	if len(list) != 249 || len(countrySet) != 249 {
		t.Fatalf("%d countries, %d different; ISO 3166-1 has 249", len(list), len(countrySet))
	}
	for i, c := range list {
		if len(c) != 2 || i > 0 && list[i-1] >= c {
			t.Errorf("%q after %q", c, list[i-1])
		}
	}
}
