package payment

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

func (p *proc) operate(x id.ID, cause Cause, amount money.Amount) Outcome {
	p.t.Helper()
	o, err := p.Operate(context.Background(), OperationRequest{Caller: p.caller(), Tenant: 1, Payment: x, Cause: cause, Amount: amount})
	check(p.t, err)
	return o
}

// TestCaptureVoidAndExpiryRace: at one instant exactly one of them wins, the others hear why not, and everything ends the
// winner's way. An authorization ends at its instant: what is asked for from then on comes too late.
func TestCaptureVoidAndExpiryRace(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		won := map[Status]int{}
		for n := range 30 {
			v := p.pay(r.request(Manual))
			if n%3 == 0 {
				r.manual.Set(v.ExpiresAt - 1)
			}
			ops := []OperationRequest{
				{Caller: r.caller(), Tenant: 1, Payment: v.ID, Cause: ByCapture},
				{Caller: r.caller(), Tenant: 1, Payment: v.ID, Cause: ByVoid},
				{Caller: r.caller(), Tenant: 1, Payment: v.ID, Cause: ByVoid},
				{Caller: r.caller(), Tenant: 1, Payment: v.ID, Cause: ByCapture},
			}
			codes := make([]fault.Code, len(ops))
			var done sync.WaitGroup
			if n%3 == 0 {
				done.Go(func() { r.manual.Set(v.ExpiresAt) })
			}
			for i := range ops {
				q := ops[(i+n)%len(ops)]
				done.Go(func() {
					o, err := p.Operate(context.Background(), q)
					if err != nil {
						t.Error(err)
						return
					}
					codes[(i+n)%len(ops)] = declined(o)
					p.settle(o)
				})
			}
			done.Wait()
			eventually(t, "it ends", func() bool { x := p.see(v.ID); return x.Status != Authorized && x.Resource != WorkInProgress })
			end := p.see(v.ID)
			r.whole(end)
			won[end.Status]++
			winners := 0
			for i, c := range codes {
				cause := ops[i].Cause
				switch {
				case c == "":
					if winners++; end.Status != map[Cause]Status{ByCapture: Captured, ByVoid: Voided}[cause] {
						t.Errorf("%s won, and the payment is %s", cause, end.Status)
					}
				case c == fault.AuthorizationLapsed && end.Status == Expired, c == fault.NotCapturable && cause == ByCapture, c == fault.NotVoidable && cause == ByVoid:
				default:
					t.Errorf("%s was answered %s; the payment is %s", cause, c, end.Status)
				}
			}
			if (winners == 1) == (end.Status == Expired) || winners > 1 {
				t.Errorf("%d won, and the payment is %s", winners, end.Status)
			}
		}
		if won[Captured] == 0 || won[Voided] == 0 {
			t.Errorf("there was no race: %v", won)
		}
	})
}

// TestAuthorizationEndsAtItsInstant: also where the timer has not come round.
func TestAuthorizationEndsAtItsInstant(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		p.saver.PauseTimers(true)
		v := p.pay(r.request(Manual))
		r.manual.Set(v.ExpiresAt - 1)
		early := p.pay(r.request(Manual))
		if c := declined(p.operate(early.ID, ByCapture, money.Amount{})); c != "" {
			t.Errorf("in time: %s", c)
		}
		r.manual.Set(v.ExpiresAt)
		for _, cause := range []Cause{ByCapture, ByVoid} {
			if c := declined(p.operate(v.ID, cause, money.Amount{})); c != fault.AuthorizationLapsed {
				t.Errorf("%s: %q", cause, c)
			}
		}
		r.balance.plays(just(VerbCancel, unknown, fault.Timeout))
		p.saver.PauseTimers(false)
		p.queued(v.ID, 1)
		if c := declined(p.operate(v.ID, ByCapture, money.Amount{})); c != fault.AuthorizationLapsed {
			t.Errorf("while it is let go: %q", c)
		}
		p.idle() // who asks drives the payment, too, and the queue has it for another time
		r.balance.plays(nil)
		r.manual.Set(p.see(v.ID).DeferredUntil)
		r.whole(p.becomes(v.ID, Expired))
		if c := declined(p.operate(v.ID, ByVoid, money.Amount{})); c != fault.AuthorizationLapsed {
			t.Errorf("afterwards: %q", c)
		}
	})
}

// TestCaptureIsNotLostOnARunThatEnds: a capture arrives when the driver of the authorization has seen that nothing is
// owed, but is still known as the one at work.
func TestCaptureIsNotLostOnARunThatEnds(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{NoQueue: true, NoSweep: true})
		v := p.pay(r.request(Manual))
		k := book.Key{Tenant: 1, ID: v.ID}
		ending := &Run{d: p.Driver, key: k}
		p.mu.Lock()
		p.runs[k] = ending
		p.mu.Unlock()
		o := p.operate(v.ID, ByCapture, money.Amount{})
		ending.end(v)
		if got := p.settle(o); got.Status != Captured {
			t.Errorf("the capture was left alone: %s %s", got.Status, got.Resource)
		}
	})
}

// TestCaptureAtOnce: authorize and capture, hundreds at a time, with nobody to come back later.
func TestCaptureAtOnce(t *testing.T) {
	onRealTime(t, func(t *testing.T, r *rig) {
		p := r.start(busy, Layers{NoQueue: true, NoSweep: true})
		var done sync.WaitGroup
		for range 200 {
			q := r.request(Manual)
			capture := OperationRequest{Caller: r.caller(), Tenant: 1, Cause: ByCapture}
			done.Go(func() {
				capture.Payment = p.create(q).ID
				eventually(t, "it is authorized", func() bool { return p.see(capture.Payment).Status == Authorized })
				o, err := p.Operate(context.Background(), capture)
				if err != nil || declined(o) != "" {
					t.Errorf("capture: %v %s", err, declined(o))
					return
				}
				p.becomes(capture.Payment, Captured)
			})
		}
		done.Wait()
	})
}

// TestCaptureIsValidated (catalogue A 8 and 12): full amounts, in the payment's currency, once.
func TestCaptureIsValidated(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		q := p.order()
		q.Capture = paymentv1.CaptureMode_CAPTURE_MODE_MANUAL
		x := p.visit(operator, "authorize").post(q).payment
		for _, c := range []struct {
			what  string
			q     *paymentv1.CapturePaymentRequest
			code  fault.Code
			param string
		}{
			{"part of it", &paymentv1.CapturePaymentRequest{Amount: yen(1199)}, fault.CaptureMismatch, "amount"},
			{"more than it", &paymentv1.CapturePaymentRequest{Amount: yen(1201)}, fault.CaptureMismatch, "amount"},
			{"nothing", &paymentv1.CapturePaymentRequest{Amount: yen(0)}, fault.InvalidAmount, "amount.value"},
			{"less than nothing", &paymentv1.CapturePaymentRequest{Amount: yen(-1200)}, fault.InvalidAmount, "amount.value"},
			{"another currency", &paymentv1.CapturePaymentRequest{Amount: &typev1.Money{Currency: "USD", Value: 1200}}, fault.CurrencyMismatch, "amount.currency"},
			{"no currency", &paymentv1.CapturePaymentRequest{Amount: &typev1.Money{Currency: "yen", Value: 1200}}, fault.InvalidCurrency, "amount.currency"},
			{"more to come", &paymentv1.CapturePaymentRequest{Final: proto.Bool(false)}, fault.InvalidRequest, "final"},
			{"all of it", &paymentv1.CapturePaymentRequest{Amount: yen(1200), Final: proto.Bool(true)}, "", ""},
			{"a second one", &paymentv1.CapturePaymentRequest{}, fault.NotCapturable, ""},
		} {
			c.q.Id = x
			p.visit(operator, c.what).post(c.q).wants(t, c.what, c.code, c.param)
		}
		p.visit(operator, "void").post(&paymentv1.VoidPaymentRequest{Id: x}).wants(t, "void after capture", fault.NotVoidable, "")
	})
}

// TestOperationWhileItRuns: a capture that is stuck answers 202, and its copies as those of a payment.
func TestOperationWhileItRuns(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		v := p.pay(r.request(Manual))
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		q := &paymentv1.CapturePaymentRequest{Id: p.public(v.ID)}
		capture := p.visit(operator, "capture")
		if a := capture.post(q); a.status != 202 || a.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_AUTHORIZED ||
			a.message.GetResourceStatus() != paymentv1.ResourceStatus_RESOURCE_STATUS_WORK_IN_PROGRESS {
			t.Errorf("%+v", a)
		}
		capture.post(q).wants(t, "a copy", fault.InProgress, "")
		if a := capture.post(&paymentv1.CapturePaymentRequest{Id: q.Id, Async: true}); a.status != 202 {
			t.Errorf("a copy, async: %+v", a)
		}
		p.visit(operator, "other").post(q).wants(t, "a capture beside it", fault.NotCapturable, "")
		p.visit(operator, "void").post(&paymentv1.VoidPaymentRequest{Id: q.Id}).wants(t, "a void beside it", fault.NotVoidable, "")
		p.idle()
		r.balance.plays(nil)
		r.manual.Set(p.see(v.ID).DeferredUntil)
		r.whole(p.becomes(v.ID, Captured))
		if a := capture.post(q); a.status != 0 || a.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED {
			t.Errorf("once it is done: %+v", a)
		}
	})
}

// TestALateCaptureHasADayOfItsOwn: what is taken and added belongs to the time of the capture, not of the authorization; what was
// held, and what is let go, to the authorization's. So it does after a restart, and for whoever asks again.
func TestALateCaptureHasADayOfItsOwn(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(DefaultTiming, Layers{NoWorker: true})
		x := p.pay(r.request(Manual))
		authorized := x.EffectiveAt
		r.manual.Advance(3 * 24 * time.Hour)
		captured := r.clk.Now()
		r.balance.plays(just(VerbAdd, unknown, fault.Timeout)) // the confirms are done, the add is not
		o, err := p.Operate(t.Context(), OperationRequest{Caller: r.caller(), Tenant: 1, Payment: x.ID, Cause: ByCapture})
		check(t, err)
		p.settle(o)
		r.balance.plays(nil)
		p = p.again()
		check(t, p.Recover(t.Context()))
		v := p.becomes(x.ID, Captured)
		r.whole(v)
		for i := range v.Parts {
			part := &v.Parts[i]
			want, add := captured, v.AddRequest(part).EffectiveAt
			if part.Role == Claim {
				want = authorized
			}
			if got := v.ConfirmRequest(part).EffectiveAt; got != want || add != captured {
				t.Errorf("part %d is taken at %s, expected %s, and added at %s, expected %s", part.Number, got, want, add, captured)
			}
			if held, letGo := v.TryRequest(part).EffectiveAt, v.CancelRequest(part).EffectiveAt; held != authorized || letGo != authorized {
				t.Errorf("part %d is held at %s and let go at %s, expected %s", part.Number, held, letGo, authorized)
			}
		}
		if v.EffectiveAt != authorized || v.CapturedAt != captured {
			t.Errorf("authorized at %s and captured at %s; expected %s and %s", v.EffectiveAt, v.CapturedAt, authorized, captured)
		}
	})
}
