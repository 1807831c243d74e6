package sim

import (
	"errors"
	"maps"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
)

// process is one run of the program: its memory goes with it.
type process struct {
	w       *World
	n       int
	dead    bool
	time    *clock.System
	skew    clock.Micros // of its machine's wall clock
	checks  bool         // a clock that has stepped
	hosts   map[string]*host
	drives  *payment.Driver
	probing bool
	idle    int // probes in a row that found nobody to ask
	woken   int // payments that the driver has looked at again
}

func (w *World) start() *process {
	p := &process{w: w, n: len(w.procs), hosts: make(map[string]*host)}
	if w.mix.skew > 0 {
		p.skew = w.draw(2*w.mix.skew) - w.mix.skew
	}
	p.time = clock.NewSystemOn(clock.Machine{Slept: func() clock.Micros { return w.slept }, Read: func() clock.Reading {
		return clock.Reading{Wall: w.now + p.skew, Mono: w.now - w.slept}
	}})
	w.procs = append(w.procs, p)
	return p
}

// clock is the process's own: the wall's at its start, carried on as in production.
func (p *process) clock() clock.Micros { return p.time.Now() }

// lookEvery is how often a process looks at its clock.
const lookEvery = 200 * clock.Millisecond

// checkClock lets the process find out what time it is after a step of its clock (rule B7). Once it knows, what has become due by
// the wall runs. If it never will, it ends.
func (p *process) checkClock() {
	if p.checks {
		return
	}
	p.checks = true
	p.checkOn()
}

func (p *process) checkOn() {
	if p.dead {
		return
	}
	var step *clock.StepError
	switch err := p.time.Steady(); {
	case p.w.plant.Stands: // a fault planted on purpose: it waits for ever
		return
	case err == nil:
		p.checks = false
		for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
			p.hosts[name].ring = 0
			p.hosts[name].due()
		}
	case errors.As(err, &step) && step.Lasting:
		p.w.seen("clock_ends_process")
		p.w.trace("p%d ends: %v", p.n, err)
		p.crash()
	default:
		p.w.after(lookEvery, p.checkOn)
	}
}

// steps lets the wall clock of a process be set wrong by seconds; often somebody sets it right again.
func (p *process) steps() {
	if p.dead {
		return
	}
	w := p.w
	by := -2*clock.Second - w.draw(10*clock.Second)
	if w.chance(300) {
		by = 2*clock.Second + w.draw(2*clock.Second)
	}
	w.seen("clock_stepped")
	w.trace("p%d: the wall clock steps by %v", p.n, by.Sub(0))
	p.skew += by
	p.checkClock()
	if by > 0 || w.chance(500) {
		w.after(w.draw(15*clock.Second), func() { p.skew -= by; p.checkClock() })
	}
}

// sleep suspends the machine that everybody lives on: the wall clock goes on meanwhile, the monotonic one and everything that
// was to happen stand still.
func (w *World) sleep(long clock.Micros) {
	w.seen("machine_slept")
	w.trace("the machine sleeps for %v", long.Sub(0))
	for i := range w.items {
		w.items[i].at += long
	}
	w.now, w.slept, w.ends = w.now+long, w.slept+long, w.ends+long
	for _, p := range w.procs {
		if !p.dead {
			p.checkClock()
		}
	}
}

// crash ends the process as SIGKILL does. Its books are opened elsewhere after a while.
func (p *process) crash() {
	if p.dead {
		return
	}
	w := p.w
	p.dead = true
	w.seen("process_crash")
	if w.judge.unfinished() {
		w.seen("crash_while_in_progress")
	}
	w.trace("p%d dies", p.n)
	fresh := w.start()
	fresh.sweep()
	for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
		h := p.hosts[name]
		h.dead = true
		if w.route[name] == h {
			w.after(clock.Second+w.draw(2*clock.Second), func() {
				if w.route[name] == h {
					w.living(fresh).open(name, h.volume)
				}
			})
		}
	}
}

// reopen opens a book again whose memory was dropped, in the process that had it or, if that is gone, in the newest one.
func (w *World) reopen(name string, volume int) {
	old := w.route[name]
	w.after(w.draw(2*clock.Second), func() {
		if w.route[name] != old {
			return
		}
		w.living(old.p).open(name, volume)
	})
}

// living returns p or, if that has died, the newest process: whoever crashes is replaced by one.
func (w *World) living(p *process) *process {
	if p.dead {
		return w.procs[len(w.procs)-1]
	}
	return p
}

// usurp lets another process open a book that is being written: the one before is fenced at its next write.
func (w *World) usurp(name string, volume int) {
	old := w.route[name]
	if old == nil || old.dead {
		return
	}
	for _, p := range w.procs {
		if !p.dead && p != old.p {
			p.open(name, volume)
			return
		}
	}
	p := w.start()
	p.sweep()
	p.open(name, volume)
}

// cede lets callers find the writer by whom h was overtaken, if they were sent to h.
func (w *World) cede(h *host) {
	if w.route[h.name] != h {
		return
	}
	for _, other := range w.stale[h.name] {
		if !other.dead {
			w.route[h.name] = other
			return
		}
	}
	w.reopen(h.name, h.volume)
}

// pass is recovery layer 3 over one book: it looks at everything that is unfinished, and drives it.
func (p *process) pass(h *host) {
	if p.dead || h.dead || h.core.Ended() != nil {
		return
	}
	if !h.saveNow() { // a write is on its way: the tables cannot hold what is durable just now
		p.w.after(50*clock.Millisecond, func() { p.pass(h) })
		return
	}
	keys := p.w.disk.tables.open(h.volume)
	if len(keys) > 0 {
		p.w.seen("swept")
	}
	p.driver().DriveAll(keys, func() {})
}

// sweep passes over all books from time to time.
func (p *process) sweep() {
	if p.w.mix.noSweep {
		return
	}
	p.w.after(p.w.mix.sweep, func() {
		if p.dead {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(p.hosts)) {
			if h := p.hosts[name]; isPayment(name) {
				p.pass(h)
			}
		}
		p.sweep()
	})
}

// home returns the book that a payment lives in, nil if this process does not have it.
func (p *process) home(k book.Key) *host {
	return p.hosts[book.Name("payment", k.ID.Volume(p.w.volumes))]
}
