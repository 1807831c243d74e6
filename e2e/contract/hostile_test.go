package contract

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Bodies that are none, or more than one.
func TestBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := body(w.charge(1))
	inner := strings.TrimSuffix(good, "}")
	for _, c := range []string{
		"", " ", "null", "[]", "[" + good + "]", `"` + "x" + `"`, "1", "{", good + good, good + "}", good + " x", good + "\x00", "\xef\xbb\xbf" + good, "\xff\xfe" + good,
		inner + ",}", inner + `,"kind":"charge"}`, inner + `,"amount":{"currency":"JPY","value":2}}`, inner + `,"tenant":2}`, inner + `,"status":"CAPTURED"}`,
		inner + `,"captured":{"currency":"JPY","value":1}}`, inner + `,"Capture":"manual"}`, inner + `,"capture":"MANUAL"}`, inner + `,"capture":""}`,
		inner + `,"capture":1}`, inner + `,"async":"true"}`, inner + `,"async":1}`, inner + `,"reference":1}`, inner + `,"reference":"a\u0000b"}`,
		inner + `,"reference":"a\nb"}`, inner + ",\"reference\":\"a\nb\"}", inner + `,"reference":"\ud800"}`, inner + ",\"reference\":\"\xc3\x28\"}",
		inner + ",\"reference\":\"\u202egnp\"}", inner + ",\"reference\":\"\u200bzero\"}", inner + `,"reference":"` + strings.Repeat("x", 256) + `"}`, inner + `,"metadata":{"a":1}}`,
		inner + `,"metadata":{"a":{"b":"c"}}}`, inner + `,"metadata":{"a":"b","a":"c"}}`, inner + `,"metadata":[]}`, inner + `,"sources":` + strings.Repeat("[", 10_000),
		inner + `,"x":` + strings.Repeat(`{"a":`, 10_000), "kind=charge&merchant=" + w.merchant.text("id"), "<charge/>", inner + `/**/}`, strings.ReplaceAll(good, `"`, "'"),
		inner + `,"session":null,"session":null}`, inner + `,"__proto__":{}}`, inner + `,"":1}`,
	} {
		a := w.app.post("/v1/payments", c)
		if e := a.object["error"]; a.status != 400 || e == nil || object(e.(map[string]any))["kind"] != "invalid" {
			t.Errorf("%.120q answered %d: %s", c, a.status, a.text)
		}
	}
	for _, c := range []string{strings.Repeat(" ", 70_000) + good, inner + `,"reference":"` + strings.Repeat("x", 70_000) + `"}`} {
		w.app.post("/v1/payments", c).refuses(t, 413, "request_too_large")
	}
	w.wallet(10_000, 0, 1_000, 0)
}

// What people write is kept as they wrote it, and never becomes anything else.
func TestTextIsText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, text := range []string{
		`'; DROP TABLE payments; --`, `<script>alert(1)</script>`, `=cmd|'/C calc'!A0`, `{{7*7}}`, "🏯👩‍👩‍👧‍👦 é e\u0301", `\"`, "%s%n", "a/../b", " lead", "日本語",
	} {
		p := w.pay(1, "reference", text, "metadata", object{"k": text})
		if got := w.read(p); got["reference"] != text || got["metadata"].(map[string]any)["k"] != text {
			t.Errorf("%q came back as %q and %v", text, got["reference"], got["metadata"])
		}
		m := w.op.post("/v1/merchants", object{"name": text})
		if m.status == 201 {
			s := w.scan(object(m.object).text("payload"), w.customer)
			if name := s["merchant"].(map[string]any)["name"]; name != text {
				t.Errorf("the merchant %q is shown as %q", text, name)
			}
		} else if m.status != 400 {
			t.Errorf("the merchant %q answered %d: %s", text, m.status, m.text)
		}
	}
	p := w.pay(1, "metadata", object{})
	check(t, p, paymentShape)
}

// Addresses and methods that are not in the contract: an error of the contract's shape, and never a 5xx.
func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.pay(10).text("id")
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404},
		{"GET", "/v1", 404},
		{"GET", "/v1/", 404},
		{"GET", "/v2/payments", 404},
		{"GET", "/V1/payments", 404},
		{"GET", "/v1/payments/", 404},
		{"GET", "//v1/payments", 404},
		{"GET", "/v1//payments", 404},
		{"GET", "/v1/payments/" + id + "/", 404},
		{"GET", "/v1/payments/" + id + "/explain/", 404},
		{"GET", "/v1/./payments", 404},
		{"GET", "/v1/accounts/../payments", 404},
		{"GET", "/v1/%70ayments", 404},
		{"GET", "/v1/payments%2F" + id, 404},
		{"GET", "/v1/payments/" + id + "%00", 400},
		{"GET", "/v1/payments/" + id + "%20", 400},
		{"GET", "/v1/payments/" + id + "%2e", 400},
		{"GET", "/v1/payments/%70" + id[1:], 400}, // an id is written in one way only
		{"GET", "/v1/payments/" + strings.ToUpper(id), 404},
		{"GET", "/v1/payments/pay_", 404},
		{"GET", "/v1/payments/pay_" + strings.Repeat("0", 5000), 0},
		{"GET", "/v1/payments/" + w.merchant.text("id"), 404},
		{"GET", "/v1/payments/pay_" + w.merchant.text("id")[4:], 404},
		{"GET", "/v1/payments/%ff%fe", 0},
		{"GET", "/v1/payments/日本", 0},
		{"GET", "/v1/payments/" + id + "?x=1", 400},
		{"GET", "/v1/accounts/acc_" + id[4:], 404},
		{"GET", "/v1/accounts/nothing", 404},
		{"GET", "/v1/customers/nothing/accounts", 404},
		{"GET", "/v1/customers/" + w.merchant.text("id") + "/accounts", 404},
		{"GET", "/v1/code-sessions/nothing", 404},
		{"GET", "/v1/code-sessions/" + id, 404},
		{"GET", "/v1/payments/nothing/explain", 404},
		{"GET", "/v1/feeds/nothing", 404},
		{"POST", "/v1/payments/nothing/capture", 404},
		{"POST", "/v1/payments/nothing/void", 404},
		{"POST", "/v1/payments/nothing/refunds", 404},
		{"POST", "/v1/accounts/nothing/credits", 400}, // for want of an amount
		{"POST", "/v1/payments/" + id + "/refund", 404},
		{"POST", "/v1/payments?x=1", 400},
		{"GET", "/v1/customers", 405},
		{"PUT", "/v1/payments", 405},
		{"PATCH", "/v1/payments/" + id, 405},
		{"DELETE", "/v1/payments/" + id, 405},
		{"OPTIONS", "/v1/payments", 405},
		{"TRACE", "/v1/payments", 405},
		{"KOBAN", "/v1/payments", 405},
		{"GET", "/v1/payments/" + id + "/void", 405},
		{"POST", "/healthz", 405},
		{"POST", "/metrics", 405},
		{"GET", "/healthz/", 404},
		{"GET", "/debug/pprof/", 404},
		{"GET", "/favicon.ico", 404},
		{"GET", "/platform.json", 404},
		{"GET", "/..%2f..%2fetc/passwd", 404},
	} {
		a := w.op.send(c.method, c.path, "{}", "Idempotency-Key", rand.Text())
		switch {
		case c.status == 0 && a.status != 400 && a.status != 404, c.status != 0 && a.status != c.status:
			t.Errorf("%s %.80s answered %d, expected %d: %s", c.method, c.path, a.status, c.status, a.text)
		case a.status >= 400:
			e, _ := a.object["error"].(map[string]any)
			check(t, e, errorShape)
			if e["request_id"] != a.header.Get("Request-Id") && a.header.Get("Request-Id") != "" {
				t.Errorf("%s %s: request_id is %v in the body and %q in the header", c.method, c.path, e["request_id"], a.header.Get("Request-Id"))
			}
		}
		if a.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: 405 without Allow", c.method, c.path)
		}
	}
	w.is(w.read(object{"id": id}), "CAPTURED", "WAIT", 10, 10, 0)
}

// HEAD, other content types and bodies on GET are nobody's trouble.
func TestMethodsAndTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.yaml"} {
		if a := w.p.as(t, "").send("HEAD", path, ""); a.status != 200 || a.text != "" {
			t.Errorf("HEAD %s answered %d %q", path, a.status, a.text)
		}
	}
	if a := w.op.send("HEAD", "/v1/payments", ""); a.status/100 == 5 || a.text != "" {
		t.Errorf("HEAD answered %d %q", a.status, a.text)
	}
	w.op.send("GET", "/v1/payments?limit=1", `{"limit":2}`).wants(t, 200)
	for i, kind := range []string{"", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "APPLICATION/JSON"} {
		a := w.app.send("POST", "/v1/payments", body(w.charge(1)), "Idempotency-Key", fmt.Sprint(w.customer["id"], i), "Content-Type", kind)
		if a.status != 201 && a.status != 400 && a.status != 415 {
			t.Errorf("Content-Type %q answered %d: %s", kind, a.status, a.text)
		}
	}
	for _, encoding := range []string{"gzip", "br", "identity, gzip"} {
		w.app.send("POST", "/v1/payments", body(w.charge(1)), "Idempotency-Key", rand.Text(), "Content-Encoding", encoding).refuses(t, 400, "invalid_request")
	}
	a := w.op.get("/v1/payments?limit=1")
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the headers of a read are %v", a.header)
	}
}

// raw sends bytes on a connection of their own and returns the first answer; nil if the platform just hangs up.
func raw(t *testing.T, p *platform, text string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(p.card.Address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return nil
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%.60q: the answer was cut off: %v", text, err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(got)))
	return resp
}

// Requests that no library would send.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	head := "Authorization: Bearer " + w.p.card.Keys.Customer_app + "\r\n"
	pay := body(w.charge(1))
	post := func(proto, more, b string) string {
		return "POST /v1/payments " + proto + "\r\n" + head + more + "\r\n" + b
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", len(pay))
	key := func() string { return "Idempotency-Key: " + rand.Text() + "\r\n" }
	host := "Host: koban\r\n"
	for name, c := range map[string]struct {
		text string
		want []int // statuses; 0 is a connection that just ends
	}{
		"HTTP/1.0":                {post("HTTP/1.0", key()+length, pay), []int{201}},
		"HTTP/1.0 without length": {post("HTTP/1.0", key(), pay), []int{400}},
		"HTTP/1.1":                {post("HTTP/1.1", host+key()+length, pay), []int{201}},
		"chunked": {post("HTTP/1.1", host+key()+"Transfer-Encoding: chunked\r\n",
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(pay), pay)), []int{201}},
		"no host":               {post("HTTP/1.1", key()+length, pay), []int{400}},
		"two hosts":             {post("HTTP/1.1", host+host+key()+length, pay), []int{400}},
		"two lengths":           {post("HTTP/1.1", host+key()+length+"Content-Length: 5\r\n", pay), []int{400}},
		"length and chunks":     {post("HTTP/1.1", host+key()+length+"Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), []int{400}},
		"negative length":       {post("HTTP/1.1", host+key()+"Content-Length: -1\r\n", pay), []int{400}},
		"huge length":           {post("HTTP/1.1", host+key()+"Content-Length: 1000000000\r\n", pay), []int{413}},
		"two keys":              {post("HTTP/1.1", host+key()+key()+length, pay), []int{400}},
		"two credentials":       {post("HTTP/1.1", host+head+key()+length, pay), []int{401}},
		"NUL in the key":        {post("HTTP/1.1", host+"Idempotency-Key: a\x00b\r\n"+length, pay), []int{400}},
		"folded header":         {post("HTTP/1.1", host+"Idempotency-Key: a\r\n b\r\n"+length, pay), []int{400, 201}},
		"space before colon":    {post("HTTP/1.1", host+"Idempotency-Key : a\r\n"+length, pay), []int{400}},
		"headers too large":     {post("HTTP/1.1", host+key()+"X: "+strings.Repeat("x", 64<<10)+"\r\n"+length, pay), []int{431, 0}},
		"absolute form":         {"GET http://elsewhere/healthz HTTP/1.1\r\n" + host + "\r\n", []int{200, 400, 404}},
		"asterisk form":         {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", []int{200, 404, 405, 400}},
		"HTTP/2 in clear":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{505, 400, 404, 405, 0}},
		"HTTP/9":                {"GET /healthz HTTP/9.9\r\n" + host + "\r\n", []int{505, 400}},
		"no HTTP at all":        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", []int{400, 0}},
		"control in the path":   {"GET /v1/pay\x01ments HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		"upgrade":               {"GET /healthz HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", []int{200}},
		"expect":                {post("HTTP/1.1", host+key()+length+"Expect: 100-continue\r\n", pay), []int{201, 100}},
		"expect something else": {post("HTTP/1.1", host+key()+length+"Expect: miracle\r\n", pay), []int{417}},
	} {
		resp := raw(t, w.p, c.text)
		got := 0
		if resp != nil {
			got = resp.StatusCode
		}
		if !containsInt(c.want, got) {
			text := []byte{}
			if resp != nil {
				text, _ = io.ReadAll(resp.Body) // read from memory
			}
			t.Errorf("%s: answered %d, expected %v: %s", name, got, c.want, text)
		}
	}
	w.p.as(t, "").get("/readyz").wants(t, 200)
}

func containsInt(list []int, n int) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

// A client that goes away in the middle of its request leaves nothing half done; its key tells what became of it.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, pay := rand.Text(), body(w.charge(100))
	c, err := net.Dial("tcp", strings.TrimPrefix(w.p.card.Address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /v1/payments HTTP/1.1\r\nHost: koban\r\nAuthorization: Bearer %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
		w.p.card.Keys.Customer_app, key, len(pay), pay)
	c.Close()
	first := w.app.postAs(key, "/v1/payments", pay)
	for first.status == 409 { // the one that was left is under way
		e := first.refuses(t, 409, "in_progress")
		w.settle(object{"id": e["payment"]})
		first = w.app.postAs(key, "/v1/payments", pay)
	}
	w.is(first.wants(t, 201), "CAPTURED", "WAIT", 100, 100, 0)
	w.wallet(9_900, 0, 1_000, 0)
}
