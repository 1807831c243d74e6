package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// Mode names what is measured.
type Mode string

// The modes.
const (
	InProcess Mode = "inproc" // payments, by calls of the payment service
	REST      Mode = "rest"   // payments, by HTTP over the loopback interface; the client runs on the same cores
	Ledger    Mode = "ledger" // transfers of the ledger, in batches
)

// Config says what to measure. What is zero is chosen so that the whole ends within 50 seconds.
type Config struct {
	Modes       []Mode
	StoreURL    string        // of PostgreSQL, where a database is made and dropped; "" means SQLite files
	Dir         string        // where the temporary folder is made; "" means the system's place
	Concurrency []int         // how many callers at once, one run for each
	Duration    time.Duration // of each run, without its warm-up
	Customers   int           // of a platform; 10,000
	Hot         bool          // one merchant takes half of all payments; of the ledger, one account
	Payments    int64         // measure until so many are stored, however long it takes; 0 means for Duration
	Keep        bool          // leave the books where they are, for whoever wants to look at them; not on PostgreSQL

	CPUProfile string // a file for the CPU profile of what is measured in the last run; "" for none

	// Progress is told what goes on, several times a second: the step, and how far it is, if that can be said. May be nil.
	Progress func(step, detail string)
	// Done is told each run as it ends. May be nil.
	Done func(Run)
}

// Report is what was measured.
type Report struct {
	Machine Host  `json:"machine"`
	Runs    []Run `json:"runs"`

	Kept string `json:"kept,omitempty"` // the folder with the books, one for each mode; "" if they are gone
}

// Run is one row of the report. What is "per one" is per payment, in the mode ledger per transfer.
type Run struct {
	Mode        Mode   `json:"mode"`
	Store       string `json:"store"` // sqlite or postgres
	Concurrency int    `json:"concurrency"`
	Hot         bool   `json:"hot"`

	Count     int64   `json:"count"`       // finished while it was measured
	Errors    int64   `json:"errors"`      // not finished as they should
	PerSecond int64   `json:"per_s"`       //
	P50       int64   `json:"p50_us"`      // of one call: a payment, or a batch of transfers
	P99       int64   `json:"p99_us"`      //
	Bound     int64   `json:"bound_per_s"` // what the loop that only writes can do
	Ratio     float64 `json:"ratio"`       // per_s / bound_per_s
	CPU       float64 `json:"cpu_us"`      // of the whole process, per one: all cores together
	Allocs    float64 `json:"allocs"`      // per one
	Bytes     float64 `json:"bytes"`       // allocated, per one
	Verified  bool    `json:"verified"`    // the books it left behind hold
	Lag       int64   `json:"state_lag_blocks"`

	Problem string    `json:"problem,omitempty"` // the first error, or what does not hold
	Written Footprint `json:"written"`
	Growth  []Step    `json:"growth,omitempty"` // of a run that was to store a number of payments
}

// Footprint is what the run wrote, per one unless it says otherwise.
type Footprint struct {
	JournalBytes    float64 `json:"journal_bytes"`
	BlocksPerCommit float64 `json:"blocks_per_commit"`
	PerCommit       float64 `json:"per_commit"` // payments, or transfers, that share one sync
	StateRows       float64 `json:"state_rows"`
	StateBytes      float64 `json:"state_bytes"`
}

// Time a run takes besides its duration: to make customers, to warm up, for the bound, to verify.
const (
	budget        = 46 * time.Second
	overhead      = 9 * time.Second
	warmUp        = time.Second
	boundTime     = 1500 * time.Millisecond
	longest       = 4 * time.Second
	shortest      = time.Second
	callers       = 256
	manyCustomers = 10_000
	ledgerOnes    = 2 // batches at once: one is decided while one is written
)

// Measure does all runs. A run that finds the books wrong is reported, not returned as an error.
func Measure(ctx context.Context, c Config) (*Report, error) {
	clk := clock.NewSystem()
	start := clk.Now()
	if len(c.Modes) == 0 {
		c.Modes = []Mode{InProcess, REST, Ledger}
	}
	c.Customers = cmp.Or(c.Customers, manyCustomers)
	dir, err := os.MkdirTemp(c.Dir, "koban-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if !c.Keep {
		defer func() { _ = os.RemoveAll(dir) }() // what stays is in a folder for what is temporary
	}
	host, err := describe(dir, clk)
	if err != nil {
		return nil, err
	}
	out := &Report{Machine: *host, Runs: []Run{}}
	if c.Keep {
		out.Kept = dir
	}
	for i, mode := range c.Modes {
		b := &bench{Config: c, clk: clk, mode: mode, dir: dir}
		if b.Duration == 0 {
			left := (budget-clk.Now().Sub(start))/time.Duration(len(c.Modes)-i) - overhead
			b.Duration = min(max(left, shortest), longest)
		}
		if err := b.all(ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", mode, err)
		}
		out.Runs = append(out.Runs, b.runs...)
	}
	return out, nil
}

// bench is the runs of one mode, all on one platform.
type bench struct {
	Config
	clk  clock.Clock
	mode Mode
	dir  string
	runs []Run
}

// subject is what is measured.
type subject interface {
	// caller returns a function that does one unit of work, and returns how many payments or transfers that was. It is
	// used by one goroutine.
	caller(n int) (func(context.Context) (int64, error), error)
	// figures returns what has been written so far.
	figures() figures
	// rowBytes returns how large a row of each service is, on average.
	rowBytes(ctx context.Context) (map[string]float64, error)
	// verify returns nil if the books hold, given that so many payments or transfers were done in all.
	verify(ctx context.Context, done int64) error
	close(ctx context.Context) error
}

func (b *bench) all(ctx context.Context) (err error) {
	place, err := b.place(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.remove()) }()
	open, levels := b.openPlatform, b.Concurrency
	if b.mode == Ledger {
		open = b.openLedger
	}
	switch {
	case len(levels) > 0:
	case b.mode == Ledger:
		levels = []int{ledgerOnes}
	default:
		levels = []int{callers}
	}
	s, err := open(ctx, place)
	if err != nil {
		return err
	}
	done := int64(0)
	for _, n := range levels {
		run, err := b.one(ctx, s, place, n, &done)
		if err != nil {
			return closed(ctx, s, err)
		}
		b.runs = append(b.runs, *run)
		if b.Done != nil {
			b.Done(*run)
		}
	}
	return closed(ctx, s, nil)
}

func closed(ctx context.Context, s subject, err error) error {
	if bad := s.close(ctx); err == nil {
		return bad
	}
	return err
}

// one measures, then verifies, then measures the bound.
func (b *bench) one(ctx context.Context, s subject, at *place, n int, done *int64) (*Run, error) {
	l := &load{bench: b, subject: s, callers: n}
	t, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	*done += t.all
	run := &Run{
		Mode: b.mode, Store: at.engine(), Concurrency: n, Hot: b.Hot,
		Count: t.count, Errors: t.errors, Lag: t.lag, Growth: t.growth,
	}
	if t.first != nil {
		run.Problem = t.first.Error()
	}
	b.tell("verifying the books", "")
	if err := s.verify(ctx, *done); err != nil {
		run.Problem = err.Error()
	} else {
		run.Verified = true
	}
	size, err := s.rowBytes(ctx)
	if err != nil {
		return nil, err
	}
	run.fill(t, size)
	if t.count > 0 {
		b.tell("measuring the bound", "")
		bound, err := at.bound(ctx, shapeOf(t, size), boundTime)
		if err != nil {
			return nil, err
		}
		run.Bound, run.Ratio = round(bound), tenth(ratio(t.perSecond(), bound), 1000)
	}
	return run, nil
}

// tell reports progress.
func (b *bench) tell(step, detail string) {
	if b.Progress != nil {
		b.Progress(fmt.Sprintf("%s: %s", b.mode, step), detail)
	}
}
