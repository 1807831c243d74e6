package sim

import (
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
	Trace    io.Writer // hears every event as a line of text; nil: nobody does
	Plant    Plant     // what is broken on purpose; the zero value: nothing
}

// DefaultPayments is how many intents to pay a world has.
const DefaultPayments = 24

// Result is what came of it. Its JSON form is that of `koban sim`, without the elapsed time.
type Result struct {
	Schedules  int            `json:"schedules"`
	Payments   int            `json:"payments"` // that were accepted
	Violations []Violation    `json:"violations"`
	Anomalies  map[string]int `json:"anomalies"`  // what was reached, and how often
	Unreached  []string       `json:"unreached"`  // what has to be reached, and was not (I33)
	TraceHash  string         `json:"trace_hash"` // over all worlds, in order
}

// Anomalies are what a run with enough worlds has to reach (I33), or it has proved nothing.
var Anomalies = []string{
	"adopted_tables", "authorization_expired", "book_crash", "breaker_opened", "caller_retried", "caller_vanished", "capture_meets_void",
	"crash_while_in_progress", "declined_operation", "deferred", "duplicate_add", "duplicate_cancel", "duplicate_confirm",
	"duplicate_try", "duplicated_request", "empty_cancel", "failed_" + string(fault.AccountSuspended), "failed_" + string(fault.GaveUp),
	"failed_" + string(fault.InsufficientFunds), "failed_" + string(fault.SessionUsed), "failed_write", "fenced_writer", "gave_up",
	"key_replayed", "key_reused", "key_with_other_body", "landed_in_suspense", "late_try", "lost_reply", "lost_request", "lost_write",
	"participant_down", "process_crash", "refunds_at_once", "stale_request", "suspended_account", "swept", "try_after_deadline",
	"unknown_answer", "voided",
}

// maxBroken is after how many broken worlds a run ends: they say enough.
const maxBroken = 20

// Run simulates. A world that breaks an invariant ends there, and the next begins, until maxBroken were broken.
//
// Errors: fault.InvalidRequest if there is nothing to do.
func Run(o Options) (Result, error) {
	if o.Seeds < 1 || o.Payments < 0 {
		return Result{}, fault.InvalidRequest.New("expected at least one seed, and no less than zero payments")
	}
	if o.Payments == 0 {
		o.Payments = DefaultPayments
	}
	r := Result{Violations: []Violation{}, Anomalies: make(map[string]int)}
	for _, a := range Anomalies {
		r.Anomalies[a] = 0
	}
	sum, broken := newTrace(nil), 0
	for i := 0; i < o.Seeds && broken < maxBroken; i++ {
		seed := o.First + uint64(i)
		w := live(seed, o)
		r.Schedules++
		r.Payments += len(w.judge.standing)
		for what, n := range w.reached {
			r.Anomalies[what] += n
		}
		if len(w.judge.violations) > 0 {
			broken++
		}
		for _, v := range w.judge.violations {
			v.Seed = seed
			r.Violations = append(r.Violations, v)
		}
		sum.log(int64(seed), "%016x", w.tracer.hash.Sum64())
	}
	for _, what := range slices.Sorted(maps.Keys(r.Anomalies)) {
		if r.Anomalies[what] == 0 {
			r.Unreached = append(r.Unreached, what)
		}
	}
	r.TraceHash = sum.sum()
	return r, nil
}

// live runs one world from its first morning to its end.
func live(seed uint64, o Options) *World {
	w := newWorld(seed, o.Plant, o.Trace)
	w.trace("seed %d", seed)
	w.limit += o.Payments * restless / DefaultPayments
	w.mix = drawMix(w.rnd)
	w.procs[0].sweep()
	w.disturb()
	w.town.intend(w, o.Payments)
	w.run(w.now + w.mix.pace*2*clock.Micros(o.Payments) + settleTime)
	w.finish()
	return w
}
