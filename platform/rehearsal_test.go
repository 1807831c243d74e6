package platform

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	rehearsalv1 "github.com/koban-pay/koban/gen/koban/rehearsal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/sandbox/inject"
)

// newRehearsal returns a platform to rehearse on, in files.
func newRehearsal(t *testing.T) *rig { return newRigOf(t, "", true) }

// advance moves the clock, and returns where it is then.
func (r *rig) advance(key string, d time.Duration) *rehearsalv1.Clock {
	r.t.Helper()
	c, err := r.app.rehearsal.AdvanceClock(r.as(rpc.Operator, key), &rehearsalv1.AdvanceClockRequest{ByMs: proto.Int64(d.Milliseconds())})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// What a platform is, it stays: nothing that was rehearsed on runs in production, and the other way round.
func TestModeIsForGood(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.stop()
		refuses := func() {
			t.Helper()
			c := r.config
			c.Rehearsal = true
			if _, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "without --rehearsal") {
				t.Errorf("production is rehearsed on: %v", err)
			}
		}
		refuses()
		r.tamper("", `DELETE FROM platform WHERE name = 'platform.mode'`) // of before there was a choice
		refuses()
		r.config.Tenant = "none"
		r.start()
		r.stop()
	})
	r := newRehearsal(t)
	r.stop()
	c := r.config
	c.Rehearsal = false
	if _, err := Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "start with --rehearsal") {
		t.Errorf("a rehearsal runs in production: %v", err)
	}
	r.start()
}

// In production nothing stands between the coordinator and its participants, and the clock is the machine's.
func TestProductionIsNotWrapped(t *testing.T) {
	r := newRig(t, "")
	direct := func() bool {
		p, to := r.app.Payment.Participants, r.app.Payment.Receivers
		return p[payment.Balance] == r.app.Balance && p[payment.Points] == r.app.Points && p[payment.Code] == r.app.Code &&
			to[payment.Balance] == r.app.Balance && to[payment.Points] == r.app.Points
	}
	if _, machine := r.app.Clock.(*clock.System); !direct() || !machine || r.app.rehearsal != nil {
		t.Errorf("production is wrapped; its clock is %T", r.app.Clock)
	}
	if r = newRehearsal(t); direct() {
		t.Error("a rehearsal is not wrapped")
	}
}

// The clock goes forward only, each request moves it once, and a restart finds it where it was.
func TestMovedClockIsRemembered(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testMovedClock(t, newRehearsal(t)) })
	t.Run("postgres", func(t *testing.T) { testMovedClock(t, newRigOf(t, storetest.Postgres(t)("x").URL, true)) })
}

func testMovedClock(t *testing.T, r *rig) {
	before := r.app.Clock.Now()
	first := r.advance("first", 3*time.Hour)
	if first.AheadMs != 3*3600_000 || clock.Micros(first.At) < before+3*clock.Hour || r.app.Clock.Now() < clock.Micros(first.At) {
		t.Errorf("moved by 3h from %v: %v, and then it is %v", before, first, r.app.Clock.Now())
	}
	day := r.app.Clock.Now().Time().AddDate(0, 1, 0).Format(time.DateOnly)
	to := func(key, to string) (*rehearsalv1.Clock, error) {
		return r.app.rehearsal.AdvanceClock(r.as(rpc.Operator, key), &rehearsalv1.AdvanceClockRequest{To: &to})
	}
	second, err := to("second", day)
	if err != nil || clock.Micros(second.At).Time().Format("2006-01-02 15:04:05") != day+" 00:00:00" {
		t.Fatalf("moved to %s: %v %v", day, second, err)
	}
	p := r.pay("then", 1200, 200)
	r.stop()
	if r.config.StoreURL != "" {
		r.config.Data = t.TempDir() // another machine takes the store over
	}
	r.start()
	if now := r.app.Clock.Now(); now < clock.Micros(p.UpdatedAt) {
		t.Errorf("after a restart it is %v, and a payment was made at %v", now, clock.Micros(p.UpdatedAt))
	}
	if diff := cmp.Diff(first, r.advance("first", 3*time.Hour), protocmp.Transform()); diff != "" {
		t.Errorf("the request sent again is answered otherwise:\n%s", diff)
	}
	if again, err := to("second", day); err != nil || !proto.Equal(again, second) {
		t.Errorf("the request sent again is answered otherwise: %v %v", again, err)
	}
	for _, c := range []struct {
		key, to string
		code    fault.Code
		param   string
	}{
		{"first", "2090-01-01", fault.IdempotencyKeyReused, ""},
		{"back", "2020-01-31", fault.InvalidRequest, "to"},
		{"far", "2100-01-02", fault.InvalidRequest, "to"},
		{"when", "tomorrow", fault.InvalidRequest, "to"},
	} {
		if c.key == "first" {
			r.app.rehearsal.moves.by[rpc.From(r.as(rpc.Operator, "first")).Key] = move{Print: rpc.Fingerprint{1}}
		}
		if _, err := to(c.key, c.to); !fault.HasCode(err, c.code) || fault.Of(err).Param != c.param {
			t.Errorf("to %s: %v", c.to, err)
		}
	}
	if _, err := r.app.rehearsal.AdvanceClock(r.as(rpc.Operator, "none"), &rehearsalv1.AdvanceClockRequest{}); !fault.HasCode(err, fault.MissingField) {
		t.Errorf("nowhere: %v", err)
	}
	r.pay("last", 1200, 200)
	r.stop()
	r.right(nil)
}

// A move whose answer was lost in the database is made all the same, and the one that follows comes after it.
func TestMoveOfUnknownOutcomeIsMade(t *testing.T) {
	r := newRehearsal(t)
	lost := fmt.Sprintf(`{"ahead":%d,"at":1,"key":%s,"print":%s}`, 2*clock.Hour, "["+strings.Repeat("9,", 15)+"9]", "["+strings.Repeat("0,", 15)+"0]")
	if _, err := r.app.Journal.Fix(t.Context(), moveName(1), []byte(lost)); err != nil {
		t.Fatal(err)
	}
	if c := r.advance("next", time.Hour); c.AheadMs != 3*3600_000 {
		t.Errorf("after a lost move of 2h and one of 1h the clock is ahead by %d ms", c.AheadMs)
	}
}

// What becomes due through a move runs: an authorization expires, and what it held is free.
func TestMovedClockExpiresHolds(t *testing.T) {
	r := newRehearsal(t)
	p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, "auth"), &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &r.app.Card.Merchants[0].ID, Customer: &r.app.Card.Customers[0].ID,
		Amount: yen(500), Capture: paymentv1.CaptureMode_CAPTURE_MODE_MANUAL,
	})
	if err != nil || p.Status != paymentv1.PaymentStatus_PAYMENT_STATUS_AUTHORIZED {
		t.Fatalf("authorize: %v %v", p, err)
	}
	r.advance("week", 8*24*time.Hour)
	r.settles(p.Id, paymentv1.PaymentStatus_PAYMENT_STATUS_EXPIRED)
}

// until moves the clock on, step by step, until done.
func (r *rig) until(step time.Duration, what string, done func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-clock.Pause(2 * time.Millisecond):
			r.app.virtual.Advance(step)
		case <-ctx.Done():
			r.t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// settles waits until a payment has ended so.
func (r *rig) settles(id string, want paymentv1.PaymentStatus) {
	r.t.Helper()
	r.until(time.Second, want.String(), func() bool {
		p, err := r.app.handlers.payment.GetPayment(r.as(rpc.Operator, "read"), &paymentv1.GetPaymentRequest{Id: id})
		if err != nil {
			r.t.Fatal(err)
		}
		return p.ResourceStatus != paymentv1.ResourceStatus_RESOURCE_STATUS_WORK_IN_PROGRESS && p.Status == want
	})
}

// A participant that refuses to confirm breaks the contract. The platform keeps asking, says what it hears, and goes on
// once the participant does; the refusal turns nothing round.
func TestRefusedConfirmIsAskedAgain(t *testing.T) {
	r := newRehearsal(t)
	name := "points"
	inject := &rehearsalv1.InjectFaultRequest{Participant: &name, Verb: rehearsalv1.FaultVerb_FAULT_VERB_CONFIRM, Do: rehearsalv1.FaultAction_FAULT_ACTION_REFUSE}
	f, err := r.app.rehearsal.InjectFault(r.as(rpc.Operator, "break"), inject)
	if err != nil || f.GetCode() != string(fault.LimitExceeded) || f.SharePercent != 100 {
		t.Fatalf("inject: %v %v", f, err)
	}
	q := &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &r.app.Card.Merchants[0].ID,
		Customer: &r.app.Card.Customers[0].ID, Amount: yen(1200), Async: true, Sources: []*paymentv1.SourceRequest{
			{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Amount: yen(200)}, {Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE},
		},
	}
	p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, "pay"), q)
	if err != nil {
		t.Fatal(err)
	}
	explain := func() *paymentv1.Explanation {
		e, err := r.app.handlers.payment.ExplainPayment(r.as(rpc.Operator, "explain"), &paymentv1.ExplainPaymentRequest{Id: p.Id})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	r.until(0, "it is decided", func() bool { return explain().GetDecision() != "" }) // undecided, it gives up after 30 s
	hour := r.app.Clock.Now() + clock.Hour
	r.until(time.Minute, "it is asked again and again", func() bool {
		e := explain()
		if e.Payment.ResourceStatus != paymentv1.ResourceStatus_RESOURCE_STATUS_WORK_IN_PROGRESS {
			t.Fatalf("it stands at %v", e)
		}
		owed := e.Owed
		return r.app.Clock.Now() > hour && len(owed) == 1 && owed[0].Participant == name && owed[0].GetCode() == string(fault.LimitExceeded) && owed[0].Attempts > 3
	})
	if _, err := r.app.rehearsal.ClearFaults(r.as(rpc.Operator, "mend"), &rehearsalv1.ClearFaultsRequest{}); err != nil {
		t.Fatal(err)
	}
	r.settles(p.Id, paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED)
	r.stop()
	r.right(nil)
}

// Whoever waits for events waits in real time: a jump of the clock ends no long poll.
func TestReadersOfFeedsWaitInRealTime(t *testing.T) {
	r := newRehearsal(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	news := r.app.shelves["balance"].feed
	tenant := rpc.From(r.as(rpc.Operator, "")).Principal.Tenant
	_, last, err := news.Read(ctx, tenant, 0, feed.MaxLimit, 0)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan int, 1)
	go func() {
		events, _, err := news.Read(ctx, tenant, last, 10, feed.MaxWait)
		if err != nil {
			t.Error(err)
		}
		heard <- len(events)
	}()
	for news.Stats().Readers == 0 {
		select {
		case <-ctx.Done():
			t.Fatal("nobody waits")
		case <-clock.Pause(time.Millisecond):
		}
	}
	r.advance("jump", time.Hour)
	if _, err := r.app.handlers.platform.CreateCustomer(r.as(rpc.Operator, "new"), &platformv1.CreateCustomerRequest{}); err != nil {
		t.Fatal(err)
	}
	if n := <-heard; n == 0 {
		t.Error("the jump of the clock ended the wait")
	}
}

// A request about faults does what it says once; its answer is the same as long as the process lives.
func TestFaultRequestsHappenOnce(t *testing.T) {
	r := newRehearsal(t)
	h := r.app.rehearsal
	dead := &rehearsalv1.InjectFaultRequest{Do: rehearsalv1.FaultAction_FAULT_ACTION_DEAD, SharePercent: proto.Int64(5)}
	first, err := h.InjectFault(r.as(rpc.Operator, "a"), dead)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.InjectFault(r.as(rpc.Operator, "a"), dead); err != nil || !proto.Equal(first, again) {
		t.Errorf("sent again: %v %v", again, err)
	}
	if _, err := h.ClearFaults(r.as(rpc.Operator, "a"), &rehearsalv1.ClearFaultsRequest{}); !fault.HasCode(err, fault.IdempotencyKeyReused) {
		t.Errorf("another request under the key: %v", err)
	}
	bad := "nobody"
	if _, err := h.InjectFault(r.as(rpc.Operator, "b"), &rehearsalv1.InjectFaultRequest{Participant: &bad, Do: dead.Do}); fault.Of(err).Param != "participant" {
		t.Errorf("nobody: %v", err)
	}
	if _, err := h.InjectFault(r.as(rpc.Operator, "b"), dead); err != nil {
		t.Errorf("a request that failed has bound its key: %v", err)
	}
	if l, err := h.ListFaults(t.Context(), nil); err != nil || len(l.Items) != 2 || l.Items[0].Seed == l.Items[1].Seed {
		t.Errorf("the faults are %v: %v", l, err)
	}
	if got := h.state(); got != "the clock is right, 2 faults" {
		t.Errorf("the state is %q", got)
	}
	for n := range maxReplays + 5 {
		if _, err := h.ClearFaults(r.as(rpc.Operator, fmt.Sprint("clear", n)), &rehearsalv1.ClearFaultsRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.replay.by) != maxReplays || len(h.replay.order) != maxReplays {
		t.Errorf("%d answers are kept", len(h.replay.by))
	}
}

// The numbers of the contract are those of package inject.
func TestFaultWordsAreTheSame(t *testing.T) {
	for n, name := range rehearsalv1.FaultVerb_name {
		if word := strings.ToLower(strings.TrimPrefix(name, "FAULT_VERB_")); n > 0 && inject.Verb(n).String() != word {
			t.Errorf("verb %d is %s", n, word)
		}
	}
	for n, name := range rehearsalv1.FaultAction_name {
		if word := strings.ToLower(strings.TrimPrefix(name, "FAULT_ACTION_")); n > 0 && inject.Action(n).String() != word {
			t.Errorf("action %d is %s", n, word)
		}
	}
	if inject.Moment(rehearsalv1.FaultMoment_FAULT_MOMENT_BEFORE) != inject.Before || inject.Moment(rehearsalv1.FaultMoment_FAULT_MOMENT_DURING) != inject.During ||
		inject.Moment(rehearsalv1.FaultMoment_FAULT_MOMENT_AFTER) != inject.After {
		t.Error("the moments differ")
	}
}

func TestSpansAreReadable(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3 * time.Hour: "3h", 90 * time.Minute: "1h30m", 24 * time.Hour: "1d", 50*time.Hour + 5*time.Second: "2d2h0m5s",
		800 * time.Millisecond: "1s", 70 * time.Second: "1m10s", 10 * time.Minute: "10m", 30 * time.Second: "30s",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is written %s, expected %s", d, got, want)
		}
	}
}
