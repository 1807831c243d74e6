package clock

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Virtual is a clock that goes at the pace of another one, ahead of it by as much as it was moved: the one clock of a
// platform whose time can be moved (rule B7). It never goes back. Timers that a move passes fire at once.
type Virtual struct {
	base  Clock
	ahead atomic.Int64 // microseconds; it only grows

	mu      sync.Mutex
	pending map[*awaited]struct{}
}

// awaited is a timer that has not fired.
type awaited struct {
	at   Micros // on the virtual clock
	fire func() // never blocks
	stop func() bool
}

// NewVirtual returns a clock that shows what base shows, until it is moved.
func NewVirtual(base Clock) *Virtual {
	return &Virtual{base: base, pending: make(map[*awaited]struct{})}
}

// Now returns the time of the clock it goes by, plus what it was moved by.
func (c *Virtual) Now() Micros { return c.base.Now() + Micros(c.ahead.Load()) }

// Ahead returns what the clock was moved by in all.
func (c *Virtual) Ahead() time.Duration { return time.Duration(c.ahead.Load()) * time.Microsecond }

// Steady asks the clock it goes by whether times may be stamped now: a move is no step of the wall clock.
//
// Errors: those of the clock it goes by.
func (c *Virtual) Steady() error {
	if s, ok := c.base.(interface{ Steady() error }); ok {
		return s.Steady()
	}
	return nil
}

// Advance moves the clock by d, if that is forward, and fires what has become due, earliest first. When it returns, what
// After gave out can be read, and what AfterFunc was given runs.
func (c *Virtual) Advance(d time.Duration) {
	if d < time.Microsecond {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead.Add(int64(d / time.Microsecond))
	now := c.Now()
	var due []*awaited
	for t := range c.pending {
		t.stop() // if it is too late for that, it was due on the clock below, and is so on this one
		if t.at <= now {
			due = append(due, t)
			delete(c.pending, t)
			continue
		}
		c.arm(t, t.at.Sub(now))
	}
	slices.SortFunc(due, func(a, b *awaited) int { return cmp.Compare(a.at, b.at) })
	for _, t := range due {
		t.fire()
	}
}

// After returns a channel that receives once d has passed on this clock.
func (c *Virtual) After(d time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	c.schedule(d, func() { ch <- c.Now().Time() })
	return ch
}

// AfterFunc calls f in a goroutine of its own once d has passed on this clock.
func (c *Virtual) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	t := c.schedule(d, func() { go f() })
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, waits := c.pending[t]; !waits {
			return false
		}
		delete(c.pending, t)
		t.stop()
		return true
	}
}

func (c *Virtual) schedule(d time.Duration, fire func()) *awaited {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &awaited{at: c.Now().Add(d), fire: fire}
	c.pending[t] = struct{}{}
	c.arm(t, d)
	return t
}

// arm lets t fire in d of the clock below. A timer that was armed twice fires once.
func (c *Virtual) arm(t *awaited, d time.Duration) {
	t.stop = c.base.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, waits := c.pending[t]; waits {
			delete(c.pending, t)
			t.fire()
		}
	})
}
