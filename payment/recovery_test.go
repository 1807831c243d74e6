package payment

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// firstTries lets the first n calls of each verb on each branch end without an answer.
func firstTries(n int, a act) func(ask) (act, fault.Code) {
	return func(q ask) (act, fault.Code) {
		if q.n <= n {
			return a, fault.Unavailable
		}
		return answers, ""
	}
}

// TestWorkerHealsAlone: layer 1, with the queue and the sweep switched off.
func TestWorkerHealsAlone(t *testing.T) {
	onRealTime(t, func(t *testing.T, r *rig) {
		r.balance.plays(firstTries(3, unknown))
		r.points.plays(firstTries(2, loses))
		r.code.plays(firstTries(1, twice))
		p := r.start(busy, Layers{NoQueue: true, NoSweep: true})
		v := p.pay(r.request(Automatic))
		stands(t, v, "CAPTURED WAIT notified ")
		r.whole(v)
		if a := v.Parts[1].Answers; len(a) != 2 || a[0].Attempts != 4 || a[1].Attempts != 4 || a[1].Outcome != tcc.Done {
			t.Errorf("the balance was asked: %+v", a)
		}
		if v.Attempts != 0 || p.Stats().Deferred != 0 {
			t.Errorf("another layer had it: %+v", p.Stats())
		}
	})
}

// TestQueueHealsAlone: layer 2, with the worker's retries and the sweep switched off.
func TestQueueHealsAlone(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(DefaultTiming, Layers{NoWorker: true, NoSweep: true})
		x := p.create(r.request(Automatic)).ID
		v := p.queued(x, 1)
		if wait := v.DeferredUntil - r.clk.Now(); wait < 45*clock.Second || wait > clock.Minute || v.DeferredCode != fault.Timeout {
			t.Errorf("due in %d µs because of %s", wait, v.DeferredCode)
		}
		r.balance.plays(nil)
		r.manual.Set(v.DeferredUntil)
		r.whole(p.becomes(x, Captured))
	})
}

// TestQueueBacksOffFromAMinuteToAnHour: each time the queue waits twice as long, less up to a quarter.
func TestQueueBacksOffFromAMinuteToAnHour(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(once, Layers{NoSweep: true})
		x := p.create(r.request(Automatic)).ID
		spread := false
		for n, full := uint32(1), clock.Minute; n <= 8; n, full = n+1, min(2*full, clock.Hour) {
			v := p.queued(x, n)
			wait := v.DeferredUntil - v.UpdatedAt
			if wait <= full*3/4 || wait > full {
				t.Errorf("the %d. time it waits %s, expected up to %s", n, wait.Sub(0), full.Sub(0))
			}
			spread = spread || wait != full
			r.manual.Set(v.DeferredUntil)
		}
		if !spread {
			t.Error("what fell due together stays together")
		}
	})
}

// TestSweepHealsAlone: layer 3, with the worker's retries and the queue switched off, and no due entry at all.
func TestSweepHealsAlone(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		r.points.plays(just(VerbTry, unknown, fault.Timeout))
		p := r.start(DefaultTiming, Layers{NoWorker: true, NoQueue: true})
		p.saver.PauseTimers(true)
		decided := p.create(fromBalance(r.request(Automatic))).ID
		undecided := p.create(fromPoints(r.request(Automatic))).ID
		p.idle()
		if v := p.see(decided); dueAt(v) != 0 || v.Decision != Confirm {
			t.Fatalf("an entry was made: %+v", v)
		}
		check(t, p.saver.Sync(t.Context()))
		check(t, r.state.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "UPDATE payments SET due = 0")
			return err
		}))
		p = p.again()
		p.saver.PauseTimers(true)
		check(t, p.Recover(t.Context()))
		r.balance.plays(nil)
		r.points.plays(nil)
		for _, x := range []id.ID{decided, undecided} {
			eventually(t, "the hourly sweep comes round", func() bool {
				r.manual.Advance(10 * time.Minute)
				return p.see(x).Resource != WorkInProgress
			})
		}
		r.whole(p.becomes(decided, Captured))
		v := p.becomes(undecided, Failed)
		if r.whole(v); v.Failure != fault.GaveUp {
			t.Errorf("failure %s", v.Failure)
		}
	})
}

// TestOverdueRaisesTheAlert: nothing can end it for three days, so a person has to look.
func TestOverdueRaisesTheAlert(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(once, Layers{})
		x := p.create(r.request(Automatic)).ID
		p.queued(x, 1)
		p.saver.PauseTimers(true)
		sweep := func() (overdue int64, alarmed bool) {
			check(t, p.saver.Sync(t.Context()))
			p.Sweep(t.Context())
			return p.Stats().Overdue, strings.Contains(r.log.String(), "unfinished for more than three days")
		}
		r.manual.Advance(72 * time.Hour)
		if n, alarmed := sweep(); n != 0 || alarmed {
			t.Errorf("after three days: %d, %v", n, alarmed)
		}
		r.manual.Advance(time.Microsecond)
		if n, alarmed := sweep(); n != 1 || !alarmed {
			t.Errorf("after more than three days: %d, %v", n, alarmed)
		}
		r.balance.plays(nil)
		p.Sweep(t.Context())
		p.becomes(x, Captured)
		if n, _ := sweep(); n != 0 {
			t.Errorf("it is done, and %d are overdue", n)
		}
	})
}

// troubles are the ways in which a participant can fail to answer.
var troubles = map[string]act{"unknown": unknown, "slow": hangs, "lost": loses}

// TestUndecidedEndsByItself: a participant that gives no certain answer to the Try: the payment is given up after 30 s,
// and everything is let go once the participant is back.
func TestUndecidedEndsByItself(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		brief := once
		brief.Attempt = 20 * time.Millisecond
		for name, trouble := range troubles {
			r.points.plays(always(trouble))
			p := r.start(brief, Layers{})
			x := p.create(r.request(Automatic)).ID
			v := p.queued(x, 1)
			stands(t, v, "ACCEPTED WORK_IN_PROGRESS init ")
			r.manual.Set(v.GiveUpAt)
			eventually(t, "it is given up", func() bool { return p.see(x).Decision == Cancel })
			if trouble != loses { // else the Cancel was done at the first try
				v = p.queued(x, 1)
				stands(t, v, "ACCEPTED WORK_IN_PROGRESS init cancel_decided")
				if got := owed(v); got != "cancel points;" {
					t.Errorf("%s: owed %s: the others are let go first", name, got)
				}
			} else {
				v = p.queued(x, 1)
			}
			r.points.plays(nil)
			r.manual.Set(v.DeferredUntil)
			v = p.becomes(x, Failed)
			if r.whole(v); v.Failure != fault.GaveUp {
				t.Errorf("%s: failure %s", name, v.Failure)
			}
			p.stop()
		}
	})
}

// TestDecidedIsPushedForward: after the decision nothing turns a payment round, a participant that says no included.
func TestDecidedIsPushedForward(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		brief := once
		brief.Attempt = 20 * time.Millisecond
		for name, trouble := range map[string]act{"unknown": unknown, "slow": hangs, "lost": loses, "refused": refuses} {
			r.balance.plays(func(q ask) (act, fault.Code) {
				if q.verb == VerbTry {
					return answers, ""
				}
				return trouble, fault.AccountSuspended
			})
			p := r.start(brief, Layers{})
			x := p.create(r.request(Automatic)).ID
			v := p.queued(x, 1)
			for n := uint32(2); n <= 3; n++ { // 30 s and more
				r.manual.Set(v.DeferredUntil)
				v = p.queued(x, n)
				if got := owed(v); v.Decision != Confirm || got != "confirm balance;add balance;" {
					t.Errorf("%s: %s: owed %s", name, v.Decision, got)
				}
			}
			r.balance.plays(nil)
			r.manual.Set(v.DeferredUntil)
			r.whole(p.becomes(x, Captured))
			p.stop()
		}
	})
}

// TestOthersAreNotSlowed: 500 payments hang in one participant; those over healthy ones settle meanwhile.
func TestOthersAreNotSlowed(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		const stuck, healthy = 500, 40
		r.points.plays(always(waits))
		p := r.start(busy, Layers{})
		p.many(stuck, func() Request { return fromPoints(r.request(Automatic)) })
		eventually(t, "all are stuck", func() bool { now, _ := r.points.flying(); return now == stuck })
		var done sync.WaitGroup
		for range healthy {
			q := fromBalance(r.request(Automatic))
			done.Go(func() {
				if v := p.pay(q); v.Status != Captured {
					t.Errorf("a payment that needs nobody who is down is %s", v.Status)
				}
			})
		}
		done.Wait()
		if now, _ := r.points.flying(); now != stuck {
			t.Errorf("%d are stuck", now)
		}
		r.points.letGo(nil)
		p.idle()
		if n := p.Stats().Settled["CAPTURED"]; n != stuck+healthy {
			t.Errorf("%d captured", n)
		}
	})
}

// many creates n payments, several at a time, and returns their ids.
func (p *proc) many(n int, request func() Request) []id.ID {
	p.t.Helper()
	const lanes = 64
	ids := make([]id.ID, n)
	reqs := make([]Request, n)
	for i := range reqs {
		reqs[i] = request()
	}
	var done sync.WaitGroup
	for lane := range lanes {
		done.Go(func() {
			for i := lane; i < n; i += lanes {
				o, err := p.Create(context.Background(), reqs[i])
				if err != nil {
					p.t.Error(err)
					return
				}
				ids[i] = o.Payment.ID
			}
		})
	}
	done.Wait()
	return ids
}

// TestStuckOnesDoNotHoldUpTheStart: at a start, 500 payments over a dead participant stand before those of others.
func TestStuckOnesDoNotHoldUpTheStart(t *testing.T) {
	onRealTime(t, func(t *testing.T, r *rig) {
		slow := DefaultTiming
		slow.Attempt = 50 * time.Millisecond
		dead := just(VerbConfirm, hangs, "")
		r.points.plays(dead)
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(slow, Layers{NoWorker: true, NoQueue: true, NoSweep: true})
		p.many(500, func() Request { return fromPoints(r.request(Automatic)) })
		after := p.many(20, func() Request { return fromBalance(r.request(Automatic)) })
		p.idle()
		p.stop()
		r.balance.plays(nil)
		p = r.start(slow, Layers{})
		check(t, p.Recover(t.Context()))
		for _, x := range after {
			r.whole(p.becomes(x, Captured))
		}
		if got := p.Stats().Breakers["points"]; got == "closed" {
			t.Error("points answer nobody, and nobody noticed")
		}
	})
}

// TestBreakerFailsFastAndFreesWhatWaits: what meets an open breaker is queued without a call; when the participant is
// back, what waited is driven at once, long before it is due.
func TestBreakerFailsFastAndFreesWhatWaits(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		const stuck = 200
		r.points.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(DefaultTiming, Layers{NoWorker: true})
		check(t, p.Recover(t.Context()))
		ids := p.many(stuck, func() Request { return fromPoints(r.request(Automatic)) })
		p.idle()
		if st := p.Stats(); st.Breakers["points"] != "open" || st.Breakers["balance"] != "closed" || p.waits() != stuck {
			t.Fatalf("%+v", st)
		}
		calls := r.points.count(VerbTry)
		late := p.pay(fromPoints(r.request(Automatic)))
		if r.points.count(VerbTry) != calls || late.DeferredCode != "" && late.DeferredCode != fault.CircuitOpen {
			t.Errorf("a call went through an open breaker: %+v", late)
		}
		v := p.queued(late.ID, 1)
		if v.DeferredCode != fault.CircuitOpen || v.Parts[0].Code != fault.CircuitOpen {
			t.Errorf("%+v", v)
		}
		proofs := 0
		r.points.plays(func(ask) (act, fault.Code) {
			if proofs++; proofs <= breakerProofs {
				return answers, ""
			}
			return waits, ""
		})
		eventually(t, "the breaker closes", func() bool {
			r.manual.Advance(100 * time.Millisecond)
			return p.Stats().Breakers["points"] == "closed"
		})
		eventually(t, "many are driven", func() bool { now, _ := r.points.flying(); return now >= driveAtOnce })
		if _, most := r.points.flying(); most > driveAtOnce+breakerProofs+1 {
			t.Errorf("%d are driven at once", most)
		}
		r.points.letGo(nil)
		for _, x := range append(ids, late.ID) {
			r.whole(p.becomes(x, Captured))
		}
		if r.clk.Now()-rigStart > 40*clock.Second {
			t.Errorf("it took until %s: the queue did it", r.clk.Now())
		}
	})
}

// TestAskingLeavesNoTrace: a participant is asked every second whether it is back. That is neither journaled nor counted
// as trouble of others, and the queue's waiting grows as if nobody had asked.
func TestAskingLeavesNoTrace(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(DefaultTiming, Layers{NoWorker: true, NoSweep: true})
		x := p.create(fromBalance(r.request(Automatic))).ID
		p.queued(x, 1)
		check(t, p.Recover(t.Context())) // which drives it once
		v := p.queued(x, 2)
		eventually(t, "it is asked about 30 times", func() bool {
			r.manual.Advance(min(100*time.Millisecond, (v.DeferredUntil - r.clk.Now()).Sub(1)))
			return r.balance.count(VerbConfirm) > 30
		})
		p.idle()
		if now := p.see(x); now.Attempts != 2 || len(now.Blocks) != len(v.Blocks) || p.Stats().Breakers["balance"] != "closed" {
			t.Errorf("asking left %d attempts and %d blocks, the breaker is %s", now.Attempts, len(now.Blocks), p.Stats().Breakers["balance"])
		}
		r.manual.Set(v.DeferredUntil)
		v = p.queued(x, 3)
		r.balance.plays(nil)
		eventually(t, "it is found to be back", func() bool {
			r.manual.Advance(min(100*time.Millisecond, (v.DeferredUntil - r.clk.Now()).Sub(1)))
			return p.see(x).Status == Captured
		})
	})
}

// TestDueWhileItIsAsked: what the queue brings round while somebody asks is driven, not just asked about.
func TestDueWhileItIsAsked(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(once, Layers{NoSweep: true})
		x := p.create(fromBalance(r.request(Automatic))).ID
		v := p.queued(x, 1)
		k := book.Key{Tenant: 1, ID: x}
		asking := &Run{d: p.Driver, key: k, asks: true}
		p.mu.Lock()
		p.runs[k] = asking
		p.mu.Unlock()
		p.Drive(Reply{Payment: v})
		asking.push(v)
		p.queued(x, 2) // it was not left with an entry that has come up already
	})
}

// TestStartDrivesAllPaced: whatever is unfinished at a start becomes due at once, 64 at a time.
func TestStartDrivesAllPaced(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		const unfinished = 2000
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(once, Layers{NoQueue: true, NoSweep: true})
		p.many(unfinished, func() Request { return fromBalance(r.request(Automatic)) })
		p.stop()
		r.balance.plays(always(waits))
		p = r.start(busy, Layers{NoSweep: true})
		check(t, p.Recover(t.Context()))
		eventually(t, "the start is at work", func() bool { return p.Stats().Running >= driveAtOnce })
		for range 200 { // work that lets an unpaced start get far beyond
			_, err := p.Get(t.Context(), 1, r.fresh())
			if !fault.HasCode(err, fault.PaymentNotFound) {
				t.Fatal(err)
			}
		}
		if n := p.Stats().Running; n != driveAtOnce {
			t.Errorf("%d are driven at once", n)
		}
		r.balance.letGo(nil)
		eventually(t, "all are done", func() bool { return p.Stats().Settled["CAPTURED"] == unfinished })
		if _, most := r.balance.flying(); most > 2*driveAtOnce { // a confirm and an add each
			t.Errorf("%d calls at once", most)
		}
	})
}

// TestStartIsNotFooledByItsClock: the process before had a clock that was ahead.
func TestStartIsNotFooledByItsClock(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(once, Layers{NoQueue: true, NoSweep: true})
		x := p.create(r.request(Automatic)).ID
		p.idle()
		p.stop()
		r.balance.plays(nil)
		r.manual = clock.NewManual(r.clk.Now() - 2*clock.Second)
		r.clk = r.manual
		p = r.start(once, Layers{NoSweep: true})
		check(t, p.Recover(t.Context()))
		r.whole(p.becomes(x, Captured))
	})
}
