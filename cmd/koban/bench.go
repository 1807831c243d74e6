package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/proof/bench"
)

type benchCmd struct {
	Mode        string `help:"What to measure: payments in process, payments through the REST API, transfers of the bare ledger, or all." enum:"inproc,rest,ledger,all" default:"all"`
	Store       string `help:"A PostgreSQL to measure instead of SQLite files. A database is made there, and dropped." placeholder:"URL"`
	Concurrency []int  `help:"How many at once; several numbers make several runs. Without it 256, and 2 batches of the ledger." placeholder:"N"`
	Duration    period `help:"How long to measure, each time. Without it everything ends within 50 s." placeholder:"10s"`
	Hot         bool   `help:"Let one merchant take half of all payments."`
	Dir         string `help:"Where to make the temporary folder: on the disk that is to be measured." type:"existingdir" placeholder:"DIR"`
	Payments    int64  `help:"Measure until so many payments are stored, in 30 steps, to see whether a platform becomes slower the longer it runs. Only of payments." placeholder:"N"`
	Keep        bool   `help:"Leave the books of the runs in their folder."`
	Plot        string `help:"Draw what --payments measured, as an SVG picture." type:"path" placeholder:"FILE"`
	Beside      string `help:"A report of another run, written with --json --payments, to draw beside it." type:"existingfile" placeholder:"FILE"`
	CPUProfile  string `name:"cpu-profile" help:"Write a CPU profile of the last run, for go tool pprof." type:"path" placeholder:"FILE"`
	JSON        bool   `name:"json" help:"Print the report as JSON."`
}

// Help explains the figures.
func (*benchCmd) Help() string {
	return `Everything runs in a temporary folder. The bound is what a loop of a few lines reaches that only writes: the same
rows and bytes, in the same transactions. It is measured right after each run, so the ratio holds on a busy machine
where the figures do not. A run counts when it is verified. docs/reference/benchmarks.md says more.`
}

// check returns an error if flags do not go together.
func (x *benchCmd) check() error {
	switch {
	case x.Payments < 0:
		return fmt.Errorf("--payments=%d: expected a positive number", x.Payments)
	case x.Payments > 0 && x.Mode != string(bench.InProcess) && x.Mode != string(bench.REST):
		return fmt.Errorf("--payments measures one kind of run, and the mode is %s: say --mode=inproc or --mode=rest too", x.Mode)
	case x.Payments > 0 && x.Duration > 0:
		return fmt.Errorf("--payments and --duration both say when to end: expected one of them")
	case x.Keep && x.Store != "":
		return fmt.Errorf("--keep with --store: the database of a run is dropped; expected one of them")
	case x.Payments == 0 && (x.Plot != "" || x.Beside != ""):
		return fmt.Errorf("--plot and --beside draw what --payments=N measures: expected that too")
	case x.Beside != "" && x.Plot == "":
		return fmt.Errorf("--beside=%s: expected --plot=FILE too, where both are drawn", x.Beside)
	}
	return cmp.Or(writesOver("--plot", x.Plot, "<svg"), writesOver("--cpu-profile", x.CPUProfile, "\x1f\x8b"))
}

// draw writes the plot of the last run, beside that of an earlier report.
func (x *benchCmd) draw(report *bench.Report) error {
	series := []bench.Series{{Name: "this run", Steps: report.Runs[len(report.Runs)-1].Growth}}
	if x.Beside != "" {
		text, err := os.ReadFile(x.Beside)
		if err != nil {
			return err
		}
		var other bench.Report
		if err := json.Unmarshal(text, &other); err != nil || len(other.Runs) == 0 {
			return fmt.Errorf("--beside=%s: expected a report of koban bench --json --payments=N (%v)", x.Beside, err)
		}
		series = append(series, bench.Series{Name: filepath.Base(x.Beside), Steps: other.Runs[len(other.Runs)-1].Growth})
	}
	f, err := os.Create(x.Plot)
	if err != nil {
		return err
	}
	return errors.Join(bench.Plot(f, series...), f.Close())
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
	if err := x.check(); err != nil {
		return err
	}
	line := &progress{w: c.err}
	config := bench.Config{
		Payments: x.Payments, Keep: x.Keep, StoreURL: x.Store, Dir: x.Dir, Concurrency: x.Concurrency,
		Duration: time.Duration(x.Duration), Hot: x.Hot, CPUProfile: x.CPUProfile, Progress: line.show,
	}
	if x.Mode != "all" {
		config.Modes = []bench.Mode{bench.Mode(x.Mode)}
	}
	report, err := bench.Measure(ctx, config)
	line.clear()
	if err != nil {
		return err
	}
	if x.Plot != "" {
		if err := x.draw(report); err != nil {
			return err
		}
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
	if report.Kept != "" && !x.JSON {
		fmt.Fprintf(c.out, "\nThe books are in %s.\n", report.Kept)
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
		x.printGrowth(w, r.Growth)
		if r.Problem != "" {
			fmt.Fprintf(w, "\n%s, %d at once: %d errors. %s\n", r.Mode, r.Concurrency, r.Errors, w.Bad(term.Clean(r.Problem)))
		}
	}
}

// printGrowth shows how the run went while payments piled up.
func (x *benchCmd) printGrowth(w *term.Writer, steps []bench.Step) {
	if len(steps) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := w.Table(">stored", ">per second", ">CPU each", ">heap", ">resident", ">blocks behind")
	for _, s := range steps {
		t.Row(thousands(s.Stored), thousands(s.PerSecond), strconv.FormatFloat(s.CPU, 'f', 1, 64)+" µs",
			thousands(s.Heap>>20)+" MiB", thousands(s.Resident>>20)+" MiB", thousands(s.Lag))
	}
	t.Print()
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
