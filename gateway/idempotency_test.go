package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/rpc"
)

func keyHeader(keys ...string) http.Header { return http.Header{"Idempotency-Key": keys} }

// 20: keys that are not there or not usable.
func TestIdempotencyKeys(t *testing.T) {
	d := newDoor(t, nil)
	for _, tc := range []struct {
		name string
		keys []string
		want fault.Code
	}{
		{"none", nil, fault.IdempotencyKeyNeeded},
		{"empty", []string{""}, fault.IdempotencyKeyBad},
		{"256 characters", []string{strings.Repeat("k", 256)}, fault.IdempotencyKeyBad},
		{"control character", []string{"a\tb"}, fault.IdempotencyKeyBad},
		{"NUL", []string{"a\x00"}, fault.IdempotencyKeyBad},
		{"DEL", []string{"a\x7f"}, fault.IdempotencyKeyBad},
		{"not ASCII", []string{"鍵"}, fault.IdempotencyKeyBad},
		{"twice", []string{"a", "b"}, fault.IdempotencyKeyBad},
		{"twice the same", []string{"a", "a"}, fault.IdempotencyKeyBad},
	} {
		if d.do(request{verb: "POST", path: "/v1/payments/pay_1/void", header: keyHeader(tc.keys...)}).wants(t, tc.want, ""); t.Failed() {
			t.Fatal(tc.name)
		}
	}
	if d.reached() != 0 {
		t.Error("a handler was reached")
	}
	for _, k := range []string{"k", " ~!", strings.Repeat("k", 255)} {
		d.do(request{verb: "POST", path: "/v1/payments/pay_1/void", header: keyHeader(k)}).wantsStatus(t, 201)
	}
}

// bound sends a request and returns what it was bound to.
func (d *door) bound(q request) (rpc.Key, rpc.Fingerprint) {
	d.t.Helper()
	d.do(q)
	c := d.lastCall()
	return c.Key, c.Fingerprint
}

const charge = `{"kind":"charge","merchant":"mer_1","customer":"cus_1","amount":{"currency":"JPY","value":1200},` +
	`"sources":[{"type":"points","amount":{"currency":"JPY","value":200}},{"type":"balance"}],"metadata":{"a":"1","b":"é"}}`

// 16–19, 27, 28: what shares a key, and what does not.
func TestKeyScope(t *testing.T) {
	d := newDoor(t, nil)
	first := request{verb: "POST", path: "/v1/payments", body: charge, header: keyHeader("k")}
	key, _ := d.bound(first)
	if again, _ := d.bound(first); again != key || key.IsNil() {
		t.Errorf("the same request: keys %x and %x", key, again)
	}
	other := newDoor(t, func(c *Config) { c.Secret = append([]byte{1}, secret...) })
	for name, get := range map[string]func() (rpc.Key, rpc.Fingerprint){
		"another key":       func() (rpc.Key, rpc.Fingerprint) { q := first; q.header = keyHeader("K"); return d.bound(q) },
		"another tenant":    func() (rpc.Key, rpc.Fingerprint) { q := first; q.key = d.keys.Operator(theirs); return d.bound(q) },
		"another principal": func() (rpc.Key, rpc.Fingerprint) { q := first; q.key = d.keys.CustomerApp(ours); return d.bound(q) },
		"another endpoint":  func() (rpc.Key, rpc.Fingerprint) { q := first; q.path, q.body = "/v1/customers", ""; return d.bound(q) },
		"another payment": func() (rpc.Key, rpc.Fingerprint) {
			q := first
			q.path, q.body = "/v1/payments/pay_1/void", ""
			return d.bound(q)
		},
		"another payment still": func() (rpc.Key, rpc.Fingerprint) {
			q := first
			q.path, q.body = "/v1/payments/pay_2/void", ""
			return d.bound(q)
		},
		"another secret": func() (rpc.Key, rpc.Fingerprint) { return other.bound(first) },
	} {
		if k, _ := get(); k == key {
			t.Errorf("%s meets the same key", name)
		}
	}
	// Another body meets the same key: that is how a service sees that a key was used for another request.
	q := first
	q.body = strings.Replace(charge, "1200", "1201", 1)
	if k, _ := d.bound(q); k != key {
		t.Error("another body meets another key")
	}
}

// The scope's parts cannot run into each other.
func TestKeyScopeHasSeams(t *testing.T) {
	b := newBinder(secret)
	p := func(name string) rpc.Principal { return rpc.Principal{Tenant: 1, Name: name} }
	seen := map[rpc.Key]bool{}
	for _, k := range []rpc.Key{
		b.scope(p("a"), "b", "c"), b.scope(p("ab"), "", "c"), b.scope(p(""), "ab", "c"), b.scope(p("a"), "", "bc"), b.scope(p("abc"), "", ""),
		b.scope(rpc.Principal{Tenant: 2, Name: "a"}, "b", "c"),
	} {
		if seen[k] {
			t.Errorf("key %x twice", k)
		}
		seen[k] = true
	}
}

// 17, 21: which bodies are the same request.
func TestFingerprints(t *testing.T) {
	d := newDoor(t, nil)
	at := func(path, body string) rpc.Fingerprint {
		t.Helper()
		_, f := d.bound(request{verb: "POST", path: path, body: body})
		return f
	}
	want := at("/v1/payments", charge)
	for name, body := range map[string]string{
		"spaced":        strings.NewReplacer(":", " :\n ", ",", "\t,\r\n").Replace(charge),
		"reordered":     `{"sources":[{"amount":{"value":200,"currency":"JPY"},"type":"points"},{"type":"balance"}],"metadata":{"b":"é","a":"1"},"amount":{"value":1200,"currency":"JPY"},"customer":"cus_1","kind":"charge","merchant":"mer_1"}`,
		"escaped":       strings.NewReplacer("charge", `\u0063harge`, "é", `\u00e9`).Replace(charge),
		"with async":    strings.Replace(charge, `{"kind"`, `{"async":true,"kind"`, 1),
		"without async": strings.Replace(charge, `{"kind"`, `{"async":false,"kind"`, 1),
	} {
		if at("/v1/payments", body) != want {
			t.Errorf("%s is another request", name)
		}
	}
	for name, body := range map[string]string{
		"another amount":       strings.Replace(charge, "1200", "1201", 1),
		"another currency":     strings.Replace(charge, `"JPY","value":1200`, `"USD","value":1200`, 1),
		"sources swapped":      strings.Replace(strings.Replace(strings.Replace(charge, `"points"`, `"x"`, 1), `"balance"`, `"points"`, 1), `"x"`, `"balance"`, 1),
		"a reference":          strings.Replace(charge, `{"kind"`, `{"reference":"","kind"`, 1),
		"metadata named async": strings.Replace(charge, `"a":"1"`, `"a":"1","async":"true"`, 1),
		"composed otherwise":   strings.Replace(charge, "é", "e\u0301", 1),
		"manual capture":       strings.Replace(charge, `{"kind"`, `{"capture":"manual","kind"`, 1),
	} {
		if at("/v1/payments", body) == want {
			t.Errorf("%s is the same request", name)
		}
	}
	if at("/v1/payments/pay_1/void", "") == at("/v1/payments/pay_2/void", "") {
		t.Error("another payment is the same request")
	}
	if at("/v1/payments/pay_1/void", "") != at("/v1/payments/pay_1/void", `{"async":true}`) {
		t.Error("nothing and async alone differ")
	}
	if at("/v1/payments/pay_1/refunds", "{}") == at("/v1/payments/pay_1/capture", "{}") {
		t.Error("another operation is the same request")
	}
}

// The canonical form is kept for as long as keys are: it must not change from one version to the next.
func TestCanonicalForm(t *testing.T) {
	all := schemas{}
	m := &paymentv1.CreatePaymentRequest{}
	s, err := all.of(m.ProtoReflect().Descriptor())
	if err != nil {
		t.Fatal(err)
	}
	if err := decode(s, []byte(strings.Replace(charge, `{"kind"`, `{"async":true,"kind"`, 1)), m.ProtoReflect()); err != nil {
		t.Fatal(err)
	}
	const want = `{"amount":{"currency":"JPY","value":1200},"customer":"cus_1","kind":"charge","merchant":"mer_1","metadata":{"a":"1","b":"é"},` +
		`"sources":[{"amount":{"currency":"JPY","value":200},"type":"points"},{"type":"balance"}]}`
	if got := string(appendCanonical(nil, s, m.ProtoReflect(), "async")); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// 25: what was refused at the door has not met the key; 29: reading has none.
func TestKeysAreBoundByValidPostsOnly(t *testing.T) {
	d := newDoor(t, nil)
	d.do(request{verb: "POST", path: "/v1/payments", body: `{"kind":"charge","amount":{"currency":"JPY","value":0}}`}).wants(t, fault.InvalidAmount, "amount.value")
	if d.reached() != 0 {
		t.Error("an invalid request reached a handler")
	}
	d.do(request{verb: "POST", path: "/v1/payments", body: charge}).wantsStatus(t, 201)
	for _, h := range []http.Header{nil, keyHeader("k"), keyHeader(""), keyHeader("a", "b")} {
		d.do(request{verb: "GET", path: "/v1/payments/pay_1", header: h}).wantsStatus(t, 200)
		if c := d.lastCall(); !c.Key.IsNil() || c.Fingerprint != (rpc.Fingerprint{}) {
			t.Errorf("reading was bound to key %x", c.Key)
		}
	}
}

// 28, and the other answers about keys, as a handler gives them.
func TestAnswersAboutKeys(t *testing.T) {
	d := newDoor(t, nil)
	for _, code := range []fault.Code{fault.InProgress, fault.IdempotencyKeyReused, fault.IDReused} {
		d.on = func(context.Context) error { return code.New("") }
		a := d.do(request{verb: "POST", path: "/v1/payments", body: charge})
		a.wants(t, code, "")
		if got := a.Header.Get("Retry-After"); (got == "1") != (code == fault.InProgress) || a.Retryable != (code == fault.InProgress) {
			t.Errorf("%s: Retry-After %q, retryable %v", code, got, a.Retryable)
		}
	}
}
