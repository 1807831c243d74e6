package payment

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
)

// TestWhatNeedsSomebodyAwayIsPutOff: while a participant's breaker is open, what needs it is put off at the door: no clock has
// to move for that, nobody is called, nothing is begun and the key stays free. What does not need it goes on, and so does what
// was asked for before.
func TestWhatNeedsSomebodyAwayIsPutOff(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(DefaultTiming, Layers{NoWorker: true})
		withPoints := func() *paymentv1.CreatePaymentRequest {
			q := p.order()
			q.Sources = []*paymentv1.SourceRequest{pointsSource(yen(200)), balanceSource(nil)}
			return q
		}
		before := withPoints()
		done := p.visit(operator, "before").post(before)
		manual := withPoints()
		manual.Capture = paymentv1.CaptureMode_CAPTURE_MODE_MANUAL
		held := p.visit(operator, "held").post(manual)
		plain := p.visit(operator, "plain").post(p.order())
		opens(p, Points)
		calls := r.points.count(VerbTry)
		putOff := func(key string, q proto.Message) {
			t.Helper()
			a := p.visit(operator, key).post(q)
			a.wants(t, key, fault.CircuitOpen, "")
			if a.retry < time.Second || !strings.Contains(a.body, "busypoints does not answer") {
				t.Errorf("%s is answered %v", key, a)
			}
		}

		putOff("charge", withPoints())
		background := withPoints()
		background.Async = true
		putOff("async", background)
		putOff("refund", &paymentv1.CreateRefundRequest{Id: done.payment})
		p.visit(operator, "none of it").post(&paymentv1.CreateRefundRequest{Id: held.payment}).wants(t, "no refund", fault.NotRefundable, "")
		if a := p.visit(operator, "before").post(before); a.body != done.body {
			t.Errorf("what was done before is answered with %v", a)
		}
		for key, q := range map[string]proto.Message{
			"from the balance": p.order(), "of the balance": &paymentv1.CreateRefundRequest{Id: plain.payment},
			"in part": &paymentv1.CreateRefundRequest{Id: done.payment, Amount: yen(1000)},
		} {
			if a := p.visit(operator, key).post(q); a.code != "" || a.status != 0 {
				t.Errorf("%s: %v", key, a)
			}
		}
		if a := p.visit(operator, "capture").post(&paymentv1.CapturePaymentRequest{Id: held.payment}); a.status != 202 {
			t.Errorf("a capture is answered with %v", a)
		}
		if n := r.points.count(VerbTry) - calls; n > 0 || p.Stats().PutOff["points"] != 3 {
			t.Errorf("%d calls; put off: %v", n, p.Stats().PutOff)
		}

		// Once the breaker has rested some are let in to find out, and their success closes it.
		r.manual.Advance(breakerRest.Sub(0))
		other := p.order() // another body: the key was not bound
		other.Sources = []*paymentv1.SourceRequest{pointsSource(yen(300)), balanceSource(nil)}
		if a := p.visit(operator, "charge").post(other); a.code != "" {
			t.Errorf("after the rest: %v", a)
		}
		eventually(t, "the breaker closes", func() bool { p.Probe(); return p.Stats().Breakers["points"] == "closed" })
		if a := p.visit(operator, "async").post(background); a.code != "" {
			t.Errorf("after all: %v", a)
		}
	})
}

// opens opens a participant's breaker.
func opens(p *proc, who Participant) {
	for range breakerCalls {
		p.breakers[who].try(true, false)
	}
}

// TestTheDoorLetsFewInToFindOut: of those who come while nobody knows whether a participant is back, two a second are let in,
// also if the ones before have led to no call.
func TestTheDoorLetsFewInToFindOut(t *testing.T) {
	b, clk, _ := newTestBreaker()
	for range breakerCalls {
		b.try(true, false)
	}
	if b.admits() {
		t.Error("one was let in at once")
	}
	clk.Advance(breakerRest.Sub(0))
	for second := range 3 {
		in := 0
		for range 100 {
			if b.admits() {
				in++
			}
		}
		if in != doorProofs {
			t.Errorf("second %d: %d were let in", second, in)
		}
		clk.Advance(time.Second)
	}
}
