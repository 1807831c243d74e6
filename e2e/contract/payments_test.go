package contract

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// The request of the contract: points and the rest from the balance, by a scanned code.
func TestCharge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check(t, w.customer, shapes["customer"])
	check(t, w.merchant, shapes["merchant"])
	s := w.scan(w.merchant.text("payload"), w.customer)
	if s["status"] != "OPEN" || s["amount"] != nil {
		t.Errorf("the session is %v", s)
	}
	p := w.pay(1_200, "merchant", nil, "customer", nil, "session", s["id"], "reference", "注文-1 📦", "metadata", object{"a": "b"},
		"sources", []object{{"type": "points", "amount": pt(200)}, {"type": "balance"}}, "capture", "automatic", "async", false)
	w.is(p, "CAPTURED", "WAIT", 1_200, 1_200, 0)
	if p["session"] != s["id"] || p["reference"] != "注文-1 📦" || p["failure"] != nil || p["kind"] != "charge" {
		t.Errorf("the payment is %v", p)
	}
	for i, want := range []string{"points 200 200 0", "balance 1000 1000 0"} {
		o := p.list("sources")[i]
		if got := fmt.Sprint(o["type"], " ", o.minor("amount"), " ", o.minor("captured"), " ", o.minor("refunded")); got != want {
			t.Errorf("source %d is %s, expected %s", i, got, want)
		}
	}
	w.wallet(9_000, 0, 800, 0)
	w.holds(w.merchant.text("account"), 1_200, 0)
	if got := w.op.get("/v1/code-sessions/"+s.text("id")).wants(t, 200); got["status"] != "USED" {
		t.Errorf("the session is %v after the payment", got["status"])
	}
	if got := w.read(p); body(got) != body(p) {
		t.Errorf("read back: %v, expected %v", got, p)
	}
}

// Which sources make a payment, and which do not.
func TestSources(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	src := func(kind string, amount any) object {
		if amount == nil {
			return object{"type": kind}
		}
		return object{"type": kind, "amount": amount}
	}
	for _, c := range []struct {
		name    string
		sources any
		want    string // of the answer's sources, or a code
	}{
		{"left out", nil, "balance 90"},
		{"one without amount", []object{src("points", nil)}, "points 90"},
		{"both with amounts", []object{src("balance", jpy(40)), src("points", pt(50))}, "balance 40, points 50"},
		{"points in yen", []object{src("points", jpy(30)), src("balance", nil)}, "points 30, balance 60"},
		{"balance in points", []object{src("balance", pt(30)), src("points", nil)}, "400 currency_mismatch"},
		{"too little", []object{src("points", pt(30)), src("balance", jpy(50))}, "400 sources_mismatch"},
		{"too much", []object{src("points", pt(30)), src("balance", jpy(70))}, "400 sources_mismatch"},
		{"nothing left for the rest", []object{src("points", pt(90)), src("balance", nil)}, "points 90, balance 0"},
		{"two without amount", []object{src("points", nil), src("balance", nil)}, "400 sources_mismatch"},
		{"the same twice", []object{src("balance", jpy(40)), src("balance", nil)}, "400 "},
		{"another word", []object{src("credit", nil)}, "400 invalid_request"},
		{"too many", strings.Split(strings.Repeat(`{}`, 11), "")[:11], "400 "},
		{"no list", object{"type": "balance"}, "400 invalid_request"},
		{"sum overflows", []object{src("points", pt(1<<53-1)), src("balance", jpy(1<<53-1))}, "400 sources_mismatch"},
	} {
		a := w.app.post("/v1/payments", w.charge(90, "sources", c.sources))
		var got []string
		for _, s := range object(a.object).list("sources") {
			got = append(got, fmt.Sprint(s["type"], " ", s.minor("amount")))
		}
		said := strings.Join(got, ", ")
		if a.status != 201 {
			said = fmt.Sprint(a.status, " ", codeOf(a))
		}
		if said != c.want && (!strings.HasSuffix(c.want, " ") || !strings.HasPrefix(said, c.want)) {
			t.Errorf("%s: %s, expected %s: %s", c.name, said, c.want, a.text)
		}
	}
}

func codeOf(a *answer) string {
	e, _ := a.object["error"].(map[string]any)
	return object(e).text("code")
}

// Capture, void and refund, and everything they refuse.
func TestManualCapture(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.authorize(1_000)
	if p["expires_at"] == nil {
		t.Error("an authorization says nothing about when it lapses")
	}
	w.wallet(10_000, 1_000, 1_000, 0)
	path := "/v1/payments/" + p.text("id")
	w.app.post(path+"/refunds", object{}).refuses(t, 403, "not_allowed")
	w.op.post(path+"/refunds", object{}).refuses(t, 422, "not_refundable")
	for _, c := range []struct {
		body   any
		status int
		code   string
	}{
		{object{"amount": jpy(0)}, 400, "invalid_amount"},
		{object{"amount": jpy(-1)}, 400, "invalid_amount"},
		{object{"amount": jpy(1_001)}, 422, "capture_amount_mismatch"},
		{object{"amount": jpy(999)}, 422, "capture_amount_mismatch"},
		{object{"amount": object{"currency": "USD", "value": 1_000}}, 400, "currency_mismatch"},
		{object{"final": false}, 400, "invalid_request"},
		{object{"amount": 1_000}, 400, "invalid_amount"},
	} {
		w.shop.post(path+"/capture", c.body).refuses(t, c.status, c.code)
	}
	done := w.shop.post(path+"/capture", object{"amount": jpy(1_000), "final": true}).wants(t, 201)
	w.is(done, "CAPTURED", "WAIT", 1_000, 1_000, 0)
	w.wallet(9_000, 0, 1_000, 0)
	w.shop.post(path+"/capture", object{}).refuses(t, 422, "not_capturable")
	w.shop.post(path+"/void", object{}).refuses(t, 422, "not_voidable")
}

func TestVoid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.authorize(1_000)
	path := "/v1/payments/" + p.text("id")
	void := w.shop.postAs("v", path+"/void", object{}).wants(t, 201)
	w.is(void, "VOIDED", "COMPLETED", 1_000, 0, 0)
	w.wallet(10_000, 0, 1_000, 0)
	if again := w.shop.postAs("v", path+"/void", object{}).wants(t, 201); body(again) != body(void) {
		t.Errorf("the replay is %v, expected %v", again, void)
	}
	w.shop.post(path+"/capture", object{}).refuses(t, 422, "not_capturable")
	w.shop.post(path+"/void", object{}).refuses(t, 422, "not_voidable")
	w.op.post(path+"/refunds", object{}).refuses(t, 422, "not_refundable")
	w.holds(w.merchant.text("account"), 0, 0)
}

// Catalogue 13: refunds add up to what was captured, and never to more.
func TestRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pay(1_000, "sources", []object{{"type": "points", "amount": pt(300)}, {"type": "balance"}})
	path := "/v1/payments/" + p.text("id") + "/refunds"
	for _, c := range []struct {
		body   any
		status int
		code   string
	}{
		{object{"amount": jpy(1_001)}, 422, "exceeds_captured"},
		{object{"amount": jpy(0)}, 400, "invalid_amount"},
		{object{"amount": jpy(-1)}, 400, "invalid_amount"},
		{object{"amount": jpy(1<<53 - 1)}, 422, "exceeds_captured"},
		{object{"amount": object{"currency": "USD", "value": 1}}, 400, "currency_mismatch"},
		{object{"amount": pt(1)}, 400, "currency_mismatch"},
		{`{"amount":{"currency":"JPY","value":9007199254740992}}`, 400, "invalid_amount"},
		{`{"amount":{"currency":"JPY","value":9223372036854775808}}`, 400, "invalid_amount"},
		{`{"amount":{"currency":"JPY","value":1.0}}`, 400, "invalid_amount"},
		{`{"amount":{"currency":"JPY","value":"1"}}`, 400, "invalid_amount"},
		{`{"amount":{"currency":"JPY"}}`, 400, "missing_field"},
		{`{"amount":{"value":1}}`, 400, "missing_field"},
	} {
		w.shop.post(path, c.body).refuses(t, c.status, c.code)
	}
	w.wallet(9_300, 0, 700, 0)
	r := w.shop.post(path, object{"amount": jpy(400), "reference": "返品"}).wants(t, 201)
	w.is(r, "SUCCEEDED", "COMPLETED", 400, 400, 0)
	if r["kind"] != "refund" || r["parent"] != p["id"] || r["reference"] != "返品" || r["id"] == p["id"] {
		t.Errorf("the refund is %v", r)
	}
	w.is(w.read(p), "PARTIALLY_REFUNDED", "WAIT", 1_000, 1_000, 400)
	w.op.post(path, object{"amount": jpy(601)}).refuses(t, 422, "exceeds_captured")
	rest := w.op.post(path, object{}).wants(t, 201) // what is left
	w.is(rest, "SUCCEEDED", "COMPLETED", 600, 600, 0)
	w.is(w.read(p), "REFUNDED", "COMPLETED", 1_000, 1_000, 1_000)
	w.op.post(path, object{}).refuses(t, 422, "already_refunded")
	w.op.post("/v1/payments/"+r.text("id")+"/refunds", object{}).refuses(t, 422, "not_refundable")
	w.op.post("/v1/payments/"+r.text("id")+"/void", object{}).refuses(t, 422, "not_voidable")
	w.op.post("/v1/payments/"+r.text("id")+"/capture", object{}).refuses(t, 422, "not_capturable")
	w.wallet(10_000, 0, 1_000, 0)
	w.holds(w.merchant.text("account"), 0, 0)
}

// A refusal for want of funds is a payment too: FAILED, with the reason, and nothing held.
func TestWantOfFunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, sources := range [][]object{
		{{"type": "balance"}},
		{{"type": "points"}},
		{{"type": "points", "amount": pt(1_001)}, {"type": "balance"}},
	} {
		e := w.app.post("/v1/payments", w.charge(11_002, "sources", sources)).refuses(t, 402, "insufficient_funds")
		if e["retryable"] != false || e.text("payment") == "" {
			t.Errorf("the error is %v", e)
			continue
		}
		p := w.op.get("/v1/payments/"+e.text("payment")).wants(t, 200)
		w.is(p, "FAILED", "FAILED", 11_002, 0, 0)
		if why := object(p["failure"].(map[string]any)); why["code"] != "insufficient_funds" || why["message"] != e["message"] {
			t.Errorf("the failure is %v", why)
		}
		path := "/v1/payments/" + p.text("id")
		w.op.post(path+"/refunds", object{}).refuses(t, 422, "not_refundable")
		w.op.post(path+"/capture", object{}).refuses(t, 422, "not_capturable")
		w.op.post(path+"/void", object{}).refuses(t, 422, "not_voidable")
	}
	w.wallet(10_000, 0, 1_000, 0)
}

// async answers 202 with the payment as it stands; the same key gives the same payment, sync or not.
func TestAsync(t *testing.T) {
	t.Parallel()
	w, key := newWorld(t), rand.Text()
	a := w.app.postAs(key, "/v1/payments", w.charge(300, "async", true))
	p := a.wants(t, 202)
	w.is(p, "ACCEPTED", "WORK_IN_PROGRESS", 300, 0, 0)
	id := p.text("id")
	settled := w.settle(p)
	w.is(settled, "CAPTURED", "WAIT", 300, 300, 0)
	first := w.app.postAs(key, "/v1/payments", w.charge(300, "async", true))
	if first.wants(t, first.status)["id"] != id || first.status/100 != 2 {
		t.Errorf("the replay is %d %s", first.status, first.text)
	}
	for _, async := range []any{true, false, nil} {
		again := w.app.postAs(key, "/v1/payments", w.charge(300, "async", async))
		if again.text != first.text || again.status != first.status {
			t.Errorf("async %v: the replay is %d %s, expected %d %s", async, again.status, again.text, first.status, first.text)
		}
	}
	path := "/v1/payments/" + id
	r := w.op.post(path+"/refunds", object{"async": true}).wants(t, 202)
	w.is(r, "ACCEPTED", "WORK_IN_PROGRESS", 300, 0, 0)
	w.is(w.settle(r), "SUCCEEDED", "COMPLETED", 300, 300, 0)
	w.is(w.read(p), "REFUNDED", "COMPLETED", 300, 300, 300)

	p = w.authorize(50)
	w.shop.post("/v1/payments/"+p.text("id")+"/capture", object{"async": true}).wants(t, 202)
	w.is(w.settle(p), "CAPTURED", "WAIT", 50, 50, 0)
	p = w.authorize(50)
	w.shop.post("/v1/payments/"+p.text("id")+"/void", object{"async": true}).wants(t, 202)
	w.is(w.settle(p), "VOIDED", "COMPLETED", 50, 0, 0)

	refused := w.app.post("/v1/payments", w.charge(20_000, "async", true)).wants(t, 202)
	w.is(w.settle(refused), "FAILED", "FAILED", 20_000, 0, 0)
	w.wallet(9_950, 0, 1_000, 0)
}

// settle waits on the feed until a payment is no longer under way.
func (w *world) settle(p object) object {
	w.t.Helper()
	after := "0"
	for {
		if now := w.read(p); now["resource_status"] != "WORK_IN_PROGRESS" {
			return now
		}
		feed := w.op.get("/v1/feeds/payment?limit=1000&wait=1&after="+url.QueryEscape(after)).wants(w.t, 200)
		after = feed.number("next")
	}
}

// Catalogue A 1–8 over the wire: what is no amount.
func TestAmounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	values := map[string]string{
		"0": "invalid_amount", "-1": "invalid_amount", "-0": "invalid_amount", "9007199254740992": "invalid_amount",
		"9223372036854775807": "invalid_amount", "9223372036854775808": "invalid_amount", "1" + strings.Repeat("0", 400): "invalid_amount",
		"1e3": "invalid_amount", "1E-2": "invalid_amount", "1.0": "invalid_amount", "10.10": "invalid_amount", "01": "invalid_amount",
		"+1": "invalid_amount", "0x10": "invalid_amount", "NaN": "invalid_amount", "１": "invalid_amount", `"1"`: "invalid_amount",
		`" 1"`: "invalid_amount", "null": "", "true": "invalid_amount", "[1]": "invalid_amount", "{}": "invalid_amount", "1_000": "invalid_amount",
		"Infinity": "invalid_amount", "1,0": "",
	}
	others := []struct{ path, with string }{
		{"/v1/payments", fmt.Sprintf(`{"kind":"charge","merchant":%q,"customer":%q,"amount":{"currency":"JPY","value":%%s}}`, w.merchant["id"], w.customer["id"])},
		{"/v1/accounts/" + accountOf(w.customer, "balance") + "/credits", `{"amount":{"currency":"JPY","value":%s}}`},
		{"/v1/customers", `{"balance":{"currency":"JPY","value":%s}}`},
		{"/v1/customers", `{"points":{"currency":"PT","value":%s}}`},
	}
	for value, code := range values {
		for _, o := range others {
			a := w.op.post(o.path, fmt.Sprintf(o.with, value))
			if a.status != 400 || code != "" && codeOf(a) != code {
				t.Errorf("%s with %.30s answered %d, expected 400 %s: %s", o.path, value, a.status, code, a.text)
			}
		}
	}
	for _, c := range []string{"", "jpy", "JP", "JPYX", "XXX", "DEM", "XTS", "???", "¥", "JPY ", "PT", "BTC"} {
		a := w.op.post("/v1/payments", w.charge(1, "amount", object{"currency": c, "value": 1}))
		if e := a.refuses(t, 400, "invalid_currency"); e["param"] != "amount.currency" {
			t.Errorf("%q: param is %v", c, e["param"])
		}
	}
	w.wallet(10_000, 0, 1_000, 0)
}

// An amount of another currency than the accounts is refused, or fails for want of funds; it never becomes yen.
func TestOtherCurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, currency := range []string{"USD", "KWD", "CLF"} {
		a := w.app.post("/v1/payments", w.charge(1, "amount", object{"currency": currency, "value": 100}))
		if a.status != 400 && a.status != 402 && a.status != 422 {
			t.Errorf("%s answered %d: %s", currency, a.status, a.text)
		}
		w.op.post("/v1/accounts/"+accountOf(w.customer, "balance")+"/credits", object{"amount": object{"currency": currency, "value": 100}}).
			refuses(t, 400, "currency_mismatch")
	}
	w.op.post("/v1/accounts/"+accountOf(w.customer, "balance")+"/credits", object{"amount": pt(100)}).refuses(t, 400, "currency_mismatch")
	w.wallet(10_000, 0, 1_000, 0)
}

func TestCredits(t *testing.T) {
	t.Parallel()
	w, key := newWorld(t), rand.Text()
	account := accountOf(w.customer, "balance")
	a := w.op.postAs(key, "/v1/accounts/"+account+"/credits", object{"amount": jpy(500)})
	check(t, a.wants(t, 201), shapes["account"])
	if again := w.op.postAs(key, "/v1/accounts/"+account+"/credits", object{"amount": jpy(500)}); again.text != a.text || again.status != 201 {
		t.Errorf("the replay is %d %s, expected %s", again.status, again.text, a.text)
	}
	w.op.postAs(key, "/v1/accounts/"+account+"/credits", object{"amount": jpy(501)}).refuses(t, 422, "idempotency_key_reused")
	w.op.post("/v1/accounts/"+accountOf(w.customer, "points")+"/credits", object{"amount": pt(5)}).wants(t, 201)
	w.op.post("/v1/accounts/"+w.merchant.text("account")+"/credits", object{"amount": jpy(7)}).wants(t, 201)
	w.wallet(10_500, 0, 1_005, 0)
	w.holds(w.merchant.text("account"), 7, 0)
	list := w.app.get("/v1/customers/"+w.customer.text("id")+"/accounts").wants(t, 200)
	check(t, list, shape{"items": "[account]", "next_cursor": "text|null"})
	if items := list.list("items"); len(items) != 2 || items[0]["owner"] != w.customer["id"] {
		t.Errorf("the customer's accounts are %v", items)
	}
	w.op.post("/v1/accounts/"+account+"/credits", object{}).refuses(t, 400, "missing_field")
	w.op.post("/v1/accounts/acc_nothing/credits", object{"amount": jpy(1)}).refuses(t, 404, "account_not_found")
	w.op.post("/v1/accounts/"+w.customer.text("id")+"/credits", object{"amount": jpy(1)}).refuses(t, 404, "account_not_found")
}

// A new customer may start with nothing.
func TestBareCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.op.post("/v1/customers", object{}).wants(t, 201)
	check(t, c, shapes["customer"])
	w.holds(accountOf(c, "balance"), 0, 0)
	w.holds(accountOf(c, "points"), 0, 0)
	w.op.post("/v1/customers", object{"balance": pt(1)}).refuses(t, 400, "currency_mismatch")
	w.op.post("/v1/customers", object{"points": jpy(1)}).refuses(t, 400, "currency_mismatch")
	w.op.post("/v1/merchants", object{}).refuses(t, 400, "missing_field")
	w.op.post("/v1/merchants", object{"name": ""}).wants(t, 400)
	w.op.post("/v1/merchants", object{"name": strings.Repeat("店", 101)}).wants(t, 400)
	long := strings.Repeat("店", 100)
	if m := w.op.post("/v1/merchants", object{"name": long}).wants(t, 201); m["name"] != long {
		t.Errorf("the merchant is %v", m)
	}
	long = strings.Repeat("字", 255)
	if p := w.pay(1, "reference", long); p["reference"] != long {
		t.Errorf("the payment is %v", p)
	}
	w.app.post("/v1/payments", w.charge(1, "reference", long+"字")).wants(t, 400)
}
