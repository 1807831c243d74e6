package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// Options say what to simulate.
type Options struct {
	Seeds    int       // worlds, each with a seed of its own; at least 1
	First    uint64    // the first seed
	Payments int       // intents to pay in each world; 0 means DefaultPayments
	Trace    io.Writer // hears every event as a line of text, and keeps the worlds on one thread; nil: nobody does
	Plant    Plant     // what is broken on purpose; the zero value: nothing
	Threads  int       // worlds that live at the same time; 0 means as many as there are processors
	Broken   int       // after how many broken worlds the run ends; 0 means DefaultBroken
	Progress func(Progress)
}

// Progress is how far a run is. It is told after every world, from one goroutine at a time.
type Progress struct{ Schedules, Payments, Violations int }

const (
	// DefaultPayments is how many intents to pay a world has.
	DefaultPayments = 24
	// DefaultBroken is after how many broken worlds a run ends: they say enough.
	DefaultBroken = 20
	// ReplayEvery is of how many worlds one lives twice, to see that both lives are the same.
	ReplayEvery = 100
)

// Result is what came of it. Its JSON form is that of `koban sim`, without the elapsed time.
type Result struct {
	Schedules  int            `json:"schedules"`
	Payments   int            `json:"payments"` // that were accepted
	Reads      int            `json:"reads"`    // answers to queries that were judged
	Replayed   int            `json:"replayed"` // worlds that lived twice
	Violations []Violation    `json:"violations"`
	Anomalies  map[string]int `json:"anomalies"`  // what was reached, and how often
	Unreached  []string       `json:"unreached"`  // what was not; a run of Enough worlds has to reach all (I33)
	Enough     bool           `json:"enough"`     // whether the run is long enough to reach everything
	Terminal   Spread         `json:"terminal"`   // from the end of the faults to the end of each payment that was under way then
	TraceHash  string         `json:"trace_hash"` // over all worlds, in order
}

// Spread says how simulated microseconds are spread.
type Spread struct {
	Count int          `json:"count"`
	P50   clock.Micros `json:"p50_us"`
	P99   clock.Micros `json:"p99_us"`
	P100  clock.Micros `json:"p100_us"`
}

func spread(all []clock.Micros) (s Spread) {
	if s.Count = len(all); s.Count == 0 {
		return s
	}
	slices.Sort(all)
	at := func(percent int) clock.Micros { return all[(len(all)-1)*percent/100] }
	return Spread{len(all), at(50), at(99), at(100)}
}

// A run of so many worlds, with so many intents to pay in all, has to reach every anomaly. With fewer, chance may keep the
// rarest away, and what was not reached does not count against the run.
const (
	EnoughWorlds   = 300
	EnoughPayments = 7200
)

// life is what a world leaves behind.
type life struct {
	seed       uint64
	payments   int
	reads      int
	violations []Violation
	reached    map[string]int
	waits      []clock.Micros
	hash       uint64
	twice      bool
}

// Run simulates. A world that breaks an invariant ends there, and others go on until so many were broken as the options
// say. What it returns depends on the options alone, not on the number of threads.
//
// Errors: fault.InvalidRequest if there is nothing to do.
func Run(o Options) (Result, error) {
	if o.Seeds < 1 || o.Payments < 0 || o.Threads < 0 || o.Broken < 0 {
		return Result{}, fault.InvalidRequest.New("expected at least one seed, and no less than zero payments and threads")
	}
	if o.Payments == 0 {
		o.Payments = DefaultPayments
	}
	if o.Broken == 0 {
		o.Broken = DefaultBroken
	}
	if o.Trace != nil {
		o.Threads = 1
	}
	r := Result{
		Violations: []Violation{}, Anomalies: make(map[string]int), Unreached: []string{},
		Enough: o.Seeds >= EnoughWorlds && o.Seeds*o.Payments >= EnoughPayments,
	}
	for _, a := range Anomalies {
		r.Anomalies[a] = 0
	}
	sum, broken := newTrace(nil), 0
	var waits []clock.Micros
	inOrder(o.Seeds, o.Threads, func(i int) life { return o.live(i) }, func(l life) bool {
		r.add(l)
		waits = append(waits, l.waits...)
		sum.log(int64(l.seed), "%016x", l.hash)
		if len(l.violations) > 0 {
			broken++
		}
		if o.Progress != nil {
			o.Progress(Progress{r.Schedules, r.Payments, len(r.Violations)})
		}
		return broken < o.Broken
	})
	for _, what := range slices.Sorted(maps.Keys(r.Anomalies)) {
		if r.Anomalies[what] == 0 {
			r.Unreached = append(r.Unreached, what)
		}
	}
	r.Terminal, r.TraceHash = spread(waits), sum.sum()
	return r, nil
}

func (r *Result) add(l life) {
	r.Schedules++
	r.Payments += l.payments
	r.Reads += l.reads
	r.Violations = append(r.Violations, l.violations...)
	for what, n := range l.reached {
		r.Anomalies[what] += n
	}
	if l.twice {
		r.Replayed++
	}
}

// live lets the i-th world live, every so often twice.
func (o *Options) live(i int) life {
	l := live(o.First+uint64(i), *o)
	if i%ReplayEvery != 0 || o.Trace != nil {
		return l
	}
	l.twice = true
	if again := live(l.seed, *o); again.hash != l.hash {
		l.violations = append(l.violations, Violation{l.seed, "replay", fmt.Sprintf("one seed gave two histories: %016x and %016x", l.hash, again.hash)})
	}
	return l
}

// live runs one world from its first morning to its end.
func live(seed uint64, o Options) life {
	w := newWorld(seed, o.Plant, o.Trace)
	w.trace("seed %d", seed)
	w.limit += o.Payments * restless / DefaultPayments
	w.mix = drawMix(w.rnd)
	w.procs[0].sweep()
	w.disturb()
	for _, s := range platform {
		s.day(w, o.Payments)
	}
	long := w.mix.pace * clock.Micros(o.Payments)
	w.ends = w.now + long
	w.run(w.now + long*3/4 + w.draw(long/2) + w.draw(settleTime)) // in the middle of things
	w.finish()
	for i := range w.judge.violations {
		w.judge.violations[i].Seed = seed
	}
	return life{
		seed: seed, payments: len(w.judge.standing), reads: w.judge.reads, violations: w.judge.violations, reached: w.reached,
		waits: w.judge.waits, hash: w.tracer.hash.Sum64(),
	}
}
