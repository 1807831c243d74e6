package payment

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// stage is a point at which a payment can be stuck: what is asked for, which verbs of whom are dead, and how it ends.
type stage struct {
	name    string
	capture Capture
	then    Cause // asked for once it is authorized or captured
	balance func(ask) (act, fault.Code)
	code    func(ask) (act, fault.Code)
	expire  time.Duration // how far time goes before the trouble starts
	stands  string
	ends    Status
}

func dead(verbs ...Verb) func(ask) (act, fault.Code) {
	return func(q ask) (act, fault.Code) {
		for _, v := range verbs {
			if q.verb == v {
				return unknown, fault.Unavailable
			}
		}
		return answers, ""
	}
}

// stages are all that a payment passes through, forward and backward.
var stages = []stage{
	{name: "started", capture: Automatic, balance: dead(VerbTry), code: dead(VerbTry), stands: "ACCEPTED WORK_IN_PROGRESS init ", ends: Captured},
	{name: "partly tried", capture: Automatic, code: dead(VerbTry), stands: "ACCEPTED WORK_IN_PROGRESS init ", ends: Captured},
	{name: "tried", capture: Manual, code: dead(VerbConfirm), stands: "ACCEPTED WORK_IN_PROGRESS tried ", ends: Authorized},
	{
		name: "decided", capture: Automatic, balance: dead(VerbConfirm, VerbAdd), code: dead(VerbConfirm),
		stands: "ACCEPTED WORK_IN_PROGRESS confirm_decided ", ends: Captured,
	},
	{name: "partly confirmed", capture: Automatic, balance: dead(VerbAdd), stands: "ACCEPTED WORK_IN_PROGRESS confirm_decided ", ends: Captured},
	{name: "refused", capture: Automatic, code: refusedThenDead, stands: "ACCEPTED WORK_IN_PROGRESS init cancel_decided", ends: Failed},
	{
		name: "captured by request", capture: Manual, then: ByCapture, balance: dead(VerbConfirm),
		stands: "AUTHORIZED WORK_IN_PROGRESS confirm_decided ", ends: Captured,
	},
	{name: "voided", capture: Manual, then: ByVoid, balance: dead(VerbCancel), stands: "AUTHORIZED WORK_IN_PROGRESS authorized cancel_decided", ends: Voided},
	{
		name: "lapsed", capture: Manual, balance: dead(VerbCancel), expire: 7 * 24 * time.Hour,
		stands: "AUTHORIZED WORK_IN_PROGRESS authorized cancel_decided", ends: Expired,
	},
	{name: "refund started", capture: Automatic, then: ByRefund, balance: dead(VerbTry), stands: "ACCEPTED WORK_IN_PROGRESS init ", ends: Succeeded},
	{name: "refund decided", capture: Automatic, then: ByRefund, balance: dead(VerbConfirm), stands: "ACCEPTED WORK_IN_PROGRESS confirm_decided ", ends: Succeeded},
}

// refusedThenDead refuses to be tried, and then does not answer any more.
func refusedThenDead(q ask) (act, fault.Code) {
	if q.verb == VerbTry {
		return refuses, fault.SessionExpired
	}
	return unknown, fault.Unavailable
}

// reach brings a fresh payment to the stage, and returns the one that is stuck there.
func (st stage) reach(p *proc) id.ID {
	p.t.Helper()
	trouble := func() { p.balance.plays(st.balance); p.code.plays(st.code) }
	quiet := func() { p.balance.plays(nil); p.code.plays(nil) }
	defer p.idle()
	if st.then == 0 && st.expire == 0 {
		trouble()
		return p.create(p.request(st.capture)).ID
	}
	quiet()
	x := p.pay(p.request(st.capture)).ID
	trouble()
	switch {
	case st.expire > 0:
		p.manual.Advance(st.expire)
		eventually(p.t, "the authorization lapses", func() bool { return p.see(x).Resource == WorkInProgress })
	case st.then == ByRefund:
		o, err := p.Refund(context.Background(), RefundRequest{Caller: p.caller(), Tenant: 1, Payment: x})
		check(p.t, err)
		return o.Payment.ID
	default:
		_, err := p.Operate(context.Background(), OperationRequest{Caller: p.caller(), Tenant: 1, Payment: x, Cause: st.then})
		check(p.t, err)
	}
	return x
}

// TestRestartInEveryPhase: a process ends at any stage, and so does the next; the third goes on, and no decision changes.
func TestRestartInEveryPhase(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		for _, st := range stages {
			p := r.start(once, Layers{NoQueue: true, NoSweep: true})
			x := st.reach(p)
			stands(t, p.see(x), st.stands)
			p = p.again()
			check(t, p.Recover(t.Context()))
			before := p.see(x)
			if stands(t, before, st.stands); t.Failed() {
				t.Fatal(st.name)
			}
			p.stop()
			r.balance.plays(nil)
			r.code.plays(nil)
			p = r.start(once, Layers{NoSweep: true})
			check(t, p.Recover(t.Context()))
			v := p.becomes(x, st.ends)
			r.whole(v)
			if before.Decision > Authorize && v.Decision != before.Decision {
				t.Errorf("%s: the decision was %s and is %s", st.name, before.Decision, v.Decision)
			}
			if !v.Parent.IsNil() {
				stands(t, p.see(v.Parent), "REFUNDED COMPLETED notified ")
			}
			p.stop()
		}
	})
}

// TestTwoCoordinators: two services drive the same payments at the same time, over participants that lose answers.
// Participants hear nothing but duplicates, which the fakes see to.
func TestTwoCoordinators(t *testing.T) {
	onRealTime(t, func(t *testing.T, r *rig) {
		lossy := func() func(ask) (act, fault.Code) {
			calls := 0
			return func(ask) (act, fault.Code) {
				if calls++; calls%10 == 0 { // not so many that a breaker opens, in whatever order the answers come
					return loses, fault.Timeout
				}
				return answers, ""
			}
		}
		r.balance.plays(lossy())
		r.code.plays(lossy())
		r.points.plays(just(VerbTry, waits, "")) // until both coordinators have asked for all
		p := r.start(busy, Layers{NoQueue: true, NoSweep: true})
		other := New(p.Config)
		t.Cleanup(other.Close)
		var done sync.WaitGroup
		for range 40 {
			q := r.request(Automatic)
			done.Go(func() {
				o, err := p.Create(context.Background(), q)
				if err != nil {
					t.Error(err)
					return
				}
				x := o.Payment.ID
				if at := other.Drive(Reply{Payment: o.Payment}); at != nil {
					over := make(chan struct{})
					at.Then(func(*Payment) { close(over) })
					<-over
				}
				r.whole(p.becomes(x, Captured))
			})
		}
		eventually(t, "both coordinators ask", func() bool {
			now, _ := r.points.flying()
			return now == 2*40
		})
		r.points.letGo(lossy())
		done.Wait()
	})
}

// TestStaleCoordinatorIsFenced (two coordinators believe that they lead): the one that was overtaken is refused by the
// journal. What it still sends is what was durably decided before, or a Try that its Cancel has overtaken.
func TestStaleCoordinatorIsFenced(t *testing.T) {
	config := storetest.Postgres(t)
	r := newRig(t, nil, func(name string) *store.DB { return storetest.Open(t, config(name)) })
	old := r.start(busy, Layers{})
	r.balance.plays(just(VerbConfirm, waits, ""))
	decided := old.create(fromBalance(r.request(Automatic)))
	r.points.plays(just(VerbTry, waits, ""))
	undecided := old.create(fromPoints(r.request(Automatic)))
	eventually(t, "the old one waits for both", func() bool {
		a, _ := r.balance.flying()
		b, _ := r.points.flying()
		return a+b == 2 && old.see(decided.ID).Decision == Confirm
	})
	j, db := r.stores()
	next := r.startOn(j, db, once, Layers{})
	r.balance.plays(nil)
	r.points.plays(nil)
	r.manual.Set(undecided.GiveUpAt)
	check(t, next.Recover(t.Context()))
	r.whole(next.becomes(decided.ID, Captured))
	r.whole(next.becomes(undecided.ID, Failed))
	r.balance.letGo(nil)
	r.points.letGo(nil)
	old.idle()
	if _, err := old.Get(t.Context(), 1, decided.ID); !fault.HasCode(err, fault.Fenced) {
		t.Errorf("the old one answers: %v", err)
	}
	r.whole(next.see(decided.ID))
	r.whole(next.see(undecided.ID))
	if got := r.points.state(undecided.Branch(&undecided.Parts[0])); got != LetGo {
		t.Errorf("the late Try left its part %s", got)
	}
	if v := next.pay(fromBalance(r.request(Automatic))); v.Amount != money.Yen(1200) || v.Status != Captured {
		t.Errorf("%+v", v)
	}
}
