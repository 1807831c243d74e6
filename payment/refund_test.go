package payment

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// refund asks for a refund of so many yen, of all that is left for 0.
func (p *proc) refund(x id.ID, yen int64) Outcome {
	p.t.Helper()
	q := RefundRequest{Caller: p.caller(), Tenant: 1, Payment: x}
	if yen != 0 {
		q.Amount = money.Yen(yen)
	}
	o, err := p.Refund(context.Background(), q)
	check(p.t, err)
	return o
}

// declined returns the code that an operation was declined with, "" if it was not.
func declined(o Outcome) fault.Code {
	if o.Operation == nil {
		return ""
	}
	return o.Operation.Code
}

// TestEightRefundsOfSixtyPercent: one of them gives back, whatever comes at the same time; the rest stays refundable.
func TestEightRefundsOfSixtyPercent(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		for range 10 {
			x := p.pay(r.request(Automatic)).ID
			queries := make([]RefundRequest, 8)
			for i := range queries {
				queries[i] = RefundRequest{Caller: r.caller(), Tenant: 1, Payment: x, Amount: money.Yen(720)}
			}
			codes := make([]fault.Code, len(queries))
			var done sync.WaitGroup
			for i, q := range queries {
				done.Go(func() {
					o, err := p.Refund(context.Background(), q)
					if err != nil {
						t.Error(err)
						return
					}
					if codes[i] = declined(o); codes[i] == "" {
						r.whole(p.settle(o))
					}
				})
			}
			done.Wait()
			seen := map[fault.Code]int{}
			for _, c := range codes {
				seen[c]++
			}
			if got := fmt.Sprint(seen); got != "map[:1 exceeds_captured:7]" {
				t.Errorf("answers: %s", got)
			}
			v := p.see(x)
			stands(t, v, "PARTIALLY_REFUNDED WAIT notified ")
			if v.Refunded != 720 {
				t.Errorf("¥%d were given back", v.Refunded)
			}
			if rest := p.settle(p.refund(x, 0)); rest.Amount != money.Yen(480) {
				t.Errorf("the rest was %v", rest.Amount)
			}
			stands(t, p.see(x), "REFUNDED COMPLETED notified ")
		}
	})
}

// TestMerchantWithoutFunds: the refund fails with a code of its own, and the charge can be refunded when there are funds.
func TestMerchantWithoutFunds(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		x := p.pay(r.request(Automatic)).ID
		r.balance.plays(just(VerbTry, refuses, fault.InsufficientFunds))
		v := p.settle(p.refund(x, 0))
		stands(t, v, "FAILED FAILED init rollback_completed")
		if r.whole(v); v.Failure != fault.MerchantFundsShort {
			t.Errorf("failure %s", v.Failure)
		}
		stands(t, p.see(x), "CAPTURED WAIT notified ")
		r.balance.plays(just(VerbTry, refuses, fault.AccountSuspended))
		if v := p.settle(p.refund(x, 0)); v.Failure != fault.AccountSuspended {
			t.Errorf("another refusal passes for %s", v.Failure)
		}
		r.balance.plays(nil)
		v = p.settle(p.refund(x, 0))
		stands(t, v, "SUCCEEDED COMPLETED notified ")
		r.whole(v)
	})
}

// TestRefundsGoBackInReverseOrder: the customer's own money before points that were listed ahead of it, and each to where
// it came from.
func TestRefundsGoBackInReverseOrder(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		x := p.pay(r.request(Automatic)).ID
		for _, step := range []struct {
			yen        int64
			parts      string
			points     int64
			balance    int64
			merchantTo string
		}{
			{600, "[balance JPY 600]", 0, 600, "[{payment_clearing JPY 600}]"},
			{500, "[balance JPY 400 points PT 100]", 100, 1000, "[{payment_clearing JPY 400} {points_funding JPY 100}]"},
			{100, "[points PT 100]", 200, 1000, "[{points_funding JPY 100}]"},
		} {
			v := p.settle(p.refund(x, step.yen))
			r.whole(v)
			got := []string{}
			for _, part := range v.Parts[1:] {
				got = append(got, fmt.Sprint(part.Participant, " ", part.Amount))
				if part.Participant == Points && part.Origin != x.Facet(1) {
					t.Errorf("points return to %x", part.Origin)
				}
			}
			if fmt.Sprint(got) != step.parts || fmt.Sprint(v.Parts[0].Funding) != step.merchantTo {
				t.Errorf("¥%d: %v, of the merchant %v", step.yen, got, v.Parts[0].Funding)
			}
			if s := p.see(x).Sources; s[0].Refunded != step.points || s[1].Refunded != step.balance {
				t.Errorf("¥%d: %+v", step.yen, s)
			}
		}
		if c := declined(p.refund(x, 1)); c != fault.AlreadyRefunded {
			t.Errorf("beyond the end: %q", c)
		}
	})
}

// TestWhatCannotBeRefunded (catalogue A 13).
func TestWhatCannotBeRefunded(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		r.balance.plays(just(VerbTry, refuses, fault.InsufficientFunds))
		failed := p.pay(r.request(Automatic)).ID
		r.balance.plays(nil)
		authorized := p.pay(r.request(Manual)).ID
		voided := p.pay(r.request(Manual)).ID
		p.settle(p.operate(voided, ByVoid, money.Amount{}))
		captured := p.pay(r.request(Automatic)).ID
		refund := p.settle(p.refund(captured, 1)).ID
		r.balance.plays(just(VerbTry, unknown, fault.Timeout))
		underWay := p.create(r.request(Automatic)).ID
		p.queued(underWay, 1)
		for what, c := range map[string]struct {
			x    id.ID
			yen  int64
			code fault.Code
		}{
			"a failed payment":  {failed, 0, fault.NotRefundable},
			"an uncaptured one": {authorized, 0, fault.NotRefundable},
			"a voided one":      {voided, 0, fault.NotRefundable},
			"a refund":          {refund, 0, fault.NotRefundable},
			"more than is left": {captured, 1200, fault.ExceedsCaptured},
		} {
			if got := declined(p.refund(c.x, c.yen)); got != c.code {
				t.Errorf("%s: %q, expected %q", what, got, c.code)
			}
		}
		_, err := p.Refund(t.Context(), RefundRequest{Caller: r.caller(), Tenant: 1, Payment: underWay})
		if !fault.HasCode(err, fault.PaymentBusy) {
			t.Errorf("one that is under way: %v", err)
		}
		_, err = p.Refund(t.Context(), RefundRequest{Caller: r.caller(), Tenant: 1, Payment: captured, Amount: money.Of(1, money.USD)})
		if !fault.HasCode(err, fault.CurrencyMismatch) {
			t.Errorf("in another currency: %v", err)
		}
		if v := p.see(captured); v.Refunded != 1 || left(v) != 1199 {
			t.Errorf("¥%d refunded, ¥%d left", v.Refunded, left(v))
		}
	})
}

// TestRefundUnderWayHoldsItsShare: a refund that is stuck counts until it ends.
func TestRefundUnderWayHoldsItsShare(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		x := p.pay(r.request(Automatic)).ID
		r.balance.plays(just(VerbTry, unknown, fault.Timeout))
		stuck := p.refund(x, 1000).Payment.ID
		v := p.queued(stuck, 1)
		if c := declined(p.refund(x, 201)); c != fault.ExceedsCaptured {
			t.Errorf("more than is left beside it: %q", c)
		}
		p = p.again()
		r.balance.plays(nil)
		if rest := p.settle(p.refund(x, 0)); rest.Amount != money.Yen(200) {
			t.Errorf("beside it there are %v left", rest.Amount)
		}
		r.manual.Set(v.GiveUpAt)
		r.whole(p.becomes(stuck, Failed))
		if rest := p.settle(p.refund(x, 0)); rest.Amount != money.Yen(1000) {
			t.Errorf("after it was given up there are %v left", rest.Amount)
		}
		stands(t, p.see(x), "REFUNDED COMPLETED notified ")
	})
}
