package contract

import (
	"net/url"
	"strings"
	"testing"
)

// pages reads a list to its end and returns the ids in their order.
func pages(t *testing.T, c *caller, query, limit string) (ids []string) {
	t.Helper()
	cursor := ""
	for {
		page := c.get("/v1/payments?limit="+limit+query+cursor).wants(t, 200)
		check(t, page, shape{"items": "[payment]", "next_cursor": "text|null"})
		for _, p := range page.list("items") {
			ids = append(ids, p.text("id"))
		}
		if page["next_cursor"] == nil {
			return ids
		}
		cursor = "&cursor=" + url.QueryEscape(page.text("next_cursor"))
	}
}

// Lists page by cursor, newest first; the filters agree with what was made, at every size of page.
func TestPayments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.newCustomer(100, 0)
	var newest []string
	add := func(p object) object { newest = append([]string{p.text("id")}, newest...); return p }
	for range 5 {
		add(w.pay(10))
	}
	voided := add(w.authorize(10))
	w.shop.post("/v1/payments/"+voided.text("id")+"/void", object{}).wants(t, 201)
	other := add(w.pay(10, "customer", second["id"]))
	failed := w.app.post("/v1/payments", w.charge(99_999)).refuses(t, 402, "insufficient_funds").text("payment")
	add(object{"id": failed})
	refunded := add(w.pay(10))
	refund := add(w.op.post("/v1/payments/"+refunded.text("id")+"/refunds", object{}).wants(t, 201))
	shop, customer := "&merchant="+w.merchant.text("id"), "&customer="+w.customer.text("id")
	for query, want := range map[string][]string{
		shop:                               newest,
		customer:                           without(newest, other.text("id")),
		shop + customer:                    without(newest, other.text("id")),
		"&customer=" + second.text("id"):   {other.text("id")},
		shop + "&status=VOIDED":            {voided.text("id")},
		shop + "&status=FAILED":            {failed},
		shop + "&status=REFUNDED":          {refunded.text("id")},
		shop + "&status=SUCCEEDED":         {refund.text("id")},
		shop + "&status=EXPIRED":           nil,
		customer + "&status=CAPTURED":      newest[5:],
		shop + customer + "&status=VOIDED": {voided.text("id")},
	} {
		for _, limit := range []string{"1", "2", "3", "7", "100"} {
			if got := pages(t, w.op, query, limit); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s by %s: %v, expected %v", query, limit, got, want)
			}
		}
	}
	if got := pages(t, w.shop, "", "3"); strings.Join(got, " ") != strings.Join(newest, " ") {
		t.Errorf("the merchant's pages are %v, expected %v", got, newest)
	}
}

// A reader that pages while payments are made misses nothing that was there, and reads nothing twice.
func TestPagesUnderWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var oldest []string
	for range 5 {
		oldest = append(oldest, w.pay(1).text("id"))
	}
	query := "/v1/payments?limit=2&merchant=" + w.merchant.text("id")
	page := w.op.get(query).wants(t, 200)
	got := page.list("items")
	for page["next_cursor"] != nil {
		w.pay(1)
		page = w.op.get(query+"&cursor="+url.QueryEscape(page.text("next_cursor"))).wants(t, 200)
		got = append(got, page.list("items")...)
	}
	if len(got) != len(oldest) {
		t.Fatalf("read %d payments of %d", len(got), len(oldest))
	}
	for i, p := range got {
		if want := oldest[len(oldest)-1-i]; p["id"] != want {
			t.Errorf("item %d is %v, expected %v", i, p["id"], want)
		}
	}
}

func without(list []string, one string) (out []string) {
	for _, s := range list {
		if s != one {
			out = append(out, s)
		}
	}
	return out
}

// What is no query is said to be none; a cursor that was tampered with is not followed.
func TestListQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pay(1)
	w.pay(2)
	page := w.op.get("/v1/payments?limit=1&merchant="+w.merchant.text("id")).wants(t, 200)
	cursor := page.text("next_cursor")
	if cursor == "" {
		t.Fatal("there is no cursor")
	}
	flipped := []byte(cursor)
	flipped[len(flipped)/2] ^= 1
	for _, q := range []string{
		"limit=0", "limit=-1", "limit=101", "limit=x", "limit=1&limit=2", "limit=1.0", "limit=9223372036854775808", "status=captured",
		"status=PAID", "customer=x", "customer=" + w.merchant.text("id"), "merchant=mer_nothing", "page=2", "Limit=1", "limit=1;status=FAILED", "%zz",
		"cursor=x", "cursor=" + url.QueryEscape(string(flipped)), "cursor=" + url.QueryEscape(cursor+"A"), "cursor=" + url.QueryEscape(cursor[:len(cursor)-1]),
		"cursor=" + strings.Repeat("A", 300), "cursor=" + w.merchant.text("id"), "cursor=%00", "status=FAILED%00", "limit=%EF%BC%91",
	} {
		if a := w.op.get("/v1/payments?" + q); a.status != 400 {
			t.Errorf("%s answered %d: %s", q, a.status, a.text)
		}
	}
	// The contract's own way to leave filters out.
	w.op.get("/v1/payments?customer=&merchant=&status=&limit=&cursor=").wants(t, 200)
	// The cursor of one list, used by another caller, shows that caller's own list or nothing.
	rival := newWorld(t).shop
	if a := rival.get("/v1/payments?cursor=" + url.QueryEscape(cursor)); strings.Contains(a.text, w.merchant.text("id")) {
		t.Errorf("a foreign cursor shows %s", a.text)
	}
}
