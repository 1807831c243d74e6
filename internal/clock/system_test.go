package clock

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// hardware is a machine whose clocks a test moves.
type hardware struct {
	wall, mono, slept Micros
	timers            Manual
}

func (h *hardware) machine() Machine {
	return Machine{
		Read: func() Reading { return Reading{Wall: h.wall, Mono: h.mono} }, Slept: func() Micros { return h.slept },
		AfterFunc: h.timers.AfterFunc,
	}
}

// runs lets time pass, as everybody sees it.
func (h *hardware) runs(d Micros) {
	h.wall, h.mono = h.wall+d, h.mono+d
	h.timers.Set(h.mono)
}

// sleeps lets time pass that the monotonic clock does not see.
func (h *hardware) sleeps(d Micros) { h.wall, h.slept = h.wall+d, h.slept+d }

// looks has s look every 100 ms for so long, and returns what it said at last.
func (h *hardware) looks(s *System, long Micros) (err error) {
	for range long / (100 * Millisecond) {
		h.runs(100 * Millisecond)
		err = s.Steady()
	}
	return err
}

func started() (*hardware, *System) {
	h := &hardware{wall: noon}
	return h, NewSystemOn(h.machine())
}

func TestSleepIsFollowed(t *testing.T) {
	for _, long := range []Micros{2 * Second, 3 * Hour, 40 * Day} {
		h, s := started()
		h.runs(Minute)
		h.sleeps(long)
		before := s.Now()
		var step *StepError
		if err := s.Steady(); !errors.As(err, &step) || step.Lasting || step.By != long.Sub(0) || s.Doubt() == nil {
			t.Fatalf("after %v of sleep: %v", long.Sub(0), err)
		}
		if s.Now() != before {
			t.Errorf("a step was followed before it was confirmed")
		}
		if err := h.looks(s, Second); err != nil || s.Doubt() != nil {
			t.Fatalf("a second after %v of sleep: %v", long.Sub(0), err)
		}
		if s.Now() != h.wall || s.Followed() != long.Sub(0) {
			t.Errorf("after %v of sleep it is %v, expected %v", long.Sub(0), s.Now(), h.wall)
		}
		h.sleeps(long) // and again
		if err := h.looks(s, Second); err != nil || s.Now() != h.wall {
			t.Errorf("after a second sleep: %v, %v, expected %v", err, s.Now(), h.wall)
		}
	}
}

func TestWhatBecameDueInSleepFiresByTheWall(t *testing.T) {
	h, s := started()
	fired := make(chan string, 3)
	s.AfterFunc(time.Hour, func() { fired <- "one hour" })
	two := s.After(2 * time.Hour)
	stop := s.AfterFunc(2*time.Hour, func() { fired <- "stopped" })
	four := s.After(4 * time.Hour)
	stop()
	h.sleeps(3 * Hour)
	_ = h.looks(s, Second)
	select {
	case got := <-fired:
		if got != "one hour" {
			t.Errorf("%s fired", got)
		}
	case <-Pause(time.Minute):
		t.Fatal("what was due in an hour has not fired after three")
	}
	if _, ok := receives(two); !ok {
		t.Error("what was due in two hours has not fired after three")
	}
	if _, ok := receives(four); ok {
		t.Error("what is due in four hours has fired after three")
	}
	h.runs(Hour)
	<-four
	if len(fired) > 0 {
		t.Errorf("%s fired", <-fired)
	}
}

// A virtual machine that its host stopped does not know that it slept; nor does one whose clock was set right.
func TestStepForwardWithoutWitness(t *testing.T) {
	for by, followed := range map[Micros]bool{5 * Second: true, 20 * Hour: true, 3 * Day: false} {
		h, s := started()
		h.wall += by
		err := h.looks(s, 20*Second)
		var step *StepError
		if lasting := errors.As(err, &step) && step.Lasting; lasting == followed || followed != (s.Now() == h.wall) {
			t.Errorf("a step by %v: %v", by.Sub(0), err)
		}
	}
}

func TestStepBackIsNeverFollowed(t *testing.T) {
	h, s := started()
	h.runs(Hour)
	before := s.Now()
	h.wall -= 5 * Second
	err := h.looks(s, 5*Second)
	var step *StepError
	if !errors.As(err, &step) || step.Lasting || step.By != -5*time.Second {
		t.Errorf("five seconds after a step back: %v", err)
	}
	if s.Now() < before {
		t.Errorf("%v after %v", s.Now(), before)
	}
	h.wall += 5 * Second // set right again
	if err := h.looks(s, Second); err != nil || s.Now() != h.wall {
		t.Errorf("once it was set right: %v", err)
	}
	h.wall -= 5 * Second
	if err := h.looks(s, 11*Second); !errors.As(err, &step) || !step.Lasting {
		t.Errorf("eleven seconds after a step back: %v", err)
	}
}

func TestClockThatJumpsAboutIsNotFollowed(t *testing.T) {
	h, s := started()
	before := s.Now()
	var lasting []bool
	for n := range Micros(120) {
		h.runs(100 * Millisecond)
		h.wall += 3*Second + n%2*Second
		var step *StepError
		if err := s.Steady(); errors.As(err, &step) {
			lasting = append(lasting, step.Lasting)
		}
	}
	if s.Followed() != 0 || s.Now() != before+12*Second {
		t.Errorf("followed by %v", s.Followed())
	}
	if len(lasting) != 120 || slices.Contains(lasting[:99], true) || !lasting[119] {
		t.Errorf("lasting %v", lasting)
	}
}

func TestShiftStandsForAStep(t *testing.T) {
	h, s := started()
	v := NewVirtual(s)
	rang := v.After(time.Hour)
	s.Shift(2 * time.Hour)
	if v.Steady() == nil {
		t.Error("a shift was not noticed")
	}
	h.runs(Second)
	if err := v.Steady(); err != nil || v.Now() != h.wall+2*Hour {
		t.Fatalf("%v, %v", v.Now(), err)
	}
	<-rang
	if NewVirtual(NewManual(noon)).Steady() != nil {
		t.Error("a clock without a machine is in doubt")
	}
}
