package payment

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// The driver does what the machine says is owed, and submits what came back. It decides nothing (rule B8): a second
// driver on the same payment, here or in another process, only asks participants what they already answered.
//
// It has no goroutines and waits for nothing: it asks its host, and goes on when the host calls back. In production the
// host is the Service; in the simulator it is one thread with a clock of its own, around the same driver.

// Host is what a driver needs of the world. No method waits, and none calls back before it has returned.
type Host interface {
	// Now is the platform's time.
	Now() clock.Micros
	// After calls f once d of the platform's time has passed, unless it is stopped before.
	After(d time.Duration, f func()) (stop func() bool)
	// Patience calls f once d has passed of the time in which calls take place, unless it is stopped before.
	Patience(d time.Duration, f func()) (stop func() bool)
	// Draw returns a random number from 0 to n-1.
	Draw(n int64) int64
	// Call makes one call to a participant. done hears the answer at most once; never, if the call is lost.
	Call(p *Payment, st Step, done func(tcc.Receipt, error))
	// Submit submits a command to the book that x lives in. done hears the answer as (*book.Book).Do gives it.
	Submit(x id.ID, cmd any, done func(Reply, error))
	// Turned hears that a participant's breaker has opened or closed.
	Turned(p Participant, open bool)
	// Warn hears of what heals by itself but a person may want to know, with names and values about it.
	Warn(what string, about ...any)
	// Alarm hears of what does not heal by itself: a person has to look.
	Alarm(what string, about ...any)
	// Name returns how people call a payment.
	Name(k book.Key) string
}

// Driver drives payments to their end: recovery layer 1, and the hand-over to layers 2 and 3. Safe for concurrent use.
type Driver struct {
	host     Host
	layers   Layers
	timing   Timing
	breakers [participants]*breaker // of those that the platform has

	closed  atomic.Bool // set under mu
	mu      sync.Mutex
	runs    map[book.Key]*Run
	waiting waitlist

	counts counters
}

// NewDriver returns a driver that calls the given participants.
func NewDriver(h Host, l Layers, t Timing, who []Participant) *Driver {
	d := &Driver{host: h, layers: l, timing: t, runs: make(map[book.Key]*Run), waiting: newWaitlist()}
	for _, p := range who {
		d.breakers[p] = newBreaker(h.Now, func(open bool) { d.turned(p, open) })
	}
	return d
}

// Close stops driving: whoever waits for a run hears that it is over, and no call is made any more. What is unfinished goes
// on at the next start.
func (d *Driver) Close() {
	d.mu.Lock()
	d.closed.Store(true)
	runs := make([]*Run, 0, len(d.runs))
	for _, r := range d.runs {
		runs = append(runs, r)
	}
	d.mu.Unlock()
	for _, r := range runs {
		r.end(nil)
	}
}

func (d *Driver) over() bool { return d.closed.Load() }

// Drive starts a run if something is owed and none is at work. It returns the one at work, nil if nothing is owed.
func (d *Driver) Drive(r Reply) *Run { return d.launch(r, false) }

func (d *Driver) launch(seen Reply, asks bool) *Run {
	p := seen.Payment
	if p == nil || p.Resource != WorkInProgress {
		return nil
	}
	k := book.Key{Tenant: p.Tenant, ID: p.ID}
	d.mu.Lock()
	if d.over() {
		d.mu.Unlock()
		return nil
	}
	if r := d.runs[k]; r != nil {
		if !asks && (r.next == nil || p.Decision > r.next.Decision) {
			r.next = p
		}
		d.mu.Unlock()
		return r
	}
	r := &Run{d: d, key: k, asks: asks, since: d.host.Now()}
	d.runs[k] = r
	d.mu.Unlock()
	if seen.New {
		r.push(p)
	} else {
		r.look(p)
	}
	return r
}

// running reports whether a run is at work on the payment.
func (d *Driver) running(k book.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.runs[k] != nil
}

// Wake looks at a payment again and drives it. then, which may be nil, is called when it has been driven once. While nobody
// knows how it stands it is looked at again: what a start or a sweep comes upon must not be left to the next sweep.
func (d *Driver) Wake(k book.Key, then func()) { d.wake(k, 0, then) }

// wakeTries bounds that to about a minute: who waits for a pass must not wait for one book for ever.
const wakeTries = 64

func (d *Driver) wake(k book.Key, n int, then func()) {
	d.host.Submit(k.ID, Wake{k.Tenant, k.ID}, func(r Reply, err error) {
		if uncertain(err) && n < wakeTries && !d.over() {
			d.host.After(d.pause(n), func() { d.wake(k, n+1, then) })
			return
		}
		var run *Run
		if err == nil && swept(r.Payment) {
			run = d.Drive(r)
		}
		switch {
		case then == nil:
		case run == nil:
			then()
		default:
			run.Then(func(*Payment) { then() })
		}
	})
}

// uncertain reports whether a command may have been done, or can be in a moment, and its book is still ours.
func uncertain(err error) bool {
	return err != nil && tcc.OutcomeOf(err) == tcc.Unknown && !fault.HasCode(err, fault.Fenced) && !fault.HasCode(err, fault.ShuttingDown)
}

// pause is how long to wait before something is submitted again whose answer was lost n+1 times.
func (d *Driver) pause(n int) time.Duration {
	return d.jitter(min(d.timing.Backoff<<min(n, 6), d.timing.BackoffMax))
}

// Probe tries one waiting payment of each participant, unless its breaker rests. Called each Timing.Probe it lets a breaker
// close even if nothing new comes in, and a participant that is back after a trouble too small to open it is noticed within
// seconds, not when the queue has the payment next.
func (d *Driver) Probe() {
	for p, b := range d.breakers {
		if b != nil && (b.wantsProof() || b.isClosed()) {
			d.wakeOne(Participant(p))
		}
	}
}

// wakeOne asks whether the participant answers by now, with one payment that waits for it. If not, nothing is written:
// asking every second for days must not fill the journal, nor keep the queue from waiting longer each time.
func (d *Driver) wakeOne(p Participant) {
	d.mu.Lock()
	k, ok := d.waiting.first(p, func(k book.Key) bool { return d.runs[k] == nil })
	d.mu.Unlock()
	if !ok {
		return
	}
	d.host.Submit(k.ID, Wake{k.Tenant, k.ID}, func(r Reply, err error) {
		switch {
		case err == nil && r.Payment.Resource == WorkInProgress:
			d.launch(r, true)
		case err == nil: // somebody else has ended it: who still waits must not wait for it
			d.mu.Lock()
			d.waiting.remove(k)
			d.mu.Unlock()
		}
	})
}

// turned is called when a participant's breaker opens or closes. When it closes, what waited for it becomes due at once,
// paced.
func (d *Driver) turned(p Participant, open bool) {
	d.host.Turned(p, open)
	if open {
		return
	}
	d.mu.Lock()
	keys := d.waiting.all(p)
	d.mu.Unlock()
	d.DriveAll(keys, func() {})
}

// driveAtOnce bounds how many payments one pass drives at the same time.
const driveAtOnce = 64

// DriveAll looks at payments again and drives them, some at a time. done is called when each was driven once, or the
// driver is closed.
func (d *Driver) DriveAll(keys []book.Key, done func()) {
	if len(keys) == 0 {
		done()
		return
	}
	w := &wave{d: d, keys: keys, done: done}
	w.left.Store(int64(len(keys)))
	for range min(driveAtOnce, len(keys)) {
		w.one()
	}
}

// wave drives many payments, some at a time.
type wave struct {
	d    *Driver
	keys []book.Key
	next atomic.Int64
	left atomic.Int64
	once sync.Once
	done func()
}

func (w *wave) one() {
	n := int(w.next.Add(1)) - 1
	switch {
	case n >= len(w.keys):
	case w.d.over():
		w.once.Do(w.done)
	default:
		w.d.Wake(w.keys[n], func() {
			if w.left.Add(-1) == 0 {
				w.once.Do(w.done)
				return
			}
			w.one()
		})
	}
}
