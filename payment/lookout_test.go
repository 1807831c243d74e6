package payment

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// waits returns how many payments wait in the queue.
func (p *proc) waits() (n int) {
	for _, w := range p.Stats().Waiting {
		n += w.Payments
	}
	return n
}

// TestWhatNobodyDrivesIsFoundToldAndDriven: a decided payment is in no queue and nobody is at it, as after a bug. It is found
// within seconds, counted, told of and driven, long before the sweep; and if driving does not help, that is said.
func TestWhatNobodyDrivesIsFoundToldAndDriven(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(DefaultTiming, Layers{NoWorker: true, NoQueue: true})
		lost := p.create(r.request(Automatic)).ID
		eventually(t, "its driver has left", func() bool { return p.see(lost).Decision == Confirm && p.Stats().Running == 0 })
		look := func() {
			t.Helper()
			check(t, p.Sync(t.Context()))
			p.look(t.Context())
			p.idle()
		}
		look()
		if st := p.Stats().Standing; st.Payments > 0 {
			t.Fatalf("one that has just been touched was found: %+v", st)
		}
		for n := int64(1); n <= 2; n++ {
			r.manual.Advance(time.Minute)
			look()
			st := p.Stats().Standing
			if st.Payments != 1 || st.Found != n || st.Again != int(n-1) || st.Oldest < clock.Minute {
				t.Errorf("look %d: %+v", n, st)
			}
			eventually(t, "it was driven, in vain", func() bool { return p.see(lost).UpdatedAt == r.clk.Now() && p.Stats().Running == 0 })
			if err := p.Undriven(); (err != nil) != (n == 2) {
				t.Errorf("look %d: new work would stand still: %v", n, err)
			}
		}
		if !slices.Contains(p.Wrong(), PaymentsStand) || !strings.Contains(r.log.String(), "nobody did it") {
			t.Errorf("nobody is told: %v %s", p.Wrong(), r.log.String())
		}
		r.balance.plays(nil)
		r.manual.Advance(time.Minute)
		look()
		r.whole(p.becomes(lost, Captured))
		look()
		if st := p.Stats().Standing; st.Payments+st.Again > 0 || p.Undriven() != nil || len(p.Wrong()) > 0 {
			t.Errorf("it is over: %+v %v", st, p.Wrong())
		}
	})
}

// TestWhatWaitsIsToldOfAndLeftAlone: the lookout leaves alone what waits for a participant, however long; that is told of
// with the age of the oldest.
func TestWhatWaitsIsToldOfAndLeftAlone(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.points.plays(just(VerbConfirm, unknown, fault.Timeout))
		p := r.start(DefaultTiming, Layers{NoWorker: true})
		x := p.create(r.request(Automatic)).ID
		p.queued(x, 1)
		r.manual.Advance(40 * time.Second)
		p.tellWaiting()
		if strings.Contains(r.log.String(), "payments wait for") {
			t.Error("told of too soon")
		}
		r.manual.Advance(30 * time.Second)
		check(t, p.Sync(t.Context()))
		p.look(t.Context())
		p.tellWaiting()
		p.tellWaiting()
		st := p.Stats()
		if n := strings.Count(r.log.String(), "payments wait for"); n != 1 || !strings.Contains(r.log.String(), "participant=points verb=confirm") {
			t.Errorf("told of %d times: %s", n, r.log.String())
		}
		if len(st.Waiting) != 1 || st.Waiting[0].Participant != Points || st.Waiting[0].Verb != VerbConfirm || st.Waiting[0].Payments != 1 ||
			st.Waiting[0].Refused != 0 || st.Standing.Found != 0 || len(p.Wrong()) > 0 {
			t.Errorf("%+v %v", st, p.Wrong())
		}
	})
}

// TestARefusalOfWhatWasDecidedIsAnAlarm: a participant that says no to an Add, which it has no right to, is asked again until
// it has done it; meanwhile the log, the figures and the health of the platform say so.
func TestARefusalOfWhatWasDecidedIsAnAlarm(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.balance.plays(just(VerbAdd, refuses, fault.AmountOverflow))
		p := r.start(DefaultTiming, Layers{NoWorker: true})
		x := p.create(r.request(Automatic)).ID
		p.queued(x, 1)
		for range 3 { // asked again, with the same answer: that is no news
			p.Probe()
			p.idle()
		}
		st := p.Stats()
		if n := strings.Count(r.log.String(), "refuses what was decided"); n != 1 {
			t.Errorf("an alarm was raised %d times: %s", n, r.log.String())
		}
		if !slices.Equal(p.Wrong(), []string{DutyRefused}) || st.Refused[Call{Balance, VerbAdd}] < 1 || len(st.Waiting) != 1 ||
			st.Waiting[0].Refused != 1 || st.Waiting[0].Code != fault.AmountOverflow {
			t.Errorf("nobody is told: %v %+v", p.Wrong(), st)
		}
		if v := p.see(x); v.Status != Accepted || v.Decision != Confirm {
			t.Errorf("the decision did not stand: %+v", v.Standing)
		}
		r.balance.plays(nil)
		eventually(t, "it is done", func() bool { p.Probe(); return p.see(x).Status == Captured })
		r.whole(p.becomes(x, Captured))
		eventually(t, "the alarm is over", func() bool { return len(p.Wrong()) == 0 })
	})
}

// stubborn is a world whose book refuses every report.
type stubborn struct {
	work   chan func()
	alarms []string
	n      int
}

func (*stubborn) Now() clock.Micros { return rigStart }
func (s *stubborn) After(_ time.Duration, f func()) func() bool {
	s.work <- f
	return func() bool { return true }
}
func (*stubborn) Patience(time.Duration, func()) func() bool { return func() bool { return true } }
func (*stubborn) Draw(int64) int64                           { return 0 }
func (*stubborn) Turned(Participant, bool)                   {}
func (*stubborn) Warn(string, ...any)                        {}
func (s *stubborn) Alarm(what string, _ ...any)              { s.alarms = append(s.alarms, what) }
func (*stubborn) Name(k book.Key) string                     { return "a payment" }
func (s *stubborn) Call(_ *Payment, _ Step, f func(tcc.Receipt, error)) {
	s.work <- func() { f(tcc.Receipt{Seq: 1}, nil) }
}

func (s *stubborn) Submit(_ id.ID, cmd any, done func(Reply, error)) {
	if _, ok := cmd.(Report); ok {
		s.n++
	}
	s.work <- func() { done(Reply{}, fault.PaymentNotFound.New("")) }
}

// TestARefusedReportIsNotRepeatedForEver: what a book refuses once it refuses always.
func TestARefusedReportIsNotRepeatedForEver(t *testing.T) {
	world := &stubborn{work: make(chan func(), 100)}
	d := NewDriver(world, Layers{}, DefaultTiming, []Participant{Balance})
	p := &Payment{
		Tenant: 1, ID: id.ID{1}, Kind: Charge, Standing: Standing{Status: Accepted, Resource: WorkInProgress},
		Amount: money.Yen(1), Parts: []Part{{Number: 1, Participant: Balance, Role: Hold, Amount: money.Yen(1)}},
	}
	over := false
	d.Drive(Reply{Payment: p, New: true}).Then(func(*Payment) { over = true })
	for steps := 0; len(world.work) > 0 && steps < 50; steps++ {
		(<-world.work)()
	}
	if !over || world.n != 1 || len(world.alarms) != 1 || d.counts.dropped.Load() != 1 {
		t.Errorf("the run is over: %v; reported %d times, %q", over, world.n, world.alarms)
	}
}
