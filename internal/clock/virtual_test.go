package clock

import (
	"sync"
	"testing"
	"time"
)

var _ Clock = (*Virtual)(nil)

// rung waits for a channel that has to receive.
func rung[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(20 * time.Second):
		t.Fatal("the timer did not fire")
	}
	return v
}

func silent[T any](t *testing.T, ch <-chan T) {
	t.Helper()
	select {
	case <-ch:
		t.Fatal("the timer fired too early")
	default:
	}
}

func TestVirtualRunsAheadAndNeverBack(t *testing.T) {
	base := NewManual(noon)
	c := NewVirtual(base)
	if c.Now() != noon || c.Ahead() != 0 {
		t.Errorf("unmoved, it shows %v", c.Now())
	}
	c.Advance(3 * time.Hour)
	base.Advance(time.Second)
	if c.Now() != noon+3*Hour+Second || c.Ahead() != 3*time.Hour {
		t.Errorf("moved by 3h, and a second later, it shows %v", c.Now())
	}
	for _, back := range []time.Duration{0, -time.Hour} {
		c.Advance(back)
	}
	if c.Ahead() != 3*time.Hour {
		t.Errorf("moved back, it is ahead by %v", c.Ahead())
	}
}

func TestVirtualTimersGoWithTheClockBelow(t *testing.T) {
	base := NewManual(noon)
	c := NewVirtual(base)
	ch := c.After(time.Minute)
	base.Advance(time.Minute - time.Microsecond)
	silent(t, ch)
	base.Advance(time.Microsecond)
	rung(t, ch)
}

// A move fires what it passes, earliest first, and brings the rest nearer by as much.
func TestVirtualMoveFiresWhatItPasses(t *testing.T) {
	base := NewManual(noon)
	c := NewVirtual(base)
	early, late := c.After(time.Minute), c.After(time.Hour)
	var order []int
	c.schedule(2*time.Minute, func() { order = append(order, 2) })
	c.schedule(time.Second, func() { order = append(order, 1) })
	done := make(chan struct{})
	stop := c.AfterFunc(30*time.Minute, func() { close(done) })
	c.Advance(50 * time.Minute)
	rung(t, early)
	rung(t, done)
	if len(order) != 2 || order[0] != 1 {
		t.Errorf("the timers fired in the order %v", order)
	}
	if stop() {
		t.Error("a timer that has fired was stopped")
	}
	silent(t, late)
	base.Advance(10 * time.Minute)
	rung(t, late)
	if len(c.pending) != 0 {
		t.Errorf("%d timers are left", len(c.pending))
	}
}

func TestVirtualTimerStopsOnce(t *testing.T) {
	base := NewManual(noon)
	c := NewVirtual(base)
	fired := make(chan struct{}, 1)
	stop := c.AfterFunc(time.Minute, func() { fired <- struct{}{} })
	if !stop() || stop() {
		t.Error("stopping says the wrong thing")
	}
	c.Advance(time.Hour)
	base.Advance(time.Hour)
	silent(t, fired)
	rung(t, c.After(-time.Second))
}

type shaky struct{ *Manual }

func (shaky) Steady() error { return &StepError{By: time.Hour} }

func TestVirtualMoveIsNoStep(t *testing.T) {
	h, s := started()
	c := NewVirtual(s)
	c.Advance(time.Hour)
	h.runs(Second)
	if err := c.Steady(); err != nil {
		t.Errorf("a move is taken for a step: %v", err)
	}
	if NewVirtual(shaky{NewManual(noon)}).Steady() == nil {
		t.Error("a step of the clock below was not noticed")
	}
}

// On the machine's clock, with callers and moves at the same time: every timer fires once, none is left.
func TestVirtualMovedByManyAtOnce(t *testing.T) {
	c := NewVirtual(NewSystem())
	var group, fired sync.WaitGroup
	for i := range 200 {
		fired.Add(1)
		group.Go(func() {
			c.AfterFunc(time.Duration(i)*time.Minute, fired.Done) // a second call panics
			before := c.Now()
			c.Advance(time.Minute)
			if now := c.Now(); now < before+Minute {
				t.Errorf("after a minute, the clock went from %v to %v", before, now)
			}
		})
	}
	group.Wait()
	c.Advance(200 * time.Minute)
	fired.Wait()
	if len(c.pending) != 0 {
		t.Errorf("%d timers are left", len(c.pending))
	}
}
