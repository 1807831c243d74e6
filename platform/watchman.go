package platform

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/judge/verify"
	"github.com/koban-pay/koban/judge/watch"
)

// guard lets the watchman judge the books while the platform runs.
func (a *App) guard(context.Context) error {
	if a.Watchman.Off {
		a.Log.Warn("nobody judges the books while this platform runs", "next", "run koban verify now and then, or start without --judge-every off")
		return nil
	}
	services := map[string]*store.DB{}
	for name, s := range a.shelves {
		services[name] = s.db
	}
	a.watchman = watch.New(watch.Config{
		Journal: a.Journal, Services: services, Volumes: a.constants.volumes, IDs: a.IDs,
		Clock: a.Clock, Log: a.Log, Pace: a.Config.Watchman, Temp: a.Data,
	})
	a.onStop(func(context.Context) error { a.watchman.Close(); return nil })
	return nil
}

// degraded says which invariants the watchman found not to hold.
func (a *App) degraded() []string {
	if a.watchman == nil {
		return nil
	}
	return a.watchman.Violated()
}

var (
	judgeOnDesc    = describe("judge_on", "1 if the watchman judges the books, 0 if that was switched off.")
	judgeRestDesc  = describe("judge_rest_seconds", "How long the watchman rests between two sweeps, as it was set.")
	judgeShareDesc = describe("judge_share_percent", "How much of one core the watchman may take, as it was set.")
	judgedDesc     = describe("judge_blocks_total", "Blocks that the watchman has judged.")
	judgeLagDesc   = describe("judge_lag_blocks", "Durable blocks that the watchman has not judged, at his last look.")
	comparedDesc   = describe("judge_rows_total", "Rows of the state tables that the watchman has compared with the journal.")
	sweepsDesc     = describe("judge_sweeps_total", "Times that every row of every table was compared.")
	sweepAgeDesc   = describe("judge_sweep_age_seconds", "Age of the last complete sweep; -1 before the first.")
	judgeFullDesc  = describe("judge_full", "1 if the books were judged from their first blocks on, 0 while the tables are believed as the process found them.")
	judgeKeptDesc  = describe("judge_kept", "What the watchman keeps in memory, by kind.", "kind")
	unjudgedDesc   = describe("judge_rows_unremembered_total", "Rows that ended and that there was no room to remember.")
	violationsDesc = describe("judge_violations_total", "Violations that the watchman has found, by invariant. Must be 0.", "invariant")
)

// watchmans reports what the watchman has done and found.
func (f figures) watchmans(total, now func(*prometheus.Desc, int64, ...string)) {
	now(judgeOnDesc, flag(f.app.watchman != nil))
	if f.app.watchman == nil {
		return
	}
	pace := f.app.watchman.Pace
	now(judgeRestDesc, int64(pace.Rest.Seconds()))
	now(judgeShareDesc, int64(pace.Share))
	s := f.app.watchman.Stats()
	total(judgedDesc, s.Blocks)
	now(judgeLagDesc, s.Lag)
	total(comparedDesc, s.Rows)
	total(sweepsDesc, s.Sweeps)
	age := int64(-1)
	if s.Age >= 0 {
		age = int64(s.Age.Seconds())
	}
	now(sweepAgeDesc, age)
	now(judgeFullDesc, flag(s.Full))
	for kind, n := range map[string]int{
		"accounts": s.Kept.Accounts, "branches": s.Kept.Branches, "payments": s.Kept.Payments,
		"ended": s.Kept.Ended, "rows": s.Kept.Rows,
	} {
		now(judgeKeptDesc, int64(n), kind)
	}
	total(unjudgedDesc, s.Kept.Dropped)
	for _, invariant := range verify.Invariants() {
		total(violationsDesc, s.Violations[invariant], invariant)
		delete(s.Violations, invariant)
	}
	for invariant, n := range s.Violations {
		total(violationsDesc, n, invariant)
	}
}
