package contract

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Catalogue 17, 21, 25: what a key is bound to, on every route that takes one.
func TestReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	authorized, voided := w.authorize(70).text("id"), w.authorize(80).text("id")
	paid, poor := w.pay(90).text("id"), w.authorize(60).text("id")
	for _, c := range []struct {
		name, path string
		c          *caller
		body       string
		spaced     string // the same request, written otherwise
		other      string // another request under the key; "" if there is none
		status     int
	}{
		{"customer", "/v1/customers", w.op, `{"balance":{"currency":"JPY","value":5}}`, ` {"balance" : {"value":5 , "currency":"\u004aPY"}} `, `{}`, 201},
		{"merchant", "/v1/merchants", w.op, `{"name":"店"}`, "{\"name\":\r\n\"\\u5e97\"}", `{"name":"点"}`, 201},
		{
			"credit", "/v1/accounts/" + accountOf(w.customer, "points") + "/credits", w.op, `{"amount":{"currency":"PT","value":5}}`,
			`{"amount":{"value":5,"currency":"PT"}}`, `{"amount":{"currency":"PT","value":6}}`, 201,
		},
		{
			"session", "/v1/code-sessions", w.app, body(object{"payload": w.merchant["payload"], "customer": w.customer["id"]}),
			fmt.Sprintf(`{"payload":%q, "customer":%q}`, w.merchant["payload"], w.customer["id"]),
			body(object{"payload": w.coded(5), "customer": w.customer["id"]}), 201,
		},
		{"payment", "/v1/payments", w.app, body(w.charge(10)), " " + body(w.charge(10)), body(w.charge(11)), 201},
		{"payment for want of funds", "/v1/payments", w.app, body(w.charge(99_999)), " " + body(w.charge(99_999)), body(w.charge(99_998)), 402},
		{
			"payment with a reference", "/v1/payments", w.app, body(w.charge(10, "reference", "a")), body(w.charge(10, "reference", "a")) + "\n",
			body(w.charge(10, "reference", "b")), 201,
		},
		{"capture", "/v1/payments/" + authorized + "/capture", w.shop, `{}`, `{ }`, `{"final":true}`, 201},
		{"void", "/v1/payments/" + voided + "/void", w.shop, `{}`, `{ }`, "", 201},
		{"capture of what is captured", "/v1/payments/" + paid + "/capture", w.shop, `{}`, `{ }`, `{"amount":{"currency":"JPY","value":1}}`, 422},
		{
			"capture of another amount", "/v1/payments/" + poor + "/capture", w.shop, `{"amount":{"currency":"JPY","value":1}}`,
			`{"amount":{"value":1,"currency":"JPY"}}`, `{}`, 422,
		},
		{"void of what is captured", "/v1/payments/" + paid + "/void", w.shop, `{}`, `{ }`, "", 422},
		{"refund", "/v1/payments/" + paid + "/refunds", w.shop, `{"amount":{"currency":"JPY","value":90}}`, `{"amount":{"value":90,"currency":"JPY"}}`, `{}`, 201},
		{"refund of what is refunded", "/v1/payments/" + paid + "/refunds", w.shop, `{}`, `{ }`, `{"reference":"x"}`, 422},
	} {
		key := rand.Text()
		first := c.c.postAs(key, c.path, c.body)
		if first.status != c.status {
			t.Errorf("%s answered %d, expected %d: %s", c.name, first.status, c.status, first.text)
		}
		for _, again := range []string{c.body, c.spaced} {
			if a := c.c.postAs(key, c.path, again); a.text != first.text || a.status != first.status {
				t.Errorf("%s: the replay of %s is %d %s, expected %d %s", c.name, again, a.status, a.text, first.status, first.text)
			}
		}
		if c.other != "" {
			e := c.c.postAs(key, c.path, c.other).refuses(t, 422, "idempotency_key_reused")
			if e["kind"] != "conflict" || e["retryable"] != false {
				t.Errorf("%s: the error is %v", c.name, e)
			}
		}
	}
	if w.read(object{"id": paid}).text("status") != "REFUNDED" {
		t.Error("the payment is not refunded once")
	}
}

// What is settled later does not change what a key was answered: a replay speaks of then.
func TestReplayAfterRefund(t *testing.T) {
	t.Parallel()
	w, key := newWorld(t), rand.Text()
	first := w.app.postAs(key, "/v1/payments", w.charge(100))
	id := first.wants(t, 201).text("id")
	w.op.post("/v1/payments/"+id+"/refunds", object{}).wants(t, 201)
	if again := w.app.postAs(key, "/v1/payments", w.charge(100)); again.text != first.text || again.status != 201 {
		t.Errorf("the replay is %d %s, expected %s", again.status, again.text, first.text)
	}
}

// Catalogue 19: a key is one thing on one address, for one caller.
func TestKeyScope(t *testing.T) {
	t.Parallel()
	w, key := newWorld(t), rand.Text()
	a := w.app.postAs(key, "/v1/payments", w.charge(10)).wants(t, 201)
	b := w.op.postAs(key, "/v1/payments", w.charge(10)).wants(t, 201)
	if a["id"] == b["id"] {
		t.Error("two callers share a key")
	}
	w.op.postAs(key, "/v1/payments/"+a.text("id")+"/refunds", object{}).wants(t, 201)
	w.op.postAs(key, "/v1/payments/"+b.text("id")+"/refunds", object{}).wants(t, 201)
	w.wallet(10_000, 0, 1_000, 0)
}

// Catalogue 20, 25, 29: keys that are none, keys of requests that are none, and keys where none is asked for.
func TestKeysThatBindNothing(t *testing.T) {
	t.Parallel()
	w, good := newWorld(t), rand.Text()
	w.app.send("POST", "/v1/payments", body(w.charge(1))).refuses(t, 400, "idempotency_key_required")
	for _, key := range []string{"", strings.Repeat("k", 256), "鍵", "a\tb"} {
		w.app.postAs(key, "/v1/payments", w.charge(1)).refuses(t, 400, "idempotency_key_invalid")
	}
	w.app.send("POST", "/v1/payments", body(w.charge(1)), "Idempotency-Key", "a", "Idempotency-Key", "a").refuses(t, 400, "idempotency_key_invalid")
	for _, invalid := range []any{
		"", "{", `{"kind":"charge"}`, w.charge(0), w.charge(1, "kind", "gift"), w.charge(1, "customer", "cus_nobody"), w.charge(1, "status", "CAPTURED"),
	} {
		if a := w.app.postAs(good, "/v1/payments", invalid); a.status != 400 {
			t.Errorf("%v answered %d: %s", invalid, a.status, a.text)
		}
	}
	unknown := w.customer.text("id")[:4] + w.merchant.text("id")[4:]
	if a := w.app.postAs(good, "/v1/payments", w.charge(1, "customer", unknown)); a.status/100 != 4 {
		t.Errorf("a customer that does not exist answered %d: %s", a.status, a.text)
	}
	w.app.postAs(good, "/v1/payments", w.charge(1)).wants(t, 201)
	first := w.app.send("GET", "/v1/payments?customer="+w.customer.text("id"), "", "Idempotency-Key", good).wants(t, 200)
	w.pay(2)
	second := w.app.send("GET", "/v1/payments?customer="+w.customer.text("id"), "", "Idempotency-Key", good).wants(t, 200)
	if len(first.list("items")) != 1 || len(second.list("items")) != 2 {
		t.Error("a key on a GET froze the answer")
	}
	w.wallet(9_997, 0, 1_000, 0)
}

// Catalogue 16, 28: one key sent by fifty at once is one payment. Who comes while it is under way hears 409 with
// Retry-After, or 202 if it is async; who comes later hears the first answer.
func TestKeyRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, async := range []bool{false, true} {
		answers := make([]*answer, 50)
		var group sync.WaitGroup
		request := w.charge(100, "async", async)
		key := rand.Text()
		for i := range answers {
			group.Go(func() { answers[i] = w.app.postAs(key, "/v1/payments", request) })
		}
		group.Wait()
		ids, done := map[string]bool{}, map[string]bool{}
		for _, a := range answers {
			switch a.status {
			case 409:
				e := a.refuses(t, 409, "in_progress")
				if e["retryable"] != true || a.header.Get("Retry-After") == "" || async {
					t.Errorf("async %v: %v %s", async, a.header, a.text)
				}
				continue
			case 201:
				done[a.text] = true
			case 202:
				if !async {
					t.Errorf("a sync call heard 202: %s", a.text)
				}
			default:
				t.Errorf("async %v: %d %s", async, a.status, a.text)
			}
			ids[object(a.object).text("id")] = true
		}
		if len(ids) != 1 || len(done) > 1 {
			t.Errorf("async %v: one key made %v, with %d answers", async, ids, len(done))
		}
		for id := range ids {
			w.settle(object{"id": id})
		}
	}
	w.wallet(9_800, 0, 1_000, 0)
}

// Two that end a payment in different ways at once: one of them does.
func TestCaptureAgainstVoid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var captured int64
	for range 8 {
		path := "/v1/payments/" + w.authorize(100).text("id")
		var group sync.WaitGroup
		won := make([]*answer, 4)
		for i, verb := range []string{"/capture", "/void", "/capture", "/void"} {
			group.Go(func() { won[i] = w.shop.post(path+verb, object{}) })
		}
		group.Wait()
		outcome := w.settle(object{"id": strings.TrimPrefix(path, "/v1/payments/")})
		for i, a := range won {
			after := []string{"CAPTURED", "VOIDED"}[i%2]
			switch {
			case a.status == 409 && a.header.Get("Retry-After") != "":
			case a.status == 422 && (codeOf(a) == "not_capturable" || codeOf(a) == "not_voidable"):
			case a.status == 201 && outcome["status"] == after:
			default:
				t.Errorf("a %s payment answered %d %s", outcome["status"], a.status, a.text)
			}
		}
		if outcome["status"] == "CAPTURED" {
			captured += 100
		}
	}
	w.wallet(10_000-captured, 0, 1_000, 0)
	w.holds(w.merchant.text("account"), captured, 0)
}

// Catalogue 13, Hyperswitch #13182: refunds at once never give back more than was taken.
func TestRefundRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pay(100)
	var group sync.WaitGroup
	answers := make([]*answer, 10)
	for i := range answers {
		group.Go(func() { answers[i] = w.shop.post("/v1/payments/"+p.text("id")+"/refunds", object{"amount": jpy(30)}) })
	}
	group.Wait()
	given := 0
	for _, a := range answers {
		switch {
		case a.status == 201:
			given++
		case a.status != 422 || codeOf(a) != "exceeds_captured":
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	if given != 3 {
		t.Errorf("%d refunds of 30 were given of 100", given)
	}
	w.is(w.read(p), "PARTIALLY_REFUNDED", "WAIT", 100, 100, 90)
	w.wallet(9_990, 0, 1_000, 0)
}

// Catalogue 97: everything at once, on one payment. However it ends, the money is in one place.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.authorize(1_000).text("id")
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			c, path, request := w.shop, "/v1/payments/"+id+"/capture", object{}
			switch i % 4 {
			case 1:
				path = "/v1/payments/" + id + "/void"
			case 2:
				path, request = "/v1/payments/"+id+"/refunds", object{"amount": jpy(int64(i) * 10)}
			case 3:
				c, path, request = w.app, "/v1/payments", w.charge(1)
			}
			if a := c.post(path, request); a.status >= 500 || a.status == 400 {
				t.Errorf("%s answered %d %s", path, a.status, a.text)
			}
		})
	}
	group.Wait()
	p := w.settle(object{"id": id})
	captured, _ := json.Number(p.minor("captured")).Int64()
	refunded, _ := json.Number(p.minor("refunded")).Int64()
	w.wallet(10_000-captured+refunded-6, 0, 1_000, 0)
	w.holds(w.merchant.text("account"), captured-refunded+6, 0)
}

// Catalogue 95: the last yen is spent once.
func TestLastYen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var group sync.WaitGroup
	answers := make([]*answer, 30)
	for i := range answers {
		group.Go(func() { answers[i] = w.app.post("/v1/payments", w.charge(1_000)) })
	}
	group.Wait()
	paid := 0
	for _, a := range answers {
		switch {
		case a.status == 201:
			paid++
		case a.status != 402:
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	if paid != 10 {
		t.Errorf("%d payments of 1,000 were made with 10,000", paid)
	}
	w.wallet(0, 0, 1_000, 0)
}
