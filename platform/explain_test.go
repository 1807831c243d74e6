package platform

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/gateway"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/rpc"
)

// TestExplainWithoutAPlatform: what the books say of a payment is what the platform said, whether that runs, has stopped, or
// has lost its tables; what cannot be told is named.
func TestExplainWithoutAPlatform(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		p := r.pay("one", 1200, 200)
		if _, err := r.app.handlers.payment.CreateRefund(r.as(rpc.Operator, "back"), &paymentv1.CreateRefundRequest{
			Id: p.Id, Amount: yen(300),
		}); err != nil {
			t.Fatal(err)
		}
		said, err := r.app.handlers.payment.ExplainPayment(r.as(rpc.Operator, ""), &paymentv1.ExplainPaymentRequest{Id: p.Id})
		if err != nil {
			t.Fatal(err)
		}
		text, err := gateway.TextOf(said)
		if err != nil {
			t.Fatal(err)
		}
		whole := pageOf(t, text)
		if refunds, _ := whole["refunds"].([]any); len(refunds) != 1 {
			t.Fatalf("the platform tells of %v", whole["refunds"])
		}
		config := ExplainConfig{Data: r.config.Data, StoreURL: r.config.StoreURL, Payment: p.Id}
		explain := func(when string, want map[string]any, left string) {
			t.Helper()
			out, err := Explain(t.Context(), config)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if diff := cmp.Diff(want, pageOf(t, out.Text)); diff != "" {
				t.Errorf("%s, the books say otherwise (-platform +books):\n%s", when, diff)
			}
			if !strings.Contains(out.Left, left) || left == "" && out.Left != "" {
				t.Errorf("%s, left out is %q", when, out.Left)
			}
		}
		if err := r.app.shelves["payment"].saver.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		explain("while it runs", whole, "")
		r.stop()
		explain("when it has stopped", whole, "")
		if r.config.StoreURL == "" {
			if err := os.WriteFile(filepath.Join(r.config.Data, "state", "payment.db"), []byte("no database"), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := storetest.Exec(t.Context(), r.config.StoreURL, "ALTER TABLE payment.payments RENAME TO payments_gone"); err != nil {
			t.Fatal(err)
		}
		whole["refunds"] = []any{}
		explain("without tables", whole, "refunds")
		config.Payment = "pay_1jtc6kvkfmw1bn8ky0737x6502v8r3bc"
		if out, err := Explain(t.Context(), config); err == nil {
			t.Errorf("a payment of another platform is explained: %s", out.Text)
		}
	})
}

func pageOf(t *testing.T, text []byte) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}
