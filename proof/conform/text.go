package conform

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/koban-pay/koban/internal/term"
)

// shownCalls is how many calls of a failure the terminal shows; the other forms of the report have more.
const shownCalls = 6

// Print tells the report to a person at a terminal.
func (r *Report) Print(w *term.Writer) {
	for _, g := range r.Groups {
		if len(g.Checks) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", w.Bold(g.Name))
		t := w.Table("", "", "")
		for _, c := range g.Checks {
			t.Row(mark(w, c.Status), w.Mark(c.Name), c.What)
		}
		t.Print()
	}
	r.printTiming(w)
	for _, c := range r.Checks() {
		if c.Status == Failed {
			printFailure(w, c)
		}
	}
	r.printNotRun(w)
	fmt.Fprintf(w, "\n%s\n", w.Bold("not examined"))
	for _, what := range r.NotExamined {
		fmt.Fprintf(w.Indent("    "), "%s\n", what)
	}
	verdict := w.Good("It keeps the contract, as far as it was examined.")
	if !r.OK {
		verdict = w.Bad("It does not keep the contract.")
	}
	fmt.Fprintf(w, "\n%s %d checks passed, %d failed, %d not run.\n", verdict, r.Passed, r.Failed, r.NotRun)
}

func mark(w *term.Writer, status string) string {
	switch status {
	case Passed:
		return w.Good("✓ pass")
	case Failed:
		return w.Bad("✗ FAIL")
	default:
		return w.Warn("- not run")
	}
}

func printFailure(w *term.Writer, c Check) {
	fmt.Fprintf(w, "\n%s %s\n", w.Bad("✗ "+c.Name), w.Bold(c.What))
	in := w.Indent("    ")
	for _, line := range strings.Split(c.Found, "\n") {
		fmt.Fprintf(in, "found    %s\n", term.Clean(line))
	}
	fmt.Fprintf(in, "matters  %s\nchange   %s\n", c.Why, c.Fix)
	calls := make([]Call, 0, len(c.Calls))
	for _, x := range c.Calls {
		if x.By != "kit" {
			calls = append(calls, x)
		}
	}
	left := len(calls) - shownCalls
	for i, x := range calls {
		if left > 0 && i >= shownCalls/2 && i < len(calls)-shownCalls/2 {
			continue
		}
		status := x.Status
		if status == "" {
			status = "no answer"
		}
		if x.By == "cut" {
			status += ", which nobody heard"
		}
		fmt.Fprintf(in, "sent     %s %s\n", x.Verb, term.Clean(x.Request))
		fmt.Fprintf(in, "answer   %s %s %s\n", status, term.Clean(x.Answer), w.Dim("→ "+x.Outcome))
	}
	if left > 0 {
		fmt.Fprintf(in, "%s\n", w.Dim(fmt.Sprintf("and %d more calls: see --html FILE or --json FILE", left+c.LeftOut)))
	}
}

// printNotRun says what to give so that the other checks can run, each thing once.
func (r *Report) printNotRun(w *term.Writer) {
	var order []string
	checks := map[string][]string{}
	for _, c := range r.Checks() {
		if c.Status != NotRun {
			continue
		}
		why := c.Found
		if c.Give != "" {
			why += ": " + c.Give
		}
		if checks[why] == nil {
			order = append(order, why)
		}
		checks[why] = append(checks[why], c.Name)
	}
	if len(order) > 0 {
		fmt.Fprintln(w)
	}
	for _, why := range order {
		fmt.Fprintf(w, "%s because %s (%s)\n", w.Warn("not run,"), term.Clean(why), strings.Join(checks[why], ", "))
	}
}

func (r *Report) printTiming(w *term.Writer) {
	if len(r.Timing) == 0 {
		return
	}
	us := func(n int64) string {
		return (time.Duration(n) * time.Microsecond).Round(10 * time.Microsecond).String()
	}
	fmt.Fprintf(w, "\n%s\n", w.Bold("how long answers took"))
	t := w.Table("", ">answers", ">p50", ">p99", ">max", ">after "+us(r.TimeoutMicros))
	for _, x := range r.Timing {
		slow := strconv.Itoa(x.Slow)
		if x.Slow > 0 {
			slow = w.Bad(slow)
		}
		t.Row(x.Verb, strconv.Itoa(x.Calls), us(x.P50), us(x.P99), us(x.Max), slow)
	}
	t.Print()
}
