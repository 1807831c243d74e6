package platform

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	rehearsalv1 "github.com/koban-pay/koban/gen/koban/rehearsal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
)

// laptop is a machine that goes at the pace of this one, and whose clocks a test moves.
type laptop struct {
	real       *clock.System
	wall, mono atomic.Int64 // microseconds ahead of the real ones
}

func newLaptop() (*laptop, *clock.System) {
	l := &laptop{real: clock.NewSystem()}
	return l, clock.NewSystemOn(clock.Machine{
		Read: func() clock.Reading {
			now := l.real.Now()
			return clock.Reading{Wall: now + clock.Micros(l.wall.Load()), Mono: now + clock.Micros(l.mono.Load())}
		},
		Slept:     func() clock.Micros { return 0 },
		AfterFunc: l.real.AfterFunc,
	})
}

func (l *laptop) step(d time.Duration) { l.wall.Add(d.Microseconds()) }

// metrics returns what the process says of itself.
func (r *rig) metrics() string {
	reg := prometheus.NewRegistry()
	reg.MustRegister(figures{r.app})
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// eventually waits until something is so.
func (r *rig) eventually(what string, so func() bool) {
	r.t.Helper()
	late := clock.Pause(time.Minute) // the clock of the platform is what these tests move
	for !so() {
		select {
		case <-late:
			r.t.Fatalf("it did not come to this: %s", what)
		case <-clock.Pause(5 * time.Millisecond):
		}
	}
}

// A machine that slept: the process says that it does not know what time it is, follows, and goes on.
func TestMachineThatSleptGoesOn(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	l, c := newLaptop()
	r.config.Clock = c
	r.start()
	r.pay("before", 1200, 200)
	l.step(3 * time.Hour)
	var step *clock.StepError
	if err := r.app.Ready(t.Context()); !errors.As(err, &step) || step.By.Round(time.Second) != 3*time.Hour {
		t.Errorf("right after a sleep: %v", err)
	}
	if text := r.metrics(); !strings.Contains(text, "koban_clock_doubt 1\n") {
		t.Error("no metric says so")
	}
	r.eventually("the sleep is followed", func() bool { return c.Followed() > 0 })
	if err := r.app.Ready(t.Context()); err != nil {
		t.Errorf("once it was followed: %v", err)
	}
	if text := r.metrics(); !strings.Contains(text, "koban_clock_doubt 0\n") || !strings.Contains(text, "koban_clock_followed_seconds_total 10800\n") {
		t.Error("the metrics do not say that it was followed")
	}
	if p := r.pay("after", 1200, 200); clock.Micros(p.UpdatedAt) < l.real.Now()+2*clock.Hour {
		t.Errorf("paid at %v", clock.Micros(p.UpdatedAt))
	}
	r.stop()
	r.right(nil)
}

// A clock that was set back and stays there ends the process, with advice, even if there is nothing to write.
func TestClockSetBackEndsTheProcess(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	l, c := newLaptop()
	ended := make(chan error, 10)
	r.config.Clock, r.config.Fatal = c, func(err error) { ended <- err }
	r.start()
	l.step(-5 * time.Second)
	if err := r.app.Ready(t.Context()); err == nil {
		t.Error("ready with a clock that was set back")
	}
	l.step(11 * time.Second) // which pass on both
	l.mono.Add(11 * clock.Second.Sub(0).Microseconds())
	var err error
	select {
	case err = <-ended:
	case <-clock.Pause(time.Minute):
		t.Fatal("the process goes on")
	}
	if step := (*clock.StepError)(nil); !errors.As(err, &step) || !step.Lasting || !strings.Contains(err.Error(), "Set it right") {
		t.Errorf("ended by %v", err)
	}
}

// A step that is rehearsed: what is due by the wall runs, and a restart finds the clock where the step brought it.
func TestRehearsedSleep(t *testing.T) {
	r := newRehearsal(t)
	p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, "auth"), &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &r.app.Card.Merchants[0].ID, Customer: &r.app.Card.Customers[0].ID,
		Amount: yen(500), Capture: paymentv1.CaptureMode_CAPTURE_MODE_MANUAL,
	})
	if err != nil || p.Status != paymentv1.PaymentStatus_PAYMENT_STATUS_AUTHORIZED {
		t.Fatalf("authorize: %v %v", p, err)
	}
	step := func(key string, d time.Duration) (*rehearsalv1.Clock, error) {
		return r.app.rehearsal.AdvanceClock(r.as(rpc.Operator, key), &rehearsalv1.AdvanceClockRequest{StepMs: proto.Int64(d.Milliseconds())})
	}
	const sleep = 8 * 24 * time.Hour
	for range 2 { // the same request, sent twice, is one step
		if c, err := step("sleep", sleep); err != nil || c.AheadMs != sleep.Milliseconds() {
			t.Fatalf("step: %v %v", c, err)
		}
	}
	if r.app.Ready(t.Context()) == nil {
		t.Error("ready right after a step")
	}
	r.eventually("the step is followed", func() bool { return r.app.Ready(t.Context()) == nil })
	r.eventually("the authorization expires by the wall", func() bool {
		got, err := r.app.handlers.payment.GetPayment(r.as(rpc.Operator, "read"), &paymentv1.GetPaymentRequest{Id: p.Id})
		return err == nil && got.Status == paymentv1.PaymentStatus_PAYMENT_STATUS_EXPIRED
	})
	now := r.app.Clock.Now()
	r.stop()
	r.start()
	if again := r.app.Clock.Now(); again < now || again > now+clock.Hour {
		t.Errorf("after a restart it is %v, expected about %v", again, now)
	}
	if c, err := step("sleep", sleep); err != nil || c.AheadMs != sleep.Milliseconds() || r.app.Ready(t.Context()) != nil {
		t.Errorf("sent once more after a restart: %v %v, %v", c, err, r.app.Ready(t.Context()))
	}
	ctx := r.as(rpc.Operator, "both")
	if _, err := r.app.rehearsal.AdvanceClock(ctx, &rehearsalv1.AdvanceClockRequest{StepMs: proto.Int64(1), ByMs: proto.Int64(1)}); !fault.HasCode(err, fault.MissingField) {
		t.Errorf("a step and a move at once: %v", err)
	}
}
