package main

import (
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/sim"
)

type simCmd struct {
	Seeds    int    `help:"How many worlds to simulate, each with a mix of faults of its own." default:"200" placeholder:"N"`
	Payments int    `help:"Payments in each world." default:"24" placeholder:"N"`
	First    uint64 `name:"first-seed" help:"The seed of the first world; the others follow." default:"1" placeholder:"N"`
	Trace    bool   `help:"Tell every event."`
	JSON     bool   `name:"json" help:"Print the outcome as JSON."`
}

// Help says more than one line can.
func (simCmd) Help() string {
	return `The real books, coordinator and participants run on one thread with a simulated clock, network and store, and everything
that can go wrong does: calls and answers that are lost, doubled and late, crashes at any step, a second writer, participants
that are down, callers that vanish and ask again. The invariants are judged as it goes. The same seed gives the same world.`
}

// Run simulates. It ends with 1 if an invariant was broken, or if the run did not meet every kind of
// trouble there is.
func (x *simCmd) Run(c *console) error {
	o := sim.Options{Seeds: x.Seeds, First: x.First, Payments: x.Payments}
	if x.Trace {
		o.Trace = c.err
	}
	clk := clock.NewSystem()
	began := clk.Now()
	r, err := sim.Run(o)
	if err != nil {
		return err
	}
	took := clk.Now().Sub(began)
	if x.JSON {
		printJSON(c.out, struct {
			sim.Result
			ElapsedS float64 `json:"elapsed_s"`
		}{r, took.Seconds()})
	} else {
		x.print(c, r, took)
	}
	if len(r.Violations) > 0 || len(r.Unreached) > 0 {
		return quiet(exitRefused)
	}
	return nil
}

func (x *simCmd) print(c *console, r sim.Result, took time.Duration) {
	w := c.out
	names := make([]string, 0, len(r.Anomalies))
	for name := range r.Anomalies {
		names = append(names, name)
	}
	sort.Strings(names)
	t := w.Table("trouble", ">met")
	for _, name := range names {
		t.Row(name, strconv.Itoa(r.Anomalies[name]))
	}
	t.Print()
	for _, name := range r.Unreached {
		fmt.Fprintf(w, "%s was never met: simulate more seeds\n", w.Warn(name))
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "%s %s\n  koban sim --first-seed %d --seeds 1 --payments %d --trace\n", w.Bad(v.Invariant), v.Message, v.Seed, x.Payments)
	}
	verdict := w.Good("no invariant was broken")
	if len(r.Violations) > 0 {
		verdict = w.Bad(fmt.Sprintf("%d invariants were broken", len(r.Violations)))
	}
	fmt.Fprintf(w, "%d payments in %d worlds, in %s: %s. Trace %s\n", r.Payments, r.Schedules, took.Round(time.Millisecond), verdict, r.TraceHash)
}
