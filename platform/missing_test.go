package platform

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/fault"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/rpc"
)

// Tables that stand for a block whose rows they do not have (half of them restored, or left on another node): the start is
// refused, and says which book, block and table, and what to do. Doing it heals.
func TestTablesWithoutTheirRowsAreRefused(t *testing.T) {
	r := newRig(t, "")
	session, err := r.app.handlers.code.CreateSession(r.as(rpc.CustomerApp, "scan"), &codev1.CreateSessionRequest{
		Payload: r.app.Card.Merchants[0].Payload, Customer: r.app.Card.Customers[0].ID,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, "auth"), &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Amount: yen(500), Merchant: &r.app.Card.Merchants[0].ID,
		Customer: &r.app.Card.Customers[0].ID, Capture: paymentv1.CaptureMode_CAPTURE_MODE_MANUAL, Sources: []*paymentv1.SourceRequest{
			{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Amount: yen(100)}, {Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	paid := r.pay("paid", 1200, 200)
	state := filepath.Join(r.app.Data, "state")
	r.stop()
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(state)); err != nil {
		t.Fatal(err)
	}
	r.start() // and the books go on
	if _, err := r.app.handlers.payment.CapturePayment(r.as(rpc.CustomerApp, "cap"), &paymentv1.CapturePaymentRequest{Id: p.Id}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, "scanned"), &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Session: &session.Id, Amount: yen(300),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.app.handlers.payment.CreateRefund(r.as(rpc.Operator, "back"), &paymentv1.CreateRefundRequest{Id: paid.Id, Amount: yen(600)}); err != nil {
		t.Fatal(err)
	}
	r.stop()
	restore := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(state), os.Mkdir(state, 0o700)); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(kept, "*"))
		for _, file := range files {
			text, bad := os.ReadFile(file)
			err = errors.Join(err, bad, os.WriteFile(filepath.Join(state, filepath.Base(file)), text, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for table, service := range map[string]string{
		"balance_accounts": "balance", "balance_branches": "balance", "points_accounts": "points",
		"points_branches": "points", "code_sessions": "code", "payments": "payment",
		"feed_counters": "payment.feed", "feed_pages": "payment.feed",
	} {
		t.Run(table, func(t *testing.T) {
			restore()
			r.tamper(service, "DELETE FROM "+table)
			a, err := Start(t.Context(), r.config)
			if err == nil {
				_ = a.Close(t.Context())
			}
			if !fault.HasCode(err, fault.DataDamaged) {
				t.Fatalf("a start without the rows of %s: %v", table, err)
			}
			for _, word := range []string{"table " + table, "block ", strings.TrimSuffix(service, ".feed"), "made anew"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is not in %v", word, err)
				}
			}
			if strings.Contains(err.Error(), "nil pointer") {
				t.Errorf("%v", err)
			}
		})
	}
	if err := os.RemoveAll(state); err != nil { // what the message says
		t.Fatal(err)
	}
	r.start()
	r.stop()
	r.right(nil)
}
