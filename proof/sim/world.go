package sim

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Plant breaks one rule on purpose, to see that the judge notices.
type Plant struct {
	TellEarly bool // answers leave before their block is durable (rule B2)
	Stands    bool // a clock that has stepped stops the writing for good (rule B7)
	// Machine replaces the machine of a book, "payment/00" for example.
	Machine func(name string, m book.Machine) book.Machine
}

// World is one platform in one thread.
type World struct {
	agenda
	ctx     context.Context
	rnd     *rand.Rand
	mix     mix
	plant   Plant
	ids     *id.Source
	tracer  *trace
	disk    *disk
	judge   *judge
	volumes int
	names   []string           // of all books
	sides   map[string]service // whose they are
	route   map[string]*host   // the book's last writer
	stale   map[string][]*host
	outages map[string]clock.Micros // books that do not answer, until when
	slow    map[string]clock.Micros // books that answer slowly, until when
	procs   []*process
	sent    uint64                // requests so far
	latest  map[string]uint64     // the last of them that has arrived, by where to
	drives  map[book.Key]*process // who called last for a payment
	reached map[string]int
	town    town
	events  int
	limit   int          // of events: a world that needs more does not come to rest
	over    bool         // the faults have ended, and nobody starts anything new
	ends    clock.Micros // of the last intent
	slept   clock.Micros // so long the machine was suspended in all
	calmAt  clock.Micros // when they ended

	steps int                // of a crash walk: appends and calls so far
	plans map[int]misfortune // of a crash walk: what happens at which step

	leftAt clock.Micros // of a crash walk: when callers hung up who had asked before; 0 if none did
}

const (
	morning    = clock.Micros(1_790_000_000) * clock.Second // when every world begins
	volumes    = 2
	settleTime = 60 * clock.Second // after the faults everything must end within this (I19)
)

// newWorld builds a world with its accounts, without faults until its mix is set.
func newWorld(seed uint64, plant Plant, out io.Writer) *World {
	rnd := rand.New(rand.NewPCG(seed, 0x6b6f62616e)) //nolint:gosec // the chance of a world has to be repeatable
	w := &World{
		agenda: agenda{now: morning}, ctx: context.Background(), rnd: rnd, mix: calm(), plant: plant,
		ids: id.NewSource(noise{rnd.Uint64}), tracer: newTrace(out), volumes: volumes, limit: restless, route: make(map[string]*host),
		stale: make(map[string][]*host), outages: make(map[string]clock.Micros), slow: make(map[string]clock.Micros), reached: make(map[string]int),
		drives: make(map[book.Key]*process), latest: make(map[string]uint64),
	}
	w.judge = newJudge(w)
	w.disk = newDisk(w.landed)
	w.sides = make(map[string]service)
	for _, s := range platform {
		for v := range s.volumes(volumes) {
			name := book.Name(s.name(), v)
			w.names = append(w.names, name)
			w.sides[name] = s
		}
	}
	p := w.start()
	for _, name := range w.names {
		p.open(name, volumeOf(name))
	}
	w.settle()
	w.town.build(w)
	return w
}

func volumeOf(name string) (v int) {
	if _, err := fmt.Sscanf(name[strings.IndexByte(name, '/')+1:], "%d", &v); err != nil {
		panic("sim: " + name + " names no volume")
	}
	return v
}

func isPayment(name string) bool { return strings.HasPrefix(name, "payment/") }

// machine returns a fresh machine for a book.
func (w *World) machine(name string) book.Machine {
	return w.sides[name].machine(volumeOf(name), w.volumes)
}

// landed is told of every block that has become durable.
func (w *World) landed(b *journal.Block) {
	w.judge.landed(b)
	for _, s := range platform {
		s.landed(w, b)
	}
}

// around returns a machine with what is planted around it.
func (w *World) around(name string, m book.Machine) book.Machine {
	if w.plant.Machine == nil {
		return m
	}
	return w.plant.Machine(name, m)
}

func (w *World) trace(format string, args ...any) {
	w.tracer.log(int64(w.now-morning), format, args...)
}

// seen counts something unusual that was reached (I33).
func (w *World) seen(what string) { w.reached[what]++ }

func (w *World) down(name string) bool { return w.outages[name] > w.now }

func (w *World) crashAll() {
	for _, p := range append([]*process(nil), w.procs...) {
		p.crash()
	}
}

// run lets the world live until a time.
func (w *World) run(until clock.Micros) {
	defer func() {
		if p := recover(); p != nil {
			w.judge.fail("no panic", "%v\n%s", p, debug.Stack())
		}
	}()
	slept := w.slept
	for len(w.judge.violations) == 0 && w.step(until+w.slept-slept) {
		if w.events++; w.events == w.limit {
			w.judge.fail("I19", "the world does not come to rest: %d events", w.events)
		}
	}
	w.now = max(w.now, until+w.slept-slept)
}

// restless is far more events than a world of default size needs.
const restless = 200_000

// settle lets one minute pass.
func (w *World) settle() { w.run(w.now + settleTime) }

// again does something every so often, until the faults end; never, if every is 0.
func (w *World) again(every clock.Micros, do func()) {
	if every <= 0 {
		return
	}
	w.after(every/2+w.draw(every), func() {
		if !w.over {
			do()
			w.again(every, do)
		}
	})
}

// disturb plans the faults that come by time: crashes, usurpers, outages, clocks that step.
func (w *World) disturb() {
	any := func() string { return w.names[w.rnd.IntN(len(w.names))] }
	w.again(w.mix.crashEvery, func() {
		if h := w.route[any()]; h != nil && w.chance(500) {
			h.crash()
		} else if h != nil {
			h.p.crash()
		}
	})
	w.again(w.mix.usurpEvery, func() { n := any(); w.usurp(n, volumeOf(n)) })
	w.again(w.mix.outageEvery, func() {
		n, long := any(), w.draw(w.mix.outage)
		switch {
		case isPayment(n):
		case w.chance(300):
			w.seen("participant_slow")
			w.trace("%s is slow", n)
			w.slow[n] = w.now + long
		default:
			w.seen("participant_down")
			w.trace("%s is down", n)
			if w.outages[n] = w.now + long; long >= clock.Hour {
				w.seen("down_for_hours")
			}
		}
	})
	w.again(strayEvery, w.stray)
	w.again(w.mix.stepEvery, func() { w.procs[w.rnd.IntN(len(w.procs))].steps() })
	w.again(w.mix.sleepEvery, func() { w.sleep(span(w.rnd, 3*clock.Second, 6*clock.Hour)) })
}

// finish ends the faults, waits as long as everything may take, and judges what is left; then lets what was authorized
// lapse, points expire and the last message arrive, and judges again.
func (w *World) finish() {
	late := max(w.mix.latest, w.ends-w.now) + w.mix.authorization
	w.over, w.calmAt = true, w.now
	w.mix.peace()
	clear(w.outages)
	clear(w.slow)
	for _, p := range w.procs { // clocks that are wrong are set right; what has slept a moment ago finds out and follows
		p.skew = max(0, p.time.Now()-w.now)
		if !p.dead {
			p.checkClock()
		}
	}
	w.trace("the faults end")
	w.judge.peace()
	if w.mix.noProbe { // the queue alone comes round within the hour
		w.run(w.now + clock.Hour)
	}
	w.settle()
	w.judged(w.judge.ended)
	w.evening()
	w.mix.sweep = clock.Hour
	w.run(w.now + late + clock.Hour)
	w.settle()
	w.judged(w.judge.emptied)
}

// evening lets people pay whose only trouble is that they do not wait for the answer, and holds the platform to its word:
// what was accepted ends promptly, whoever still waits (I19). Where layers of recovery are off, what remains may take longer.
func (w *World) evening() {
	w.trace("the evening begins")
	w.mix.hangUp = 700
	w.judge.longest = 0
	clear(w.stale)
	for range eveningPayments {
		w.after(w.draw(clock.Minute), func() { w.town.charge(w, w.town.order(w)) })
	}
	w.run(w.now + 2*clock.Minute)
	w.judged(func() {
		w.judge.waited()
		if all := !w.mix.noWorker && !w.mix.noQueue && !w.mix.noProbe; all && w.judge.longest > prompt {
			w.judge.fail("I19", "on a quiet evening a payment took %v from acceptance to its end", w.judge.longest.Sub(0))
		}
	})
}

const (
	eveningPayments = 6
	prompt          = 5 * clock.Second // for the most that one payment may take where nothing is wrong
)

// judged runs a verdict once nothing is being written, unless there is one already.
func (w *World) judged(verdict func()) {
	for range 1000 {
		if len(w.judge.violations) > 0 {
			return
		}
		if w.rests() {
			verdict()
			return
		}
		w.run(w.now + 10*clock.Millisecond)
	}
	w.judge.fail("I19", "the books do not come to rest")
}

// rests saves every book, and reports whether the tables hold everything now.
func (w *World) rests() bool {
	for _, name := range w.names {
		if h := w.route[name]; h == nil || h.dead || !h.saveNow() {
			return false
		}
	}
	return true
}
