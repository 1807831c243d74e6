package storm

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/koban-pay/koban/proof/chaos"
)

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "koban-storm-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder
	os.Exit(code)
}

const refunds = 8 // of each payment, at the same time

// TestRefundRace asks for 60 percent of each payment back, 8 times at the same time under 8 keys. One refund must be
// made and the others refused (catalogue 13; rule PAY3), whatever the platform died of meanwhile.
func TestRefundRace(t *testing.T) {
	everywhere(t, func(w *town) {
		ids := make([]string, *payments)
		each(*payments, func(i int) {
			ack, err := chaos.Send(w.ctx, w.line, w.log, w.charge(fmt.Sprintf("paid-%d", i), i, 1000))
			if err != nil || ack.State != "CAPTURED" {
				t.Errorf("payment %d: %+v %v", i, ack, err)
			}
			ids[i] = ack.ID
		})
		for half := range 2 { // with a kill in the middle
			var crew sync.WaitGroup
			crew.Go(func() { each(*payments/2, func(i int) { w.refundAtOnce(ids[2*i+half]) }) })
			if half == 0 {
				w.restart()
			}
			crew.Wait()
		}
		w.judged()
		if n := w.judge.Ended["refund SUCCEEDED"]; n != *payments/2*2 {
			t.Errorf("%d payments were refunded by %d refunds", *payments, n)
		}
	})
}

// refundAtOnce sends all refunds of a payment at the same time, and requires that one is made.
func (w *town) refundAtOnce(payment string) {
	acks := make([]chaos.Ack, refunds)
	var all sync.WaitGroup
	for i := range acks {
		all.Go(func() {
			var err error
			acks[i], err = chaos.Send(w.ctx, w.line, w.log, &chaos.Ask{Op: chaos.Refund, On: payment, Request: chaos.Request{
				As: chaos.Operator, Key: fmt.Sprintf("%s-%d", payment, i), Path: "/v1/payments/" + payment + "/refunds",
				Body: object{"amount": yen(600)}.text(),
			}})
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	all.Wait()
	made, refused := 0, 0
	for _, a := range acks {
		switch {
		case a.Status == 201 && a.State == "SUCCEEDED":
			made++
		case a.Status == 422 && a.Code == "exceeds_captured":
			refused++
		}
	}
	if made != 1 || refused != refunds-1 {
		w.t.Errorf("%s: %d refunds were made and %d refused: %+v", payment, made, refused, acks)
	}
}

const (
	buyers = 100
	purses = 3 // how often the last yen are fought for
)

// TestLastYen lets 100 clients spend the last ¥100 of an account. One payment must be made; the others must be refused
// for want of funds, which is no conflict and nothing unknown (catalogue 95).
func TestLastYen(t *testing.T) {
	everywhere(t, func(w *town) {
		for n := range purses {
			w.spend(n, w.poor(n))
		}
		if err := w.now.Stop(w.ctx); err != nil {
			t.Fatal(err)
		}
		wrong, err := w.program.Verify(w.ctx, w.program.Path)
		if err != nil || len(wrong) > 0 {
			t.Errorf("verify: %v %q", err, wrong)
		}
	})
}

// poor makes a customer who has ¥100.
func (w *town) poor(n int) chaos.Facts {
	a, f, err := w.line.Settle(w.ctx, chaos.Request{
		As: chaos.Operator, Path: "/v1/customers", Key: fmt.Sprintf("poor-%d", n),
		Body: object{"balance": yen(100)}.text(),
	}, nil)
	if err != nil || a.Status != 201 {
		w.t.Fatalf("make a customer: %d %s %v", a.Status, a.Body, err)
	}
	return f
}

// spend lets everybody spend all that a customer has.
func (w *town) spend(n int, who chaos.Facts) {
	answers, facts := make([]chaos.Answer, buyers), make([]chaos.Facts, buyers)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			body := object{"kind": "charge", "customer": who.ID, "merchant": w.card.Merchants[i%len(w.card.Merchants)].ID, "amount": yen(100)}
			q := chaos.Request{As: chaos.CustomerApp, Path: "/v1/payments", Key: fmt.Sprintf("last-%d-%d", n, i), Body: body.text()}
			var err error
			if answers[i], err = w.line.Call(w.ctx, q); err != nil {
				w.t.Error(err)
			}
			facts[i] = chaos.ReadFacts(answers[i])
		})
	}
	all.Wait()
	made := 0
	for i, a := range answers {
		switch {
		case a.Status == 201 && facts[i].State == "CAPTURED":
			made++
		case a.Status != 402 || facts[i].Code != "insufficient_funds" || facts[i].ID == "":
			w.t.Errorf("a buyer was answered %d %s", a.Status, a.Body)
		}
	}
	if made != 1 {
		w.t.Errorf("%d of %d buyers spent the last ¥100", made, buyers)
	}
	a, err := w.line.Call(w.ctx, chaos.Request{As: chaos.Operator, Path: "/v1/customers/" + who.ID + "/accounts"})
	if err != nil || !strings.Contains(string(a.Body), `"posted":0,"held":0,"available":0`) {
		w.t.Errorf("the account shows %s %v", a.Body, err)
	}
}
