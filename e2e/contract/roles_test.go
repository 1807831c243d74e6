package contract

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
)

// Who may call what. What a caller may not see is not there.
func TestRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rival := w.p.as(t, newWorld(t).merchant.text("key"))
	paid, held := "/v1/payments/"+w.pay(100).text("id"), "/v1/payments/"+w.authorize(100).text("id")
	wallet := "/v1/accounts/" + accountOf(w.customer, "balance")
	scan := body(object{"payload": w.merchant["payload"], "customer": w.customer["id"]})
	for _, c := range []struct {
		method, path, body             string
		operator, app, merchant, other int // statuses; 0 is not sent
	}{
		{"GET", paid, "", 200, 200, 200, 404},
		{"GET", "/v1/payments", "", 200, 200, 200, 200},
		{"GET", paid + "/explain", "", 200, 403, 403, 403},
		{"GET", wallet, "", 200, 200, 404, 404},
		{"GET", "/v1/accounts/" + accountOf(w.customer, "points"), "", 200, 200, 404, 404},
		{"GET", "/v1/accounts/" + w.merchant.text("account"), "", 200, 404, 200, 404},
		{"GET", "/v1/merchants/" + w.merchant.text("id") + "/accounts", "", 200, 403, 200, 404},
		{"GET", "/v1/customers/" + w.customer.text("id") + "/accounts", "", 200, 200, 403, 403},
		{"GET", "/v1/feeds/payment", "", 200, 403, 200, 200},
		{"GET", "/v1/feeds/balance", "", 200, 403, 403, 403},
		{"POST", "/v1/customers", "{}", 201, 403, 403, 403},
		{"POST", "/v1/merchants", `{"name":"x"}`, 201, 403, 403, 403},
		{"POST", wallet + "/credits", `{"amount":{"currency":"JPY","value":1}}`, 201, 403, 403, 403},
		{"POST", "/v1/code-sessions", scan, 201, 201, 403, 403},
		{"POST", "/v1/payments", body(w.charge(1)), 201, 201, 403, 403},
		{"POST", held + "/capture", `{"amount":{"currency":"JPY","value":1}}`, 422, 403, 422, 404},
		{"POST", held + "/void", "{}", 0, 403, 201, 404},
		{"POST", paid + "/refunds", `{"amount":{"currency":"JPY","value":1}}`, 201, 403, 201, 404},
	} {
		for who, try := range map[string]struct {
			c    *caller
			want int
		}{
			"operator": {w.op, c.operator}, "customer_app": {w.app, c.app}, "merchant": {w.shop, c.merchant}, "another merchant": {rival, c.other},
			"nobody": {w.p.as(t, ""), 401}, "a stranger": {w.p.as(t, "kbn_op_1_00000000000000000000000000000000"), 401},
		} {
			if try.want == 0 {
				continue
			}
			a := try.c.send(c.method, c.path, c.body, "Idempotency-Key", rand.Text())
			switch try.want {
			case 401:
				if e := object(a.object["error"].(map[string]any)); a.status != 401 || e["kind"] != "unauthenticated" {
					t.Errorf("%s %s by %s answered %d %s", c.method, c.path, who, a.status, a.text)
				}
			case 403:
				a.refuses(t, 403, "not_allowed")
			case 404:
				if a.status != 404 {
					t.Errorf("%s %s by %s answered %d %s", c.method, c.path, who, a.status, a.text)
				}
			default:
				if a.status != try.want {
					t.Errorf("%s %s by %s answered %d, expected %d: %s", c.method, c.path, who, a.status, try.want, a.text)
				}
			}
		}
	}
}

// A merchant sees what is its own, whatever it asks for, and nothing tells it what else there is.
func TestMerchantSeesItsOwn(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	mine := w.pay(100)
	theirs := other.pay(100)
	refund := w.shop.post("/v1/payments/"+mine.text("id")+"/refunds", object{}).wants(t, 201)
	w.shop.get("/v1/payments/"+refund.text("id")).wants(t, 200)
	absent := w.shop.get("/v1/payments/" + theirs.text("id"))
	nowhere := w.shop.get("/v1/payments/pay_0000000000000000000000000000")
	if e := absent.refuses(t, 404, "payment_not_found"); e["message"] != nowhere.refuses(t, 404, "payment_not_found")["message"] {
		t.Error("another merchant's payment is told apart from none")
	}
	for _, query := range []string{"", "?merchant=" + other.merchant.text("id"), "?customer=" + other.customer.text("id"), "?limit=100"} {
		a := w.shop.get("/v1/payments" + query)
		if strings.Contains(a.text, theirs.text("id")) || strings.Contains(a.text, other.merchant.text("id")) {
			t.Errorf("%q shows another merchant's payments: %s", query, a.text)
		}
	}
	if list := w.shop.get("/v1/payments").wants(t, 200).list("items"); len(list) != 2 {
		t.Errorf("the merchant sees %d payments, expected 2", len(list))
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	p := demo.get(t)
	key := p.card.Keys.Operator
	none := p.as(t, "")
	none.get("/v1/payments").refuses(t, 401, "credentials_required")
	for _, h := range []string{
		"", "Bearer", "Bearer ", "Basic " + key, key, "Bearer " + key + " ", "Bearer  " + key, "Bearer " + key + "x", "Bearer " + key[:len(key)-1],
		"Bearer " + strings.ToUpper(key), "Bearer " + strings.Repeat("k", 4000), "Bearer ﾟ",
	} {
		a := none.send("GET", "/v1/payments", "", "Authorization", h)
		if a.status != 401 && !strings.HasSuffix(h, " ") { // white space at the end is not part of a header (RFC 9110 §5.5)
			t.Errorf("Authorization %q answered %d: %s", h, a.status, a.text)
		}
	}
	none.send("GET", "/v1/payments?limit=1", "", "Authorization", "bearer "+key).wants(t, 200)
	none.send("GET", "/v1/payments", "", "Authorization", "Bearer "+key, "Authorization", "Bearer "+key).refuses(t, 401, "credentials_invalid")
	none.get("/v1/payments?key="+key).refuses(t, 401, "credentials_required")
}

// The demo company's keys are not rate-limited.
func TestNoRate(t *testing.T) {
	t.Parallel()
	p := demo.get(t)
	path := "/v1/accounts/" + p.card.Customers[19].Balance.Account
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 250 { // in all, far more than any burst
				if a := p.app(t).get(path); a.status != 200 {
					t.Errorf("answered %d: %s", a.status, a.text)
					return
				}
			}
		})
	}
	group.Wait()
}
