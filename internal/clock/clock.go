package clock

import (
	"slices"
	"sync"
	"time"
)

// Micros is a point in time: microseconds since 1970-01-01T00:00:00Z.
type Micros int64

// Durations in microseconds.
const (
	Millisecond Micros = 1000
	Second             = 1000 * Millisecond
	Minute             = 60 * Second
	Hour               = 60 * Minute
	Day                = 24 * Hour
)

// Add returns m moved by d. Fractions of a microsecond are cut off.
func (m Micros) Add(d time.Duration) Micros { return m + Micros(d/time.Microsecond) }

// Sub returns the duration from n to m.
func (m Micros) Sub(n Micros) time.Duration { return time.Duration(m-n) * time.Microsecond }

// Time returns m as a time.Time in UTC.
func (m Micros) Time() time.Time { return time.UnixMicro(int64(m)).UTC() }

// String returns m as RFC 3339 in UTC with microseconds.
func (m Micros) String() string { return m.Time().Format("2006-01-02T15:04:05.000000Z") }

// FromTime returns t in microseconds.
func FromTime(t time.Time) Micros { return Micros(t.UnixMicro()) }

// Clock tells the time and wakes its callers. Every part of the platform shares one.
type Clock interface {
	// Now returns the time. It never returns less than before.
	Now() Micros
	// After returns a channel that receives once d has passed.
	After(d time.Duration) <-chan time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed. stop prevents that and reports whether it could.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// Manual is a clock that moves only when told to: for tests and the simulator.
type Manual struct {
	mu     sync.Mutex
	now    Micros
	timers []*timer
}

type timer struct {
	at   Micros
	fire func() // never blocks
}

// NewManual returns a clock that stands at now.
func NewManual(now Micros) *Manual { return &Manual{now: now} }

// Now returns where the clock stands.
func (c *Manual) Now() Micros {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d and fires what has become due, earliest first.
func (c *Manual) Advance(d time.Duration) { c.Set(c.Now().Add(d)) }

// Set moves the clock to at, if that is later, and fires what has become due, earliest first; what is due at the same
// time, in the order it was asked for. While a timer fires, the clock stands where that timer was due.
func (c *Manual) Set(at Micros) {
	for {
		c.mu.Lock()
		next := -1
		for i, t := range c.timers {
			if t.at <= at && (next < 0 || t.at < c.timers[next].at) {
				next = i
			}
		}
		if next < 0 {
			if at > c.now {
				c.now = at
			}
			c.mu.Unlock()
			return
		}
		t := c.timers[next]
		c.timers = slices.Delete(c.timers, next, next+1)
		if t.at > c.now {
			c.now = t.at
		}
		c.mu.Unlock()
		t.fire()
	}
}

// After returns a channel that receives once the clock has been moved by d: when Set returns, it can be read.
func (c *Manual) After(d time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	c.schedule(d, func(at Micros) { ch <- at.Time() })
	return ch
}

// AfterFunc calls f in a goroutine of its own once the clock has been moved by d.
func (c *Manual) AfterFunc(d time.Duration, f func()) func() bool {
	return c.schedule(d, func(Micros) { go f() })
}

// schedule has fire called with the time it is due, d from now; at once if that is not in the future, as a real timer does.
func (c *Manual) schedule(d time.Duration, fire func(at Micros)) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.now.Add(d)}
	t.fire = func() { fire(t.at) }
	if t.at <= c.now {
		t.fire()
		return func() bool { return false }
	}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.timers, t)
		if i < 0 {
			return false
		}
		c.timers = slices.Delete(c.timers, i, i+1)
		return true
	}
}
