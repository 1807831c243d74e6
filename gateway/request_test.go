package gateway

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
)

// amountTokens are the ways to write an amount of catalogue A (docs/reference/catalogue.md) that do not stand for one.
var amountTokens = []string{
	`0`, `-1`, `-1200`, // 1, 2
	`9007199254740992`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`, // 3
	`18446744073709551616`, `18446744073709551617`, `-18446744073709551615`, `100000000000000000000000000000000`,
	`1e3`, `1E-2`, `1e+2`, `0x10`, `01`, `00`, `+1`, `１`, `1１`, `NaN`, `Infinity`, `-0`, `-01`, `-`, `.5`, `1_000`, `1,`, // 4
	`10.10`, `1.0`, `1.`, `1.e1`, // 5
	`"1200"`, `" 1"`, `""`, `true`, `null`, `[1]`, `{}`, `{"value":1}`,
}

// amountRoutes are all requests with an amount, with the value to fill in, and its param.
var amountRoutes = []struct{ path, body, param string }{
	{"/v1/payments", `{"kind":"charge","amount":{"currency":"JPY","value":%s}}`, "amount.value"},
	{"/v1/payments", `{"kind":"charge","sources":[{"type":"balance"},{"type":"points","amount":{"currency":"PT","value":%s}}]}`, "sources.1.amount.value"},
	{"/v1/payments/pay_1/capture", `{"amount":{"currency":"JPY","value":%s}}`, "amount.value"},
	{"/v1/payments/pay_1/refunds", `{"amount":{"value":%s,"currency":"JPY"}}`, "amount.value"},
	{"/v1/accounts/acc_1/credits", `{"amount":{"currency":"JPY","value":%s}}`, "amount.value"},
	{"/v1/customers", `{"balance":{"currency":"JPY","value":%s}}`, "balance.value"},
	{"/v1/customers", `{"points":{"currency":"PT","value":%s}}`, "points.value"},
}

func TestAmounts(t *testing.T) {
	d := newDoor(t, nil)
	for _, r := range amountRoutes {
		for _, token := range amountTokens {
			a := d.do(request{verb: "POST", path: r.path, body: fmt.Sprintf(r.body, token)})
			switch token {
			case `1,`: // an amount, and then JSON that ends too early or names no member
				if a.Status != 400 || !strings.HasPrefix(r.param, a.Param) {
					t.Errorf("%s %s: %d %s", r.path, token, a.Status, a.Body)
				}
			default:
				if a.wants(t, fault.InvalidAmount, r.param); t.Failed() {
					t.Fatalf("%s, value %s", r.path, token)
				}
			}
		}
		if d.reached() != 0 {
			t.Fatal("a handler was reached")
		}
	}
	for _, token := range []string{`1`, `1200`, `9007199254740991`, ` 7 `} {
		for _, r := range amountRoutes {
			d.do(request{verb: "POST", path: r.path, body: fmt.Sprintf(r.body, token)}).wantsStatus(t, 201)
		}
	}
	d.do(request{verb: "POST", path: "/v1/customers", body: `{"balance":{"currency":"JPY","value":9007199254740991}}`})
	if got := d.last.(*platformv1.CreateCustomerRequest).GetBalance().GetValue(); got != 9007199254740991 {
		t.Errorf("the value arrived as %d", got)
	}
}

// 7: unknown, retired, lower-case and technical currencies.
func TestCurrencies(t *testing.T) {
	d := newDoor(t, nil)
	body := `{"amount":{"currency":%s,"value":1}}`
	for _, c := range []string{`"jpy"`, `"JP"`, `"JPYX"`, `"XXX"`, `"XTS"`, `"XAU"`, `"DEM"`, `"HRK"`, `"ZZZ"`, `""`, `" JPY"`, `"ＪＰＹ"`, `392`, `null`, `["JPY"]`, `"J\u0000Y"`} {
		d.do(request{verb: "POST", path: "/v1/accounts/acc_1/credits", body: fmt.Sprintf(body, c)}).wants(t, fault.InvalidCurrency, "amount.currency")
	}
	for _, c := range []string{`"JPY"`, `"USD"`, `"KWD"`, `"CLF"`, `"PT"`, `"\u004aPY"`} {
		d.do(request{verb: "POST", path: "/v1/accounts/acc_1/credits", body: fmt.Sprintf(body, c)}).wantsStatus(t, 201)
	}
}

func TestBodies(t *testing.T) {
	const pay, credit, shops, capture = "/v1/payments", "/v1/accounts/acc_1/credits", "/v1/merchants", "/v1/payments/pay_1/capture"
	deep := strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat(`}`, 10_000)
	name := func(s string) string { return `{"name":"` + s + `"}` }
	for _, tc := range []struct {
		name, path, body string
		want             fault.Code
		param            string
	}{
		// Missing and of the wrong kind.
		{"nothing", credit, ``, fault.MissingField, "amount"},
		{"white space", credit, " \n\t\r", fault.MissingField, "amount"},
		{"empty object", credit, `{}`, fault.MissingField, "amount"},
		{"no currency", credit, `{"amount":{"value":1}}`, fault.MissingField, "amount.currency"},
		{"no value", credit, `{"amount":{"currency":"JPY"}}`, fault.MissingField, "amount.value"},
		{"no kind", pay, `{"customer":"cus_1"}`, fault.MissingField, "kind"},
		{"empty text", shops, name(""), fault.MissingField, "name"},
		{"source without type", pay, `{"kind":"charge","sources":[{}]}`, fault.MissingField, "sources.0.type"},
		{"bare amount", credit, `{"amount":1200}`, fault.InvalidAmount, "amount"},
		{"text amount", credit, `{"amount":"1200"}`, fault.InvalidAmount, "amount"},
		{"null amount", "/v1/payments/pay_1/refunds", `{"amount":null}`, fault.InvalidAmount, "amount"},
		{"null text", pay, `{"kind":"charge","session":null}`, fault.InvalidRequest, "session"},
		{"number for text", shops, `{"name":7}`, fault.InvalidRequest, "name"},
		{"text for boolean", pay, `{"kind":"charge","async":"true"}`, fault.InvalidRequest, "async"},
		{"number for boolean", capture, `{"final":1}`, fault.InvalidRequest, "final"},
		{"object for list", pay, `{"kind":"charge","sources":{}}`, fault.InvalidRequest, "sources"},
		{"text in list", pay, `{"kind":"charge","sources":["points"]}`, fault.InvalidRequest, "sources.0"},
		{"list for object", pay, `{"kind":"charge","metadata":[]}`, fault.InvalidRequest, "metadata"},
		{"number in map", pay, `{"kind":"charge","metadata":{"a":1}}`, fault.InvalidRequest, "metadata.a"},
		{"unknown word", pay, `{"kind":"CHARGE"}`, fault.InvalidRequest, "kind"},
		{"the contract's word", pay, `{"kind":"PAYMENT_KIND_CHARGE"}`, fault.InvalidRequest, "kind"},
		{"unspecified", pay, `{"kind":"unspecified"}`, fault.InvalidRequest, "kind"},
		{"empty word", pay, `{"kind":""}`, fault.InvalidRequest, "kind"},
		{"number for word", pay, `{"kind":1}`, fault.InvalidRequest, "kind"},
		{"11 sources", pay, `{"kind":"charge","sources":[` + strings.Repeat(`{"type":"points"},`, 10) + `{"type":"points"}]}`, fault.InvalidRequest, "sources"},
		{"10,001 sources", pay, `{"kind":"charge","sources":[` + strings.Repeat(`{"type":"points"},`, 3000) + `{"type":"points"}]}`, fault.InvalidRequest, "sources"},

		// 107: text.
		{"NUL", shops, name("a\x00b"), fault.InvalidRequest, "name"},
		{"escaped NUL", shops, name(`a\u0000b`), fault.InvalidRequest, "name"},
		{"line end", shops, name("a\nb"), fault.InvalidRequest, "name"},
		{"escaped line end", shops, name(`a\nb`), fault.InvalidRequest, "name"},
		{"escaped line end, in hexadecimal", shops, name(`a\u000ab`), fault.InvalidRequest, "name"},
		{"DEL", shops, name("a\x7fb"), fault.InvalidRequest, "name"},
		{"C1", shops, name("a\u0085b"), fault.InvalidRequest, "name"},
		{"invalid UTF-8", shops, name("a\xffb"), fault.InvalidRequest, "name"},
		{"overlong UTF-8", shops, name("\xc0\xaf"), fault.InvalidRequest, "name"},
		{"UTF-8 cut short", shops, name("\xe3\x81"), fault.InvalidRequest, "name"},
		{"surrogate in UTF-8", shops, name("\xed\xa0\x80"), fault.InvalidRequest, "name"},
		{"lone surrogate", shops, name(`\ud83d`), fault.InvalidRequest, "name"},
		{"surrogates the wrong way round", shops, name(`\ude00\ud83d`), fault.InvalidRequest, "name"},
		{"high surrogate and a letter", shops, name(`\ud83d\u0041`), fault.InvalidRequest, "name"},
		{"broken escape", shops, name(`\x41`), fault.InvalidRequest, "name"},
		{"short escape", shops, `{"name":"\u00"}`, fault.InvalidRequest, "name"},
		{"override", shops, name("\u202eevil"), fault.InvalidRequest, "name"},
		{"isolate", shops, name("\u2066evil"), fault.InvalidRequest, "name"},
		{"byte order mark", shops, name("\ufeffa"), fault.InvalidRequest, "name"},
		{"noncharacter", shops, name("\uffff"), fault.InvalidRequest, "name"},
		{"101 letters", shops, name(strings.Repeat("a", 101)), fault.InvalidRequest, "name"},
		{"101 kanji", shops, name(strings.Repeat("店", 101)), fault.InvalidRequest, "name"},
		{"256 letters of reference", pay, `{"kind":"charge","reference":"` + strings.Repeat("a", 256) + `"}`, fault.InvalidRequest, "reference"},
		{"501 letters of metadata", pay, `{"kind":"charge","metadata":{"a":"` + strings.Repeat("a", 501) + `"}}`, fault.InvalidRequest, "metadata.a"},
		{"metadata without a name", pay, `{"kind":"charge","metadata":{"":"a"}}`, fault.InvalidRequest, "metadata"},
		{"metadata with a name for logs", pay, `{"kind":"charge","metadata":{"a b":"a"}}`, fault.InvalidRequest, "metadata"},
		{"NUL in metadata", pay, `{"kind":"charge","metadata":{"a":"\u0000"}}`, fault.InvalidRequest, "metadata.a"},

		// 108: JSON.
		{"member twice", shops, `{"name":"a","name":"a"}`, fault.InvalidRequest, "name"},
		{"member twice, once escaped", shops, `{"name":"a","\u006eame":"a"}`, fault.InvalidRequest, "name"},
		{"inner member twice", credit, `{"amount":{"currency":"JPY","value":1,"value":2}}`, fault.InvalidRequest, "amount.value"},
		{"amount twice", credit, `{"amount":{"currency":"JPY","value":1},"amount":{"currency":"JPY","value":1}}`, fault.InvalidRequest, "amount"},
		{"metadata twice", pay, `{"kind":"charge","metadata":{"a":"1","a":"2"}}`, fault.InvalidRequest, "metadata.a"},
		{"deep", shops, deep, fault.UnknownField, "a"},
		{"deep where an object is", pay, `{"kind":"charge","metadata":{"a":` + deep[:50_000] + `}}`, fault.InvalidRequest, "metadata.a"},
		{"deep lists", pay, `{"kind":"charge","sources":` + strings.Repeat(`[`, 50_000) + `}`, fault.InvalidRequest, "sources.0"},
		{"unknown", shops, `{"name":"a","tenant_id":1}`, fault.UnknownField, "tenant_id"},
		{"privileged", pay, `{"kind":"charge","status":"CAPTURED"}`, fault.UnknownField, "status"},
		{"approved_by", pay, `{"kind":"charge","approved_by":"me"}`, fault.UnknownField, "approved_by"},
		{"unknown in amount", credit, `{"amount":{"currency":"JPY","value":1,"scale":2}}`, fault.UnknownField, "amount.scale"},
		{"unknown in source", pay, `{"kind":"charge","sources":[{"type":"points","account":"acc_9"}]}`, fault.UnknownField, "sources.0.account"},
		{"the path's id", capture, `{"id":"pay_2"}`, fault.UnknownField, "id"},
		{"camel case", pay, `{"kind":"charge","Async":true}`, fault.UnknownField, "Async"},
		{"name for logs", shops, `{"name":"a","\u2028<b>":1}`, fault.InvalidRequest, ""},
		{"list at the top", shops, `[]`, fault.InvalidRequest, ""},
		{"text at the top", shops, `"name"`, fault.InvalidRequest, ""},
		{"null at the top", shops, `null`, fault.InvalidRequest, ""},
		{"two objects", shops, `{"name":"a"}{}`, fault.InvalidRequest, ""},
		{"NUL after", shops, `{"name":"a"}` + "\x00", fault.InvalidRequest, ""},
		{"NUL only", shops, "\x00", fault.InvalidRequest, ""},
		{"byte order mark before", shops, "\ufeff" + `{"name":"a"}`, fault.InvalidRequest, ""},
		{"trailing comma", shops, `{"name":"a",}`, fault.InvalidRequest, ""},
		{"leading comma", shops, `{,"name":"a"}`, fault.InvalidRequest, ""},
		{"no comma", capture, `{"final":true "async":true}`, fault.InvalidRequest, ""},
		{"no colon", shops, `{"name" "a"}`, fault.InvalidRequest, ""},
		{"single quotes", shops, `{'name':'a'}`, fault.InvalidRequest, ""},
		{"no quotes", shops, `{name:"a"}`, fault.InvalidRequest, ""},
		{"comment", shops, `{/**/"name":"a"}`, fault.InvalidRequest, ""},
		{"cut in text", shops, `{"name":"a`, fault.InvalidRequest, "name"},
		{"cut in name", shops, `{"na`, fault.InvalidRequest, ""},
		{"cut after", shops, `{"name":"a"`, fault.InvalidRequest, ""},
		{"True", capture, `{"final":True}`, fault.InvalidRequest, "final"},
		{"trailing comma in list", pay, `{"kind":"charge","sources":[{"type":"points"},]}`, fault.InvalidRequest, "sources.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor(t, nil)
			d.do(request{verb: "POST", path: tc.path, body: tc.body}).wants(t, tc.want, tc.param)
			if d.reached() != 0 {
				t.Error("a handler was reached")
			}
		})
	}
}

// 107: what is only text stays text, to the byte, there and back.
func TestTextIsKept(t *testing.T) {
	d := newDoor(t, nil)
	for _, s := range []string{
		`'; DROP TABLE payments;--`, `<script>alert(1)</script>`, `=cmd|' /C calc'!A0`, `${jndi:ldap://x}`, `%s%n%00`, `../../etc`,
		"茶屋 本店", "😀👨‍👩‍👧", "مرحبا!", "e\u0301", "\ufffd", `a \" \\`, strings.Repeat("店", 100),
	} {
		body := string(appendText([]byte(`{"name":`), s)) + `}`
		d.do(request{verb: "POST", path: "/v1/merchants", body: body}).wantsStatus(t, 201)
		if got := d.last.(*platformv1.CreateMerchantRequest).GetName(); got != s {
			t.Errorf("%q arrived as %q", s, got)
		}
	}
	d.do(request{verb: "POST", path: "/v1/merchants", body: `{"name":"\u8336\ud83d\ude00\/\"\\"}`})
	if got := d.last.(*platformv1.CreateMerchantRequest).GetName(); got != `茶😀/"\` {
		t.Errorf("escapes arrived as %q", got)
	}
}

func TestQueries(t *testing.T) {
	d := newDoor(t, nil)
	for _, tc := range []struct {
		path  string
		want  fault.Code
		param string
	}{
		{"/v1/payments?limit=0", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=101", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=1000000", fault.InvalidRequest, "limit"}, // 111
		{"/v1/payments?limit=-1", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=1e1", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=10.0", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=%2B1", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=01", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=1%20", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=1]", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=%EF%BC%91", fault.InvalidRequest, "limit"},
		{"/v1/payments?limit=1&limit=2", fault.InvalidRequest, "limit"},
		{"/v1/payments?status=captured", fault.InvalidRequest, "status"},
		{"/v1/payments?status=PAYMENT_STATUS_CAPTURED", fault.InvalidRequest, "status"},
		{"/v1/payments?tenant=2", fault.UnknownField, "tenant"},
		{"/v1/payments?customer=%00", fault.InvalidRequest, "customer"},
		{"/v1/payments?customer=%FF", fault.InvalidRequest, "customer"},
		{"/v1/payments?customer=" + strings.Repeat("a", 65), fault.InvalidRequest, "customer"},
		{"/v1/payments?cursor=" + strings.Repeat("a", 256), fault.InvalidRequest, "cursor"},
		{"/v1/payments?limit=%zz", fault.InvalidRequest, ""},
		{"/v1/payments?limit=1;status=FAILED", fault.InvalidRequest, ""},
		{"/v1/payments/pay_1?id=pay_2", fault.UnknownField, "id"},
		{"/v1/feeds/payment?after=-1", fault.InvalidRequest, "after"},
		{"/v1/feeds/payment?wait=31", fault.InvalidRequest, "wait"},
		{"/v1/feeds/payment?service=points", fault.UnknownField, "service"},
	} {
		if d.do(request{verb: "GET", path: tc.path}).wants(t, tc.want, tc.param); t.Failed() {
			t.Fatal(tc.path)
		}
	}
	if d.reached() != 0 {
		t.Error("a handler was reached")
	}
	d.do(request{verb: "POST", path: "/v1/payments/pay_1/void?async=true"}).wants(t, fault.InvalidRequest, "")

	d.do(request{verb: "GET", path: "/v1/payments?customer=cus_1&merchant=&status=PARTIALLY_REFUNDED&limit=100&cursor="}).wantsStatus(t, 200)
	want := &paymentv1.ListPaymentsRequest{
		Customer: proto.String("cus_1"), Limit: proto.Int64(100), Status: paymentv1.PaymentStatus_PAYMENT_STATUS_PARTIALLY_REFUNDED,
	}
	if !proto.Equal(d.last, want) {
		t.Errorf("arrived: %v", d.last)
	}
}

// 109: addresses that are not written as the contract writes them.
func TestPaths(t *testing.T) {
	d := newDoor(t, nil)
	for _, tc := range []struct {
		verb, path string
		want       fault.Code
		param      string
	}{
		{"GET", "/", fault.RouteNotFound, ""},
		{"GET", "/v1", fault.RouteNotFound, ""},
		{"GET", "/v1/", fault.RouteNotFound, ""},
		{"GET", "/v1/payments/", fault.RouteNotFound, ""},
		{"GET", "//v1/payments", fault.RouteNotFound, ""},
		{"GET", "/v1//payments", fault.RouteNotFound, ""},
		{"GET", "/V1/payments", fault.RouteNotFound, ""},
		{"GET", "/v1/payments/pay_1/explain/x", fault.RouteNotFound, ""},
		{"GET", "/v1/payments/../accounts/acc_1", fault.RouteNotFound, ""},
		{"GET", "/v1/payments/./pay_1", fault.RouteNotFound, ""},
		{"GET", "/v1/payments/..", fault.InvalidID, "id"},
		{"GET", "/v1/payments/pay_1%00", fault.InvalidID, "id"},
		{"GET", "/v1/payments/pay_1%2fexplain", fault.InvalidID, "id"},
		{"GET", "/v1/payments/%70ay_1", fault.InvalidID, "id"},
		{"GET", "/v1/payments/pay_1'--", fault.InvalidID, "id"},
		{"GET", "/v1/payments/pay_1%20", fault.InvalidID, "id"},
		{"GET", "/v1/payments/" + strings.Repeat("a", 65), fault.InvalidID, "id"},
		{"GET", "/v1/feeds/" + strings.Repeat("a", 33), fault.InvalidID, "service"},
		{"POST", "/v1/payments/*/void", fault.InvalidID, "id"},
		{"DELETE", "/v1/payments/pay_1", fault.MethodNotAllowed, ""},
		{"PUT", "/v1/payments", fault.MethodNotAllowed, ""},
		{"PATCH", "/v1/payments/pay_1", fault.MethodNotAllowed, ""},
		{"POST", "/v1/payments/pay_1", fault.MethodNotAllowed, ""},
		{"GET", "/v1/payments/pay_1/void", fault.MethodNotAllowed, ""},
		{"OPTIONS", "/v1/payments", fault.MethodNotAllowed, ""},
		{"TRACE", "/v1/payments", fault.MethodNotAllowed, ""},
		{"POST", "/metrics", fault.MethodNotAllowed, ""},
	} {
		if d.do(request{verb: tc.verb, path: tc.path}).wants(t, tc.want, tc.param); t.Failed() {
			t.Fatal(tc.verb, tc.path)
		}
	}
	if d.reached() != 0 {
		t.Error("a handler was reached")
	}
	if got := d.do(request{verb: "PUT", path: "/v1/payments"}).Header.Get("Allow"); got != "POST, GET, HEAD" {
		t.Errorf("Allow: %q", got)
	}
}

// No request of the contract nests deeper than 16, and the decoder goes no deeper than the contract.
func TestRequestsAreShallow(t *testing.T) {
	table, err := routeTable(contracts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table {
		if d := depth(r.input); d > 16 {
			t.Errorf("%s nests %d deep", r.label, d)
		}
	}
}

func depth(s *schema) int {
	deepest := 0
	for _, f := range s.fields {
		d := 0
		if f.kind == object {
			d = depth(f.of)
		}
		if f.list || f.dict {
			d++
		}
		deepest = max(deepest, d)
	}
	return deepest + 1
}
