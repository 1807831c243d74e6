package platform

import (
	"testing"

	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
)

// TestSuspenseIsListed: a refund to an account that was closed since is done, stands in suspense, and is found by whoever
// has to look after it.
func TestSuspenseIsListed(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		cases := func() []*paymentv1.Payment {
			page, err := r.app.handlers.payment.ListPayments(r.as(rpc.Operator, ""), &paymentv1.ListPaymentsRequest{Suspense: true})
			if err != nil {
				t.Fatal(err)
			}
			return page.Items
		}
		p := r.pay("one", 1200, 200)
		r.pay("another", 700, 100)
		if list := cases(); len(list) != 0 {
			t.Errorf("nothing stands in suspense, and %d payments are listed", len(list))
		}
		customer := r.id(id.Customer, r.app.Card.Customers[0].ID)
		if _, err := r.app.Balance.Suspend(t.Context(), demoTenant, customer.Facet(tcc.BalanceAccount), ledger.NoIn); err != nil {
			t.Fatal(err)
		}
		back, err := r.app.handlers.payment.CreateRefund(r.as(rpc.Operator, "back"), &paymentv1.CreateRefundRequest{Id: p.Id})
		if err != nil {
			t.Fatal(err)
		}
		if list := cases(); len(list) != 1 || list[0].Id != back.Id {
			t.Errorf("listed are %v, in suspense stands %s", list, back.Id)
		}
		r.app.Payment.Sweep(t.Context())
		if n := r.app.Payment.Stats().Suspense; n != 1 {
			t.Errorf("%d are counted", n)
		}
		r.stop()
		r.right(nil)
	})
}
