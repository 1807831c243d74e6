package clock

import (
	"sync"
	"time"
)

// System is the machine's clock: wall time at the start, carried on by the monotonic clock, so that a step of the wall
// clock is noticed instead of followed at once. What it is carried forward by in the end fires its timers, too: they are due
// by the wall, however long the machine slept.
type System struct {
	carried *Virtual // goes by the monotonic clock, ahead by the steps that were followed
	machine Machine
	first   Reading

	mu      sync.Mutex
	doubt   doubt
	last    *StepError
	asleep  Micros // how long the machine had slept when a step was followed last
	shifted Micros // by Shift: back and forth, and forth alone, which stands for sleep
	dreamt  Micros
}

// Machine is what a System is built on.
type Machine struct {
	Read  func() Reading
	Slept func() Micros // how long the machine has slept since it came up, as far as it can tell
	// AfterFunc is that of a Clock, by the monotonic clock.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

// NewSystem returns a running clock of this machine.
func NewSystem() *System {
	start := time.Now()
	return NewSystemOn(Machine{
		Read: func() Reading {
			now := time.Now()
			return Reading{Wall: FromTime(now.Round(0)), Mono: Micros(now.Sub(start) / time.Microsecond)}
		},
		Slept:     slept,
		AfterFunc: func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop },
	})
}

// NewSystemOn returns a running clock of any machine: for tests and the simulator.
func NewSystemOn(m Machine) *System {
	s := &System{machine: m, first: m.Read(), asleep: m.Slept()}
	s.carried = NewVirtual(&steadily{s: s})
	return s
}

// steadily is wall time at the start plus the monotonic time since, never backwards.
type steadily struct {
	s    *System
	mu   sync.Mutex
	last Micros
}

// Now implements Clock.
func (c *steadily) Now() Micros {
	now := c.s.first.Wall + c.s.machine.Read().Mono - c.s.first.Mono
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, now)
	return c.last
}

// After implements Clock.
func (c *steadily) After(d time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	c.AfterFunc(d, func() { ch <- c.Now().Time() })
	return ch
}

// AfterFunc implements Clock.
func (c *steadily) AfterFunc(d time.Duration, f func()) func() bool {
	return c.s.machine.AfterFunc(d, f)
}

// Steady looks at the machine's clocks, and returns nil if times may be stamped now (rule B7). A step forward that is
// confirmed is followed by this call: the time moves on, and what has become due fires.
//
// Errors: *StepError, once with Lasting set if the process has to end.
func (s *System) Steady() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.machine.Read()
	passed := r.Mono - s.first.Mono
	drift := r.Wall + s.shifted - s.first.Wall - passed - Micros(s.carried.ahead.Load())
	forward, err := s.doubt.look(r.Mono, drift, func() Micros { return s.slept() - s.asleep })
	if s.last = err; err != nil {
		return err
	}
	if forward > 0 {
		s.asleep = s.slept()
		s.carried.Advance(time.Duration(forward) * time.Microsecond)
	}
	return nil
}

// Doubt returns what the last look at the clocks found, nil if times may be stamped.
func (s *System) Doubt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	return s.last
}

// Followed returns by how much the clock was carried forward after steps, in all.
func (s *System) Followed() time.Duration { return s.carried.Ahead() }

// Now returns the wall time of the start plus the monotonic time since and the steps that were followed. It never goes
// backwards.
func (s *System) Now() Micros { return s.carried.Now() }

// After returns a channel that receives once d has passed.
func (s *System) After(d time.Duration) <-chan time.Time { return s.carried.After(d) }

// AfterFunc calls f in a goroutine of its own once d has passed.
func (s *System) AfterFunc(d time.Duration, f func()) func() bool { return s.carried.AfterFunc(d, f) }

func (s *System) slept() Micros { return s.machine.Slept() + s.dreamt }

// Shift lets the wall clock of this System step by d: forward as if the machine had slept, back as if somebody had set its
// clock wrong. It is for platforms to rehearse on.
func (s *System) Shift(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := Micros(d / time.Microsecond)
	s.shifted += by
	s.dreamt += max(by, 0)
}
