package journals

import (
	"bytes"
	"slices"
	"testing"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/platform"
)

// What a caller writes stands beside the journals, where it can be erased, and in none of their blocks (rule B14).
func TestB14_NoTextOfACallerInAJournal(t *testing.T) {
	p := newPlatform(t, 2)
	canaries := map[string]string{
		"reference": "canary-reference-7c1", "metadata's key": "canary_meta_key", "metadata's value": "canary 山田 value",
		"payment's idempotency key": "canary-payment-key", "merchant's idempotency key": "canary-merchant-key", "shop's name": "喫茶 Canary",
		"bill number": "canary-bill-1", "reference label": "canary-label-1", "terminal label": "canary-till-1",
		"refund's idempotency key": "canary-refund-key", "customer's idempotency key": "canary-customer-key",
	}
	operator := p.app.Card.Keys.Operator
	shop := p.post(operator, canaries["merchant's idempotency key"], "/v1/merchants", object{"name": canaries["shop's name"]})
	customer := p.post(operator, canaries["customer's idempotency key"], "/v1/customers", object{"balance": jpy(1000)})
	labelled := p.post(p.app.Card.Keys.CustomerApp, "", "/v1/code-sessions", object{
		"payload": labelled(t, shop["payload"].(string), canaries), "customer": customer["id"],
	})
	p.post(p.app.Card.Keys.CustomerApp, "", "/v1/payments", object{"kind": "charge", "session": labelled["id"], "amount": jpy(50)})
	payment := p.post(p.app.Card.Keys.CustomerApp, canaries["payment's idempotency key"], "/v1/payments", object{
		"kind": "charge", "merchant": shop["id"], "customer": customer["id"], "amount": jpy(300), "reference": canaries["reference"],
		"metadata": object{canaries["metadata's key"]: canaries["metadata's value"]},
	})
	p.post(operator, canaries["refund's idempotency key"], "/v1/payments/"+payment["id"].(string)+"/refunds", object{"amount": jpy(100)})
	if payment["status"] != "CAPTURED" || payment["reference"] != canaries["reference"] {
		t.Fatalf("%v", payment)
	}
	blocks, events := p.blocks(), 0
	for _, b := range blocks {
		for _, e := range b.Events {
			events++
			for what, canary := range canaries {
				if bytes.Contains(e.Body, []byte(canary)) {
					t.Errorf("block %d of %s tells the %s", b.Seq, b.Book, what)
				}
			}
		}
	}
	if events < 20 {
		t.Fatalf("only %d events were looked at", events)
	}
	p.erase(payment["id"].(string), canaries["reference"])
	p.stop()
	report, err := platform.Verify(t.Context(), platform.VerifyConfig{Data: p.data})
	if err != nil || !report.OK {
		t.Fatalf("without the note the books are not right: %+v %v", report, err)
	}
}

// labelled puts what a shop finds an order by into its code.
func labelled(t *testing.T, payload string, canaries map[string]string) string {
	t.Helper()
	c, err := emv.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	last := len(c.Objects) - 1
	out := append(slices.Clone(c.Objects[:last]), emv.Template("62", emv.Text("01", canaries["bill number"]),
		emv.Text("05", canaries["reference label"]), emv.Text("07", canaries["terminal label"])), c.Objects[last])
	text, err := emv.Encode(&emv.Code{Objects: out})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// erase erases a payment's note, which must have been there, and told what.
func (p *running) erase(payment, what string) {
	p.t.Helper()
	x, err := p.app.IDs.Decode(id.Payment, payment)
	if err != nil {
		p.t.Fatal(err)
	}
	note := slices.Clone(x[:])
	const tenant = 1 // the demo company
	if body, ok, err := p.app.Journal.Note(p.t.Context(), tenant, "payment", note); err != nil || !ok || !bytes.Contains(body, []byte(what)) {
		p.t.Fatalf("the note is %q, %v, %v", body, ok, err)
	}
	if err := p.app.Journal.EraseNotes(p.t.Context(), tenant, "payment", note); err != nil {
		p.t.Fatal(err)
	}
	if _, ok, err := p.app.Journal.Note(p.t.Context(), tenant, "payment", note); ok || err != nil {
		p.t.Fatalf("the note stands, or %v", err)
	}
}
