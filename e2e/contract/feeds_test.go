package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// events reads a feed to its end, and holds it to its numbers: 1, 2, 3 … without gaps, each once.
func events(t *testing.T, c *caller, service string, limit int) (out []object) {
	t.Helper()
	after := "0"
	for {
		feed := c.get(fmt.Sprintf("/v1/feeds/%s?after=%s&limit=%d", service, after, limit)).wants(t, 200)
		check(t, feed, shape{"events": "[event]", "next": "int"})
		list := feed.list("events")
		if len(list) > limit {
			t.Fatalf("%d events, at most %d were asked for", len(list), limit)
		}
		for _, e := range list {
			if out = append(out, e); e.number("n") != fmt.Sprint(len(out)) {
				t.Fatalf("%s: event %d has number %v", service, len(out), e["n"])
			}
		}
		if feed.number("next") != fmt.Sprint(len(out)) {
			t.Fatalf("%s: next is %v after event %d", service, feed["next"], len(out))
		}
		if len(list) == 0 {
			return out
		}
		after = feed.number("next")
	}
}

// The feed of a platform of its own, so that every event is known.
func TestFeeds(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "--tenant", "none")
	w := p.world(t)
	s := w.scan(w.merchant.text("payload"), w.customer)
	paid := w.pay(100, "session", s["id"])
	refund := w.op.post("/v1/payments/"+paid.text("id")+"/refunds", object{"amount": jpy(40)}).wants(t, 201)
	voided := w.authorize(50)
	w.shop.post("/v1/payments/"+voided.text("id")+"/void", object{}).wants(t, 201)
	failed := w.app.post("/v1/payments", w.charge(99_999)).refuses(t, 402, "insufficient_funds").text("payment")

	var got []string
	name := map[string]string{paid.text("id"): "paid", refund.text("id"): "refund", voided.text("id"): "voided", failed: "failed"}
	// An answer is durable before its event has a number: wait for the last one, then read.
	for at := "0"; at < "9"; {
		at = w.op.get("/v1/feeds/payment?wait=10&after="+at).wants(t, 200).number("next")
	}
	for _, e := range events(t, w.op, "payment", 3) {
		data := object(e["data"].(map[string]any))
		check(t, data, shape{"id": "pay_", "status": "text", "amount": "money", "customer": "cus_", "merchant": "mer_", "failure": "{failure}|null"})
		if parent := data["parent"]; name[data.text("id")] == "refund" && parent != paid["id"] || name[data.text("id")] != "refund" && parent != nil {
			t.Errorf("event %v has the parent %v", e["n"], parent)
		}
		if data["id"] != e["payment"] {
			t.Errorf("event %v of %v speaks of %v", e["n"], e["payment"], data["id"])
		}
		got = append(got, fmt.Sprint(name[e.text("payment")], ":", e.text("type")))
	}
	want := "paid:payment.accepted paid:payment.captured refund:refund.accepted refund:refund.succeeded " +
		"voided:payment.accepted voided:payment.authorized voided:payment.voided failed:payment.accepted failed:payment.failed"
	if strings.Join(got, " ") != want {
		t.Errorf("the payments' feed is\n%s, expected\n%s", strings.Join(got, " "), want)
	}
	for service, first := range map[string]string{"balance": "account.opened", "points": "points.opened", "code": "session.opened"} {
		for _, limit := range []int{1, 1000} {
			if all := events(t, w.op, service, limit); len(all) == 0 || all[0]["type"] != first {
				t.Errorf("the feed of %s is %v", service, all)
			}
		}
	}
	w.waits()
}

// waits: a reader at the end hears of what happens next, and of nothing if nothing does.
func (w *world) waits() {
	t := w.t
	end := w.op.get("/v1/feeds/payment?limit=1000").wants(t, 200).number("next")
	quiet := w.op.get("/v1/feeds/payment?wait=1&after="+end).wants(t, 200)
	if len(quiet.list("events")) != 0 || quiet.number("next") != end {
		t.Errorf("a quiet feed says %v", quiet)
	}
	heard := make(chan *answer)
	go func() { heard <- w.op.get("/v1/feeds/payment?wait=30&limit=1&after=" + end) }()
	made := w.pay(5)
	a := <-heard
	list := object(a.object).list("events")
	if len(list) != 1 || list[0]["payment"] != made["id"] {
		t.Errorf("the waiting reader heard %d %s", a.status, a.text)
	}
	n, _ := json.Number(end).Int64()
	if object(a.object).number("next") != fmt.Sprint(n+1) {
		t.Errorf("next is %v after %s", a.object["next"], end)
	}
	ahead := w.op.get("/v1/feeds/payment?wait=30&after=9007199254740991").refuses(t, 400, "invalid_cursor")
	if said := ahead.text("message"); ahead["param"] != "after" || !strings.Contains(said, fmt.Sprint(" is ", n+1)) && !strings.Contains(said, fmt.Sprint(" is ", n+2)) {
		t.Errorf("after the last possible number: %v", ahead)
	}
	for _, q := range []string{"after=-1", "after=x", "limit=0", "limit=1001", "wait=-1", "wait=31", "wait=1.5", "after=9007199254740992", "from=1"} {
		if a := w.op.get("/v1/feeds/payment?" + q); a.status != 400 {
			t.Errorf("%s answered %d: %s", q, a.status, a.text)
		}
	}
	for _, service := range []string{"payments", "Payment", "settlement", "payment.feed", "payment%2F00", "..", "%00"} {
		if a := w.op.get("/v1/feeds/" + service); a.status != 404 && a.status != 400 {
			t.Errorf("the feed %s answered %d: %s", service, a.status, a.text)
		}
	}
}
