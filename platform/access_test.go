package platform

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// numbered waits until the payments' feed of the demo company has n events.
func (r *rig) numbered(n int64) {
	r.t.Helper()
	for at := int64(0); at < n; {
		out, err := r.app.handlers.feeds.ReadFeed(r.as(rpc.Operator, "x"), &feedv1.ReadFeedRequest{Service: "payment", After: at, Wait: 30})
		if err != nil {
			r.t.Fatal(err)
		}
		at = out.Next
	}
}

// A merchant's key is shown the events of its own payments, under the numbers of its company, and stands still nowhere:
// what it may not see, it goes past.
func TestMerchantReadsItsOwnFeed(t *testing.T) {
	r := newRig(t, "")
	feeds, merchant := r.app.handlers.feeds, r.as(rpc.Merchant, "x")
	mine := r.payTo("mine", 0)
	theirs := r.payTo("theirs", 1)
	back, err := r.app.handlers.payment.CreateRefund(merchant, &paymentv1.CreateRefundRequest{Id: mine.Id})
	if err != nil {
		t.Fatal(err)
	}
	r.payTo("theirs again", 1)
	r.numbered(8)
	for _, limit := range []int64{1, 3, 100} {
		var got []string
		next := int64(0)
		for next < 8 {
			out, err := feeds.ReadFeed(merchant, &feedv1.ReadFeedRequest{Service: "payment", After: next, Limit: &limit})
			if err != nil || out.Next <= next || int64(len(out.Events)) > limit {
				t.Fatalf("after %d: %v, %v", next, out, err)
			}
			for _, e := range out.Events {
				if e.GetPayment() == theirs.Id || e.GetPaymentEvent().Merchant != r.app.Card.Merchants[0].ID {
					t.Errorf("shown another's event: %v", e)
				}
				got = append(got, fmt.Sprint(e.N, e.Type))
			}
			next = out.Next
		}
		if want := "[1payment.accepted 2payment.captured 5refund.accepted 6refund.succeeded]"; fmt.Sprint(got) != want {
			t.Errorf("%d at once: %v, expected %s", limit, got, want)
		}
	}
	if back.Status != paymentv1.PaymentStatus_PAYMENT_STATUS_SUCCEEDED {
		t.Errorf("the refund: %v", back.Status)
	}
	for _, service := range []string{"balance", "points", "code"} {
		if _, err := feeds.ReadFeed(merchant, &feedv1.ReadFeedRequest{Service: service}); !fault.HasCode(err, fault.NotAllowed) {
			t.Errorf("the feed of %s: %v", service, err)
		}
	}
	if _, err := feeds.ReadFeed(merchant, &feedv1.ReadFeedRequest{Service: "payment", After: 9}); !fault.HasCode(err, fault.InvalidCursor) {
		t.Errorf("beyond the head: %v", err)
	}
}

// A merchant that waits hears of what is its own, however much else happens before.
func TestMerchantWaitsForItsOwnEvents(t *testing.T) {
	r := newRig(t, "")
	heard := make(chan *feedv1.ReadFeedResponse, 1)
	go func() {
		out, err := r.app.handlers.feeds.ReadFeed(r.as(rpc.Merchant, "x"), &feedv1.ReadFeedRequest{Service: "payment", Wait: 30})
		if err != nil {
			t.Error(err)
		}
		heard <- out
	}()
	r.wait("somebody reads", func() bool { return r.app.Feeds["payment"].Stats().Readers == 1 })
	for i := range 3 {
		r.payTo(fmt.Sprint("theirs", i), 1)
	}
	mine := r.payTo("mine", 0)
	if out := <-heard; len(out.GetEvents()) == 0 || out.Events[0].GetPayment() != mine.Id || out.Events[0].N != 7 {
		t.Errorf("heard %v, expected the first event of %s", out, mine.Id)
	}
}

// payTo lets the first customer pay a shop.
func (r *rig) payTo(key string, shop int) *paymentv1.Payment {
	r.t.Helper()
	p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, key), &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &r.app.Card.Merchants[shop].ID, Customer: &r.app.Card.Customers[0].ID, Amount: yen(10),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// A merchant's key authorizes nothing, but ends what was authorized for it; another merchant's does not find it.
func TestMerchantCapturesAndVoidsItsOwn(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	r.config.Listen = "127.0.0.1:0"
	r.start()
	card := r.app.Card
	rival := r.app.keys.Merchant(demoTenant, r.id(id.Merchant, card.Merchants[1].ID))
	for _, verb := range []string{"capture", "void"} {
		q := &paymentv1.CreatePaymentRequest{
			Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &card.Merchants[0].ID,
			Customer: &card.Customers[0].ID, Amount: yen(10), Capture: paymentv1.CaptureMode_CAPTURE_MODE_MANUAL,
		}
		p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, verb), q)
		if err != nil {
			t.Fatal(err)
		}
		path := "/v1/payments/" + p.Id + "/" + verb
		for who, want := range map[string]int{card.Keys.CustomerApp: http.StatusForbidden, rival: http.StatusNotFound} {
			if got := r.ask(who, path, "k", "{}"); got.status != want {
				t.Errorf("%s: %+v, expected %d", verb, got, want)
			}
		}
		if got := r.ask(card.Merchants[0].Key, path, "k", "{}"); got.status != http.StatusCreated {
			t.Errorf("%s: %+v", verb, got)
		}
	}
	path := "/v1/merchants/" + card.Merchants[0].ID + "/accounts"
	for who, want := range map[string]int{card.Keys.Operator: 200, card.Merchants[0].Key: 200, rival: 404, card.Keys.CustomerApp: 403} {
		if got := r.ask(who, path, "", ""); got.status != want {
			t.Errorf("accounts: %+v, expected %d", got, want)
		}
	}
}

// What belongs to another company is not there, wherever a request can name it.
func TestAnotherCompanyDoesNotExist(t *testing.T) {
	r := newRig(t, "")
	h := &r.app.handlers
	ctx := r.as(rpc.Operator, "elsewhere")
	call := rpc.From(ctx)
	call.Principal.Tenant = 2
	theirs, err := h.platform.CreateCustomer(ctx, &platformv1.CreateCustomerRequest{})
	if err != nil {
		t.Fatal(err)
	}
	shop, err := h.platform.CreateMerchant(ctx, &platformv1.CreateMerchantRequest{Name: "他社"})
	if err != nil {
		t.Fatal(err)
	}
	card := r.app.Card
	app := r.as(rpc.CustomerApp, "here")
	kind := paymentv1.PaymentKind_PAYMENT_KIND_CHARGE
	for what, ask := range map[string]struct {
		call func() error
		want fault.Code
	}{
		"a session for its customer": {func() error {
			_, err := h.code.CreateSession(app, &codev1.CreateSessionRequest{Payload: card.Merchants[0].Payload, Customer: theirs.Id})
			return err
		}, fault.CustomerNotFound},
		"a session at its shop": {func() error {
			_, err := h.code.CreateSession(app, &codev1.CreateSessionRequest{Payload: shop.Payload, Customer: card.Customers[0].ID})
			return err
		}, fault.ShopNotFound},
		"a payment by its customer": {func() error {
			_, err := h.payment.CreatePayment(app, &paymentv1.CreatePaymentRequest{Kind: kind, Merchant: &card.Merchants[0].ID, Customer: &theirs.Id, Amount: yen(1)})
			return err
		}, fault.CustomerNotFound},
		"a payment to its shop": {func() error {
			_, err := h.payment.CreatePayment(app, &paymentv1.CreatePaymentRequest{Kind: kind, Merchant: &shop.Id, Customer: &card.Customers[0].ID, Amount: yen(1)})
			return err
		}, fault.MerchantNotFound},
		"its customer's accounts": {func() error {
			_, err := h.accounts.ListCustomerAccounts(app, &balancev1.ListCustomerAccountsRequest{Id: theirs.Id})
			return err
		}, fault.CustomerNotFound},
		"its shop's accounts": {func() error {
			_, err := h.accounts.ListMerchantAccounts(r.as(rpc.Operator, "here"), &balancev1.ListMerchantAccountsRequest{Id: shop.Id})
			return err
		}, fault.MerchantNotFound},
		"a credit to its account": {func() error {
			_, err := h.accounts.CreditAccount(r.as(rpc.Operator, "here"), &balancev1.CreditAccountRequest{Id: theirs.Balance.Id, Amount: yen(1)})
			return err
		}, fault.AccountNotFound},
		"a credit to its points": {func() error {
			_, err := h.accounts.CreditAccount(r.as(rpc.Operator, "there"), &balancev1.CreditAccountRequest{
				Id:     theirs.Points.Id,
				Amount: &typev1.Money{Currency: "PT", Value: 1},
			})
			return err
		}, fault.AccountNotFound},
	} {
		if err := ask.call(); !fault.HasCode(err, ask.want) {
			t.Errorf("%s: %v, expected %s", what, err, ask.want)
		}
	}
}
