package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/koban-pay/koban/cmd/koban/bench"
	"github.com/koban-pay/koban/cmd/koban/term"
)

type benchCmd struct {
	Mode        string `help:"What to measure: payments in process, payments through the REST API, transfers of the bare ledger, or all." enum:"inproc,rest,ledger,all" default:"all"`
	Store       string `help:"A PostgreSQL to measure instead of SQLite files. A database is made there, and dropped." placeholder:"URL"`
	Concurrency []int  `help:"How many at once; several numbers make several runs. Without it 256, and 2 batches of the ledger." placeholder:"N"`
	Duration    period `help:"How long to measure, each time. Without it everything ends within 50 s." placeholder:"10s"`
	Hot         bool   `help:"Let one merchant take half of all payments."`
	Dir         string `help:"Where to make the temporary folder: on the disk that is to be measured." type:"existingdir" placeholder:"DIR"`
	CPUProfile  string `name:"cpu-profile" help:"Write a CPU profile of the last run, for go tool pprof." type:"path" placeholder:"FILE"`
	JSON        bool   `name:"json" help:"Print the report as JSON."`
}

// Help explains the figures.
func (*benchCmd) Help() string {
	return `Everything runs in a temporary folder. The bound is what a loop of a few lines reaches that only writes: the same
rows and bytes, in the same transactions. It is measured right after each run, so the ratio holds on a busy machine
where the figures do not. A run counts when it is verified. docs/reference/benchmarks.md says more.`
}

// Run measures and prints.
func (x *benchCmd) Run(c *console) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tune(c.env)
	for _, n := range x.Concurrency {
		if n < 1 || n > 10_000 {
			return fmt.Errorf("%d at once: expected 1 to 10,000", n)
		}
	}
	line := &progress{w: c.err}
	config := bench.Config{StoreURL: x.Store, Dir: x.Dir, Concurrency: x.Concurrency,
		Duration: time.Duration(x.Duration), Hot: x.Hot, CPUProfile: x.CPUProfile, Progress: line.show}
	if x.Mode != "all" {
		config.Modes = []bench.Mode{bench.Mode(x.Mode)}
	}
	report, err := bench.Measure(ctx, config)
	line.clear()
	if err != nil {
		return err
	}
	if x.JSON {
		e := json.NewEncoder(c.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(report); err != nil {
			return err
		}
	} else {
		x.print(c.out, report)
	}
	for _, r := range report.Runs {
		if !r.Verified {
			return quiet(exitRefused)
		}
	}
	return nil
}

func (x *benchCmd) print(w *term.Writer, report *bench.Report) {
	m := &report.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, %s %s, one sync %d µs on %s\n\n", term.Clean(m.CPU), m.Cores, m.Go, m.System, m.Kernel, m.SyncP50, m.FileSystem)
	t := w.Table("mode", "store", ">at once", ">done", ">per second", ">p50", ">p99", ">bound", ">of bound", ">CPU each", ">allocs", ">bytes", "books")
	for _, r := range report.Runs {
		mode := string(r.Mode)
		if r.Hot {
			mode += ", hot"
		}
		books := w.Good("verified")
		if !r.Verified {
			books = w.Bad("WRONG")
		}
		t.Row(mode, r.Store, strconv.Itoa(r.Concurrency), thousands(r.Count), w.Bold(thousands(r.PerSecond)), millis(r.P50), millis(r.P99),
			thousands(r.Bound), strconv.FormatFloat(100*r.Ratio, 'f', 0, 64)+" %", strconv.FormatFloat(r.CPU, 'f', 1, 64)+" µs",
			strconv.FormatFloat(r.Allocs, 'f', 1, 64), thousands(int64(r.Bytes)), books)
	}
	t.Print()
	for _, r := range report.Runs {
		if r.Problem != "" {
			fmt.Fprintf(w, "\n%s, %d at once: %d errors. %s\n", r.Mode, r.Concurrency, r.Errors, w.Bad(term.Clean(r.Problem)))
		}
	}
}

// millis writes microseconds for people.
func millis(us int64) string { return strconv.FormatFloat(float64(us)/1000, 'f', 2, 64) + " ms" }

// thousands returns n with a comma before every third digit.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// progress is a line that is written over on a terminal. Elsewhere each step is told once.
type progress struct {
	w    *term.Writer
	last string
}

func (p *progress) show(step, detail string) {
	if p.w.Colour() {
		fmt.Fprintf(p.w, "\r\x1b[K%s %s", step, p.w.Dim(detail))
		return
	}
	if step != p.last {
		p.last = step
		fmt.Fprintln(p.w, step)
	}
}

func (p *progress) clear() {
	if p.w.Colour() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
