package inject

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

const noon = clock.Micros(1790510400) * clock.Second

// bank notes what reaches it, and answers each call with the number of calls so far.
type bank struct {
	mu     sync.Mutex
	heard  map[Verb]int
	at     []clock.Micros // when
	clk    clock.Clock
	answer error
	came   chan struct{} // receives for each call
	gate   chan struct{} // if set, calls wait for it
}

func (b *bank) hear(v Verb) (tcc.Receipt, error) {
	b.came <- struct{}{}
	if b.gate != nil {
		<-b.gate
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard[v]++
	b.at = append(b.at, b.clk.Now())
	return tcc.Receipt{Seq: uint64(len(b.at))}, b.answer
}

func (b *bank) Try(context.Context, tcc.TryRequest) (tcc.Receipt, error) { return b.hear(Try) }
func (b *bank) Confirm(context.Context, tcc.ConfirmRequest) (tcc.Receipt, error) {
	return b.hear(Confirm)
}
func (b *bank) Cancel(context.Context, tcc.CancelRequest) (tcc.Receipt, error) { return b.hear(Cancel) }
func (b *bank) Add(context.Context, tcc.AddRequest) (tcc.Receipt, error)       { return b.hear(Add) }

// rig is a bank behind an injector. "ticket" has no receiver.
type rig struct {
	*testing.T
	*Injector
	clock *clock.Manual
	bank  *bank
	p     tcc.Participant
	r     tcc.Receiver
	kills int
}

func newRig(t *testing.T) *rig {
	clk := clock.NewManual(noon)
	r := &rig{T: t, clock: clk, bank: &bank{heard: map[Verb]int{}, clk: clk, came: make(chan struct{}, 1000)}}
	r.Injector = New(clk, func() { r.kills++ })
	r.p, r.r = r.Participant("bank", r.bank), r.Receiver("bank", r.bank)
	r.Participant("ticket", r.bank)
	t.Cleanup(r.Close)
	return r
}

func (r *rig) inject(s Spec) Fault {
	r.Helper()
	f, err := r.Inject(s)
	if err != nil {
		r.Fatal(err)
	}
	return f
}

// call makes one call, and reports the outcome's word and code.
func (r *rig) call(v Verb, n byte) (tcc.Receipt, error) {
	b := tcc.Branch{ID: id.ID{n, 15: 1}}
	switch v {
	case Try:
		return r.p.Try(r.Context(), tcc.TryRequest{Branch: b})
	case Confirm:
		return r.p.Confirm(r.Context(), tcc.ConfirmRequest{Branch: b})
	case Cancel:
		return r.p.Cancel(r.Context(), tcc.CancelRequest{Branch: b})
	default:
		return r.r.Add(r.Context(), tcc.AddRequest{Branch: b})
	}
}

var everyVerb = []Verb{Try, Confirm, Cancel, Add}

// What each action does to a call that it hits, for every verb: the outcome that the caller hears, and how often the
// participant hears of it.
func TestWhatGoesWrong(t *testing.T) {
	for _, c := range []struct {
		spec    Spec
		outcome tcc.Outcome
		code    fault.Code
		heard   int
	}{
		{Spec{Do: Refuse}, tcc.Refused, fault.LimitExceeded, 0},
		{Spec{Do: Refuse, Code: fault.AccountSuspended}, tcc.Refused, fault.AccountSuspended, 0},
		{Spec{Do: Unknown}, tcc.Unknown, fault.Timeout, 0},
		{Spec{Do: Lost}, tcc.Unknown, fault.Timeout, 1},
		{Spec{Do: Duplicate}, tcc.Done, "", 2},
		{Spec{Do: Dead}, tcc.Unknown, fault.Unavailable, 0},
		{Spec{Do: Late, Delay: time.Minute}, tcc.Unknown, fault.Timeout, 0},
		{Spec{Do: Kill}, tcc.Unknown, fault.Timeout, 0},
		{Spec{Do: Kill, When: After}, tcc.Unknown, fault.Timeout, 1},
	} {
		for _, v := range everyVerb {
			r := newRig(t)
			s := c.spec
			s.Verb, s.Participant = v, "bank"
			r.inject(s)
			for _, other := range everyVerb {
				if other != v {
					if _, err := r.call(other, 1); err != nil || r.bank.heard[other] != 1 {
						t.Errorf("%v of %v harms %v: %v", s.Do, v, other, err)
					}
				}
			}
			_, err := r.call(v, 1)
			if tcc.OutcomeOf(err) != c.outcome || c.code != "" && !fault.HasCode(err, c.code) || r.bank.heard[v] != c.heard {
				t.Errorf("%v of %v: %v, and the participant heard %d times; expected %v, %d", s.Do, v, err, r.bank.heard[v], c.outcome, c.heard)
			}
			if (s.Do == Kill) != (r.kills == 1) {
				t.Errorf("%v killed %d times", s.Do, r.kills)
			}
			if f := r.List()[0]; f.Seen != 1 || f.Hit != 1 {
				t.Errorf("%v says that it saw %d and hit %d", s.Do, f.Seen, f.Hit)
			}
		}
	}
}

// A participant's own answer comes through what does not replace it.
func TestAnswersAreKept(t *testing.T) {
	r := newRig(t)
	r.bank.answer = fault.AccountClosed.New("")
	r.inject(Spec{Do: Duplicate})
	if _, err := r.call(Try, 1); !fault.HasCode(err, fault.AccountClosed) {
		t.Errorf("the duplicate's answer is %v", err)
	}
	r.inject(Spec{Do: Lost})
	if _, err := r.call(Try, 2); tcc.OutcomeOf(err) != tcc.Unknown {
		t.Errorf("a refusal was heard though it was lost: %v", err)
	}
}

// A slow participant answers once its delay has passed by the platform's clock; a caller that does not wait so long hears
// that nobody knows, and the participant hears nothing.
func TestSlow(t *testing.T) {
	r := newRig(t)
	r.inject(Spec{Do: Slow, Delay: time.Minute})
	done := make(chan error, 1)
	go func() {
		_, err := r.call(Try, 1)
		done <- err
	}()
	for waits := true; waits; {
		select {
		case err := <-done:
			if err != nil || r.bank.at[0] < noon+clock.Minute {
				t.Errorf("answered %v at %v", err, r.bank.at)
			}
			waits = false
		default:
			r.clock.Advance(time.Second)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.p.Try(ctx, tcc.TryRequest{}); tcc.OutcomeOf(err) != tcc.Unknown || r.bank.heard[Try] != 1 {
		t.Errorf("a caller that went away: %v, heard %d", err, r.bank.heard[Try])
	}
}

// A late call arrives after its delay, whatever was said since, and never once the injector is closed.
func TestLate(t *testing.T) {
	r := newRig(t)
	f := r.inject(Spec{Do: Late, Delay: time.Minute, Verb: Try})
	if _, err := r.call(Try, 1); tcc.OutcomeOf(err) != tcc.Unknown {
		t.Fatalf("the caller hears %v", err)
	}
	if _, err := r.call(Cancel, 1); err != nil {
		t.Fatal(err)
	}
	<-r.bank.came
	if _, err := r.Clear(f.ID); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(time.Minute)
	<-r.bank.came // or the test ends by its deadline
	r.inject(Spec{Do: Late, Delay: time.Minute})
	_, _ = r.call(Try, 2)
	r.Close()
	r.clock.Advance(time.Minute)
	_, _ = r.call(Try, 3) // dropped at once
	if r.bank.heard[Try] != 1 || r.bank.heard[Cancel] != 1 || r.Late() != 0 {
		t.Errorf("the participant heard %v", r.bank.heard)
	}
}

// A duplicate comes at the same time as the first call, or after it, as the seed has it: both happen.
func TestDuplicatesMeet(t *testing.T) {
	r := newRig(t)
	r.bank.gate = make(chan struct{})
	r.inject(Spec{Do: Duplicate, Seed: 1})
	together := 0
	for n := range byte(40) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := r.call(Try, n); err != nil {
				t.Error(err)
			}
		}()
		<-r.bank.came
		if draw(1, call{verb: Try, branch: id.ID{n, 15: 1}}, 1)>>63 == 1 {
			<-r.bank.came // the second is there before the first was answered
			together++
			r.bank.gate <- struct{}{}
		} else {
			r.bank.gate <- struct{}{}
			<-r.bank.came
		}
		r.bank.gate <- struct{}{}
		<-done
	}
	if together < 5 || together > 35 || r.bank.heard[Try] != 80 {
		t.Errorf("%d of 40 came together, %d in all", together, r.bank.heard[Try])
	}
}

// J1: the same seed chooses the same tries of the same branches, in whichever order and however many run at once;
// another seed chooses others.
func TestSeedChooses(t *testing.T) {
	run := func(seed uint64, share int, order []int, parallel bool) map[[2]int]bool {
		r := newRig(t)
		r.inject(Spec{Do: Unknown, Share: share, Seed: seed})
		hit, mu := map[[2]int]bool{}, sync.Mutex{}
		var group sync.WaitGroup
		for _, n := range order {
			tries := func() {
				for try := range 4 {
					_, err := r.call(Try, byte(n))
					mu.Lock()
					hit[[2]int{n, try}] = err != nil
					mu.Unlock()
				}
			}
			if parallel {
				group.Go(tries)
			} else {
				tries()
			}
		}
		group.Wait()
		return hit
	}
	order := make([]int, 200)
	for i := range order {
		order[i] = i
	}
	first := run(7, 30, order, false)
	slices.Reverse(order)
	if !maps.Equal(first, run(7, 30, order, false)) || !maps.Equal(first, run(7, 30, order, true)) {
		t.Error("the same seed chose other calls")
	}
	if maps.Equal(first, run(8, 30, order, false)) {
		t.Error("another seed chose the same calls")
	}
	n, wavering := 0, 0 // wavering: a payment whose first two tries go different ways
	for at, hit := range first {
		if hit {
			n++
		}
		if at[1] == 0 && hit != first[[2]int{at[0], 1}] {
			wavering++
		}
		if all := run(7, 60, []int{at[0]}, false); hit && !all[at] {
			t.Errorf("%v is hit by 30%% and not by 60%%", at)
		}
	}
	if n < 180 || n > 300 { // 30 % of 800 is 240; five standard deviations are 65
		t.Errorf("30%% of 800 calls are %d", n)
	}
	if wavering < 40 {
		t.Errorf("of 200 payments, %d are chosen at one try and not at the next", wavering)
	}
}

// J2: faults lie around a call, the oldest outermost.
func TestFaultsLieAroundEachOther(t *testing.T) {
	r := newRig(t)
	r.inject(Spec{Do: Refuse, Times: 1})
	r.inject(Spec{Do: Duplicate})
	r.inject(Spec{Do: Lost, Verb: Confirm})
	_, _ = r.call(Confirm, 1)
	if l := r.List(); l[0].Hit != 1 || l[1].Seen != 0 || l[2].Seen != 0 {
		t.Errorf("a refused call: %+v", l)
	}
	_, err := r.call(Confirm, 1)
	if l := r.List(); l[1].Hit != 1 || l[2].Hit != 2 || r.bank.heard[Confirm] != 2 || tcc.OutcomeOf(err) != tcc.Unknown {
		t.Errorf("a call that got through: %v %+v", err, l)
	}
}

// Faults end by their time, by their number, or when they are cleared.
func TestFaultsEnd(t *testing.T) {
	r := newRig(t)
	timed := r.inject(Spec{Do: Unknown, For: time.Minute})
	if timed.Until != noon+clock.Minute || timed.ID != "f1" || timed.Share != 100 {
		t.Errorf("the fault is %+v", timed)
	}
	counted := r.inject(Spec{Do: Dead, Times: 2, Verb: Add})
	if _, err := r.call(Try, 1); err == nil {
		t.Error("nothing went wrong")
	}
	r.clock.Advance(time.Minute)
	for n := range 4 {
		if _, err := r.call(Add, 1); (err != nil) != (n < 2) {
			t.Errorf("add %d: %v", n+1, err)
		}
	}
	l := r.List()
	if !l[0].Over || l[0].Hit != 1 || !l[1].Over || l[1].Hit != 2 || l[1].Seen != 2 {
		t.Errorf("the faults are %+v", l)
	}
	third := r.inject(Spec{Do: Dead})
	cleared, err := r.Clear("")
	if err != nil || len(cleared) != 1 || cleared[0].ID != third.ID || !cleared[0].Over || len(r.List()) != 0 {
		t.Errorf("cleared %+v, left %+v: %v", cleared, r.List(), err)
	}
	if _, err := r.Clear(counted.ID); !fault.HasCode(err, fault.InvalidRequest) || fault.Of(err).Param != "id" {
		t.Errorf("clearing what is gone: %v", err)
	}
	if _, err := r.call(Try, 1); err != nil {
		t.Errorf("after all were cleared: %v", err)
	}
}

// The process dies at the call that was named, before, during or after it.
func TestKillAtTheNthCall(t *testing.T) {
	r := newRig(t)
	r.inject(Spec{Do: Kill, When: After, Nth: 3, Verb: Confirm})
	for n := 1; n <= 5; n++ {
		_, _ = r.call(Confirm, byte(n))
		if want := n / 3; r.kills != min(want, 1) || r.bank.heard[Confirm] != n {
			t.Errorf("after %d calls: %d kills, %d heard", n, r.kills, r.bank.heard[Confirm])
		}
	}
	during := newRig(t)
	during.inject(Spec{Do: Kill, When: During})
	_, _ = during.call(Try, 1)
	<-during.bank.came // the call was made
	if during.kills != 1 {
		t.Errorf("%d kills", during.kills)
	}
}

// What makes no sense is refused by the name that the API has for it.
func TestNonsenseIsNamed(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		spec  Spec
		param string
	}{
		{Spec{}, "do"},
		{Spec{Do: Kill + 1}, "do"},
		{Spec{Do: Dead, Verb: Add + 1}, "verb"},
		{Spec{Do: Dead, Share: 130}, "share_percent"},
		{Spec{Do: Dead, Share: -1}, "share_percent"},
		{Spec{Do: Dead, Participant: "nobody"}, "participant"},
		{Spec{Do: Dead, Participant: "ticket", Verb: Add}, "verb"},
		{Spec{Do: Slow}, "delay_ms"},
		{Spec{Do: Late, Delay: -time.Second}, "delay_ms"},
		{Spec{Do: Dead, Delay: time.Second}, "delay_ms"},
		{Spec{Do: Dead, For: -1}, "for_ms"},
		{Spec{Do: Dead, Times: -1}, "times"},
		{Spec{Do: Kill, Times: 1}, "times"},
		{Spec{Do: Kill, For: time.Second}, "for_ms"},
		{Spec{Do: Dead, Nth: 1}, "nth"},
		{Spec{Do: Kill, Nth: -1}, "nth"},
		{Spec{Do: Dead, When: After}, "when"},
		{Spec{Do: Kill, When: After + 1}, "when"},
		{Spec{Do: Refuse, Code: "nonsense"}, "code"},
		{Spec{Do: Refuse, Code: fault.Timeout}, "code"},
		{Spec{Do: Refuse, Code: fault.InProgress}, "code"},
		{Spec{Do: Lost, Code: fault.AccountClosed}, "code"},
	} {
		_, err := r.Inject(c.spec)
		if f := fault.Of(err); f == nil || f.Kind != fault.Invalid || f.Param != c.param || f.Message == "" {
			t.Errorf("%+v: %v; expected %s", c.spec, err, c.param)
		}
	}
	if len(r.List()) != 0 {
		t.Error("nonsense was injected")
	}
}

// The number of faults is bounded; what is over makes room.
func TestFaultsAreBounded(t *testing.T) {
	r := newRig(t)
	r.inject(Spec{Do: Dead, For: time.Second})
	for range maxFaults - 1 {
		r.inject(Spec{Do: Dead})
	}
	if _, err := r.Inject(Spec{Do: Dead}); !fault.HasCode(err, fault.Overloaded) {
		t.Errorf("one fault too many: %v", err)
	}
	r.clock.Advance(time.Second)
	r.inject(Spec{Do: Dead})
	if l := r.List(); len(l) != maxFaults || l[0].ID != "f2" || l[maxFaults-1].ID != "f65" {
		t.Errorf("%d faults, from %s", len(l), l[0].ID)
	}
}

// A fault remembers no more than it may.
func TestTriesAreBounded(t *testing.T) {
	f := &injected{is: Fault{Spec: Spec{Do: Dead, Share: 100}}}
	for n := range 2*maxTries + 10 {
		f.try(call{verb: Try, branch: id.ID{byte(n), byte(n >> 8), byte(n >> 16)}})
	}
	if len(f.tries) > maxTries {
		t.Errorf("%d tries are remembered", len(f.tries))
	}
}
