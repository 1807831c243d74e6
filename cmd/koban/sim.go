package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/proof/sim"
)

type simCmd struct {
	Seeds    count  `help:"How many worlds to simulate, each with a mix of faults of its own." default:"300" placeholder:"N"`
	Payments count  `help:"Payments in each world." default:"24" placeholder:"N"`
	First    uint64 `name:"first-seed" help:"The seed of the first world; the others follow." default:"1" placeholder:"N"`
	Threads  int    `help:"Worlds that live at the same time; 0 is as many as there are processors." default:"0" placeholder:"N"`
	Walk     bool   `help:"Walk through the crash points of every flow instead: each alone, and each with every point of the recovery from it."`
	Sample   count  `help:"Of the walk's pairs, walk one in N." default:"1" placeholder:"N"`
	Story    string `help:"Walk through this flow alone." placeholder:"NAME"`
	At       string `help:"Tell one flow with these misfortunes, such as 5-before,9-lost." placeholder:"STEPS"`
	Trace    bool   `help:"Tell every event."`
	JSON     bool   `name:"json" help:"Print the outcome as JSON."`
}

// Help says more than one line can.
func (simCmd) Help() string {
	return `The real books, coordinator and participants run on one thread with a simulated clock, network and store, and everything
that can go wrong does: calls and answers that are lost, doubled and late, crashes at any step, a second writer, participants
that are down, callers that vanish and ask again. The invariants are judged after every block. The same seed gives the same
world. docs/internals/simulator.md says how to read a trace.`
}

// Run simulates. It ends with 1 if an invariant was broken, or if a run that is long enough for it did not meet every kind of
// trouble there is.
func (x *simCmd) Run(c *console) error {
	tuneMemory(c.env)
	clk := clock.NewSystem()
	told := &simProgress{line: progress{w: c.err}, clk: clk, began: clk.Now()}
	switch {
	case x.At != "":
		return x.retell(c)
	case x.Walk:
		return x.walk(c, told)
	}
	o := sim.Options{Seeds: int(x.Seeds), First: x.First, Payments: int(x.Payments), Threads: x.Threads}
	if x.Trace {
		o.Trace = c.err
	} else {
		o.Progress = func(p sim.Progress) { told.show(p, int(x.Seeds), "worlds", "payments") }
	}
	r, err := sim.Run(o)
	told.line.clear()
	if err != nil {
		return err
	}
	took := clk.Now().Sub(told.began)
	if x.JSON {
		printJSON(c.out, struct {
			sim.Result
			ElapsedS float64 `json:"elapsed_s"`
		}{r, took.Seconds()})
	} else {
		x.print(c, r, took)
	}
	if len(r.Violations) > 0 || r.Enough && len(r.Unreached) > 0 {
		return quiet(exitRefused)
	}
	return nil
}

func (x *simCmd) print(c *console, r sim.Result, took time.Duration) {
	w := c.out
	t := w.Table("trouble", ">met")
	for _, name := range slices.Sorted(maps.Keys(r.Anomalies)) {
		t.Row(name, strconv.Itoa(r.Anomalies[name]))
	}
	t.Print()
	for _, name := range r.Unreached {
		if r.Enough {
			fmt.Fprintf(w, "%s was never met, so nothing is known about it\n", w.Bad(name))
		} else {
			fmt.Fprintf(w, "%s was not met; a run of %d worlds and %d payments has to\n", w.Warn(name), sim.EnoughWorlds, sim.EnoughPayments)
		}
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "%s %s\n  koban sim --first-seed %d --seeds 1 --payments %d --trace\n", w.Bad(v.Invariant), v.Message, v.Seed, x.Payments)
	}
	verdict := w.Good("no invariant was broken")
	if len(r.Violations) > 0 {
		verdict = w.Bad(fmt.Sprintf("%d invariants were broken", len(r.Violations)))
	}
	fmt.Fprintf(w, "%d payments in %d worlds, %d of which lived twice, and %d answers to queries, in %s (%s): %s.\n", r.Payments, r.Schedules,
		r.Replayed, r.Reads, took.Round(time.Millisecond), rates(r.Schedules, r.Payments, took, "worlds", "payments"), verdict)
	if r.Terminal.Count > 0 {
		fmt.Fprintf(w, "When the faults ended, %d payments were under way. Half of them had ended %s later, the last one %s.\n", r.Terminal.Count,
			span(r.Terminal.P50), span(r.Terminal.P100))
	}
	fmt.Fprintf(w, "Trace %s\n", r.TraceHash)
}

// walk goes the crash walk.
func (x *simCmd) walk(c *console, told *simProgress) error {
	o := sim.WalkOptions{Story: x.Story, Sample: int(x.Sample), Threads: x.Threads}
	o.Progress = func(p sim.Progress) { told.show(p, 0, "worlds", "points") }
	r, err := sim.Walk(o)
	told.line.clear()
	if err != nil {
		return err
	}
	took := told.clk.Now().Sub(told.began)
	if x.JSON {
		printJSON(c.out, struct {
			sim.WalkResult
			ElapsedS float64 `json:"elapsed_s"`
		}{r, took.Seconds()})
	} else {
		printViolations(c, r.Violations)
		fmt.Fprintf(c.out, "%d flows of %d steps: %d single points and %d pairs, in %s: %s.\n", r.Stories, r.Steps, r.Points, r.Pairs,
			took.Round(time.Millisecond), verdictOf(c, len(r.Violations)))
	}
	if len(r.Violations) > 0 {
		return quiet(exitRefused)
	}
	return nil
}

// retell tells one flow with misfortunes.
func (x *simCmd) retell(c *console) error {
	var trace io.Writer
	if x.Trace {
		trace = c.err
	}
	found, err := sim.Retell(x.Story, x.At, sim.Plant{}, trace)
	if err != nil {
		return err
	}
	printViolations(c, found)
	fmt.Fprintf(c.out, "%s with %s: %s.\n", x.Story, x.At, verdictOf(c, len(found)))
	if len(found) > 0 {
		return quiet(exitRefused)
	}
	return nil
}

func printViolations(c *console, found []sim.Violation) {
	for _, v := range found {
		fmt.Fprintf(c.out, "%s %s\n", c.out.Bad(v.Invariant), v.Message)
	}
}

func verdictOf(c *console, violations int) string {
	if violations > 0 {
		return c.out.Bad(fmt.Sprintf("%d times it did not come through", violations))
	}
	return c.out.Good("all came through")
}

// simProgress tells how far a run is: always on a terminal, and every few seconds elsewhere.
type simProgress struct {
	line  progress
	clk   clock.Clock
	began clock.Micros
	last  clock.Micros
}

func (s *simProgress) show(p sim.Progress, of int, worlds, things string) {
	now, every := s.clk.Now(), 10*clock.Second
	if s.line.w.Colour() {
		every = clock.Second / 4
	}
	if now-max(s.last, s.began) < every {
		return
	}
	s.last = now
	done := strconv.Itoa(p.Schedules)
	if of > 0 {
		done += fmt.Sprintf(" of %d", of)
	}
	text := fmt.Sprintf("%s %s, %d %s, %d violations, %s", done, worlds, p.Payments, things, p.Violations,
		rates(p.Schedules, p.Payments, now.Sub(s.began), worlds, things))
	if s.line.w.Colour() {
		s.line.show("simulating", text)
		return
	}
	fmt.Fprintln(s.line.w, text)
}

func rates(schedules, payments int, took time.Duration, worlds, things string) string {
	per := func(n int) int64 { return int64(n) * int64(time.Second) / max(1, int64(took)) }
	return fmt.Sprintf("%d %s and %d %s a second", per(schedules), worlds, per(payments), things)
}

// span writes simulated time.
func span(m clock.Micros) string { return m.Sub(0).Round(time.Millisecond).String() }
