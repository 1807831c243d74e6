package payment

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// What comes while a charge is on its way is put off, not refused: its key is free, and the same request succeeds once the
// charge has got there. What can never succeed is refused at once, in either state.
func TestTooEarlyIsNotNo(t *testing.T) {
	for _, c := range []struct {
		what    string
		capture Capture
		ready   int // rounds of answers until it has got there
		busy    []Cause
		refused map[Cause]fault.Code
	}{
		{"automatic", Automatic, 2, []Cause{ByRefund}, map[Cause]fault.Code{ByCapture: fault.NotCapturable, ByVoid: fault.NotVoidable}},
		{"manual", Manual, 2, []Cause{ByCapture, ByVoid}, map[Cause]fault.Code{ByRefund: fault.NotRefundable}},
	} {
		for rounds := range c.ready {
			for _, cause := range c.busy {
				d := newDesk(t)
				x := d.do(d.charge(c.capture)).Payment.ID
				for range rounds {
					d.answer(x, tcc.Done, nil)
				}
				for no, code := range c.refused {
					if o := d.do(d.request(no, x)).Operation; o == nil || o.Code != code || o.Status != Accepted {
						t.Errorf("%s, after %d rounds: %s: %+v, expected %s", c.what, rounds, no, o, code)
					}
				}
				q := d.request(cause, x)
				if _, err := d.Do(q); !fault.HasCode(err, fault.PaymentBusy) || fault.KindOf(err) != fault.Busy {
					t.Fatalf("%s, after %d rounds: %s: %v, expected %s", c.what, rounds, cause, err, fault.PaymentBusy)
				}
				for range c.ready - rounds {
					d.answer(x, tcc.Done, nil)
				}
				if r := d.do(q); !r.New || r.Operation != nil && r.Operation.Code != "" {
					t.Errorf("%s: %s, asked again: %+v", c.what, cause, r)
				}
			}
		}
	}
	d := newDesk(t) // while a capture is under way
	x := d.do(d.charge(Manual)).Payment.ID
	d.answer(x, tcc.Done, nil)
	d.answer(x, tcc.Done, nil)
	d.do(d.request(ByCapture, x))
	if _, err := d.Do(d.request(ByRefund, x)); !fault.HasCode(err, fault.PaymentBusy) {
		t.Errorf("a refund while it is captured: %v", err)
	}
	if o := d.do(d.request(ByVoid, x)).Operation; o.Code != fault.NotVoidable || o.Status != Authorized {
		t.Errorf("a void while it is captured: %+v", o)
	}
	d.Rebuild()
}

// request asks for a capture, a void or a refund of everything.
func (d *desk) request(cause Cause, x id.ID) any {
	if cause == ByRefund {
		return StartRefund{Caller: d.caller(), Tenant: 1, ID: d.fresh(), Parent: x}
	}
	return Operate{Caller: d.caller(), Tenant: 1, Cause: cause, Operation: d.fresh(), Payment: x}
}

// A refusal says what a person asks next: which source, and what state the payment was in. Its replays say the same, though
// the payment has gone on.
func TestRefusalsSayWhy(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		r.points.plays(just(VerbTry, refuses, fault.InsufficientFunds))
		both := p.order()
		both.Sources = []*paymentv1.SourceRequest{balanceSource(nil), pointsSource(yen(200))}
		says := func(what, key string, q proto.Message, code fault.Code, param, words string) {
			t.Helper()
			a := p.visit(operator, key).post(q)
			a.wants(t, what, code, param)
			if !strings.Contains(a.body, words) {
				t.Errorf("%s: %q, expected %q in it", what, a.body, words)
			}
			if again := p.visit(operator, key).post(q); again.body != a.body {
				t.Errorf("%s: its replay is\n%q, expected\n%q", what, again.body, a.body)
			}
		}
		says("too few points", "points", both, fault.InsufficientFunds, "sources.1", "points do not cover the PT 200")
		r.points.plays(nil)
		r.balance.plays(just(VerbTry, refuses, fault.InsufficientFunds))
		says("too little money", "money", both, fault.InsufficientFunds, "sources.0", "funds do not cover the JPY 1,000")
		r.balance.plays(nil)

		held := p.order()
		held.Capture = paymentv1.CaptureMode_CAPTURE_MODE_MANUAL
		x := p.visit(operator, "held").post(held).payment
		early := &paymentv1.CreateRefundRequest{Id: x}
		says("a refund too early", "early", early, fault.NotRefundable, "", "is AUTHORIZED; only")
		says("another amount", "part", &paymentv1.CapturePaymentRequest{Id: x, Amount: yen(1)}, fault.CaptureMismatch, "amount", "JPY 1,200 were authorized")
		p.visit(operator, "taken").post(&paymentv1.CapturePaymentRequest{Id: x})
		says("a refund too early, when it is captured since", "early", early, fault.NotRefundable, "", "is AUTHORIZED; only")
		says("captured twice", "twice", &paymentv1.CapturePaymentRequest{Id: x}, fault.NotCapturable, "", "is CAPTURED; only")
		says("voided late", "late", &paymentv1.VoidPaymentRequest{Id: x}, fault.NotVoidable, "", "is CAPTURED; only")
		says("too much", "much", &paymentv1.CreateRefundRequest{Id: x, Amount: yen(1201)}, fault.ExceedsCaptured, "amount", "is CAPTURED, and")
		back := p.visit(operator, "back").post(&paymentv1.CreateRefundRequest{Id: x}).payment
		says("twice", "again", &paymentv1.CreateRefundRequest{Id: x}, fault.AlreadyRefunded, "", "is REFUNDED, and nothing is left")
		says("of a refund", "of", &paymentv1.CreateRefundRequest{Id: back}, fault.NotRefundable, "", "a refund, and SUCCEEDED")
		p = p.again()
		says("captured twice, after a restart", "twice", &paymentv1.CapturePaymentRequest{Id: x}, fault.NotCapturable, "", "is CAPTURED; only")

		r.code.plays(just(VerbTry, refuses, fault.SessionUsed))
		session := p.handler.Sessions.(*sessions).scan(p.fresh(), p.fresh(), p.fresh(), nil)
		says("a used code", "used", &paymentv1.CreatePaymentRequest{Kind: held.Kind, Session: &session, Amount: yen(5)}, fault.SessionUsed, "session", "")
	})
}

// A caller who is put off is told when to ask again.
func TestTooEarlySaysWhen(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		r.balance.plays(just(VerbTry, unknown, fault.Timeout))
		x := p.queued(p.create(fromBalance(r.request(Automatic))).ID, 1).ID
		a := p.visit(operator, "early").post(&paymentv1.CreateRefundRequest{Id: p.public(x)})
		a.wants(t, "a refund too early", fault.PaymentBusy, "")
		if a.retry != time.Second {
			t.Errorf("asks again after %v", a.retry)
		}
	})
}
