package contract

import (
	"fmt"
	"testing"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/money"
)

// world is a customer with ¥10,000 and 1,000 points, and a shop, on a platform that others use too.
type world struct {
	t        testing.TB
	p        *platform
	op, app  *caller
	shop     *caller // with the merchant's key
	customer object
	merchant object
}

func jpy(v int64) map[string]any { return map[string]any{"currency": "JPY", "value": v} }

func pt(v int64) map[string]any { return map[string]any{"currency": "PT", "value": v} }

// newWorld makes a customer and a shop on the shared platform.
func newWorld(t *testing.T) *world {
	t.Helper()
	return demo.get(t).world(t)
}

func (p *platform) world(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, p: p, op: p.operator(t), app: p.app(t)}
	w.customer = w.newCustomer(10_000, 1_000)
	w.merchant = w.op.post("/v1/merchants", object{"name": "試験 Test"}).wants(t, 201)
	w.shop = p.as(t, w.merchant.text("key"))
	return w
}

func (w *world) newCustomer(balance, points int64) object {
	w.t.Helper()
	request := object{"balance": jpy(balance)}
	if points > 0 {
		request["points"] = pt(points)
	}
	return w.op.post("/v1/customers", request).wants(w.t, 201)
}

// charge is a payment request without a code; change replaces members, nil removes one.
func (w *world) charge(value int64, change ...any) object {
	o := object{
		"kind": "charge", "merchant": w.merchant.text("id"), "customer": w.customer.text("id"), "amount": jpy(value),
	}
	for i := 0; i < len(change); i += 2 {
		if name := change[i].(string); change[i+1] == nil {
			delete(o, name)
		} else {
			o[name] = change[i+1]
		}
	}
	return o
}

// pay makes a finished payment.
func (w *world) pay(value int64, change ...any) object {
	w.t.Helper()
	return w.app.post("/v1/payments", w.charge(value, change...)).wants(w.t, 201)
}

// authorize makes a payment that waits for its capture.
func (w *world) authorize(value int64) object {
	w.t.Helper()
	p := w.pay(value, "capture", "manual")
	w.is(p, "AUTHORIZED", "WAIT", value, 0, 0)
	return p
}

// scan opens a session.
func (w *world) scan(payload string, customer object) object {
	w.t.Helper()
	s := w.app.post("/v1/code-sessions", object{"payload": payload, "customer": customer.text("id")}).wants(w.t, 201)
	check(w.t, s, shapes["session"])
	return s
}

// is requires a payment of the contract's shape that stands as said.
func (w *world) is(p object, status, resource string, amount, captured, refunded int64) {
	w.t.Helper()
	check(w.t, p, paymentShape)
	got := fmt.Sprint(p["status"], p["resource_status"], p.minor("amount"), p.minor("captured"), p.minor("refunded"))
	want := fmt.Sprint(status, resource, fmt.Sprint(amount), fmt.Sprint(captured), fmt.Sprint(refunded))
	if got != want {
		w.t.Errorf("the payment stands at %s, expected %s", got, want)
	}
}

// read reads a payment again.
func (w *world) read(p object) object {
	w.t.Helper()
	return w.op.get("/v1/payments/"+p.text("id")).wants(w.t, 200)
}

// holds requires what stands on an account: what is posted, and what of it is held.
func (w *world) holds(account string, posted, held int64) {
	w.t.Helper()
	a := w.op.get("/v1/accounts/"+account).wants(w.t, 200)
	check(w.t, a, shapes["account"])
	got := fmt.Sprint(a["posted"], " ", a["held"], " ", a["available"])
	if want := fmt.Sprint(posted, " ", held, " ", posted-held); got != want {
		w.t.Errorf("posted, held and available are %s, expected %s", got, want)
	}
}

// wallet requires what the customer has.
func (w *world) wallet(balance, balanceHeld, points, pointsHeld int64) {
	w.t.Helper()
	w.holds(accountOf(w.customer, "balance"), balance, balanceHeld)
	w.holds(accountOf(w.customer, "points"), points, pointsHeld)
}

func accountOf(customer object, name string) string {
	a, _ := customer[name].(map[string]any)
	return object(a).text("id")
}

// coded returns the shop's code with an amount in it, as its till would show it.
func (w *world) coded(value int64) string {
	w.t.Helper()
	printed, err := emv.Decode(w.merchant.text("payload"))
	if err != nil {
		w.t.Fatal(err)
	}
	a := money.Of(value, money.JPY)
	payload, err := emv.EncodeJPQR(emv.JPQRShop{
		ID: *printed.JPQR, Name: printed.MerchantName(), NameJA: "試験", City: printed.City(),
		PostalCode: printed.Text("61"), MCC: printed.MCC(), TerminalLabel: "1", Amount: &a,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return payload
}
