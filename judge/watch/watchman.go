package watch

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/judge"
)

// Pace says how much of the machine the watchman may take. All may be left at zero.
type Pace struct {
	Off    bool          // nobody watches
	Share  int           // percent of one core; 0: 5
	Rest   time.Duration // between two sweeps; 0: 5 s
	Alone  uint64        // how many blocks one book is followed ahead of the others, at most; 0: 1,000
	Replay uint64        // the most blocks that are judged from the beginning before anything is compared; 0: 50,000
}

func (p *Pace) fill() {
	if p.Share <= 0 || p.Share > 100 {
		p.Share = 5
	}
	if p.Alone == 0 {
		p.Alone = 1000
	}
	if p.Rest <= 0 {
		p.Rest = 5 * time.Second
	}
	if p.Replay == 0 {
		p.Replay = 50_000
	}
}

// Config says what is watched.
type Config struct {
	Journal  *journal.Journal
	Services map[string]*store.DB // where each service keeps its state tables
	Volumes  int
	IDs      *id.Codec
	Clock    clock.Clock // the platform's, which stamps blocks
	Log      *slog.Logger
	Pace     Pace
	Temp     string // the folder for temporary files, where accounts go that are not in use; "" keeps all in memory
}

// Stats is what the watchman has done and found.
type Stats struct {
	Blocks     int64            // judged
	Lag        int64            // blocks that are durable and not judged, at the last look
	Alone      uint64           // the most blocks that one book was followed ahead of the others
	Rows       int64            // compared
	Sweeps     int64            // complete ones
	Age        time.Duration    // since the last complete sweep began; below 0: there was none
	Violations map[string]int64 // by invariant
	Full       bool             // everything is judged from the first block on; else the tables are believed as the process found them
	Kept       judge.Size
}

// Watchman watches one platform. It is safe for concurrent use.
type Watchman struct {
	Config
	stop context.CancelFunc
	done chan struct{}

	real clock.Clock // the machine's, which paces the work

	mu    sync.Mutex
	stats Stats
	swept clock.Micros // when the last complete sweep began; 0: there was none
	told  map[string]bool

	// What follows belongs to the goroutine.
	looking  bool // the books are being followed to their heads
	beat     *beat
	full     *beat // judges from the beginning beside beat, until it has caught up; nil: beat does
	resumed  clock.Micros
	began    clock.Micros // when the sweep under way began; 0: none is
	looked   clock.Micros // when the journal was looked at last
	stood    clock.Micros // when the rows on which value stands were shown last
	standing clock.Micros // how long that took
	trouble  error
}

// New returns a watchman who watches until Close.
func New(c Config) *Watchman {
	c.Pace.fill()
	ctx, stop := context.WithCancel(context.Background())
	w := &Watchman{Config: c, real: clock.NewSystem(), stop: stop, done: make(chan struct{}), told: map[string]bool{}}
	w.stats.Violations = map[string]int64{}
	go w.run(ctx)
	return w
}

// Close lets the watchman go home, and waits until he has.
func (w *Watchman) Close() {
	w.stop()
	<-w.done
}

// Stats returns what was done and found.
func (w *Watchman) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	if s.Age = -1; w.swept > 0 {
		s.Age = w.real.Now().Sub(w.swept)
	}
	s.Violations = make(map[string]int64, len(w.stats.Violations))
	for k, n := range w.stats.Violations {
		s.Violations[k] = n
	}
	return s
}

// Violated returns the invariants that were found not to hold, in order; none: all is well. It stays until
// the process ends: a person has to look.
func (w *Watchman) Violated() []string {
	var out []string
	for k := range w.Stats().Violations {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (w *Watchman) count(f func(*Stats)) {
	w.mu.Lock()
	f(&w.stats)
	w.mu.Unlock()
}

// maxTold is how many different violations are logged; all are counted.
const maxTold = 1000

// found counts a violation, and logs it the first time. The same row is found wrong in every sweep: it
// counts once.
func (w *Watchman) found(v judge.Violation) {
	if w.sound() != nil {
		return // what the judge misses may stand in a temporary file that cannot be read
	}
	what, _, _ := strings.Cut(v.Message, " is ")
	key := v.Invariant + "|" + v.Book + "|" + v.Subject + "|" + what
	w.mu.Lock()
	known, full := w.told[key], len(w.told) >= maxTold
	if !known && !full {
		w.told[key] = true
	}
	if !known {
		w.stats.Violations[v.Invariant]++
	}
	w.mu.Unlock()
	if !known && !full {
		w.Log.Error("the books are not right", "invariant", v.Invariant, "book", v.Book, "block", v.Seq, "subject", v.Subject, "found", v.Message,
			"next", "payments go on; copy the data folder or dump the database before anything is changed, then run koban verify")
	}
}

// run watches until ctx ends.
func (w *Watchman) run(ctx context.Context) {
	defer close(w.done)
	defer w.leave()
	for ctx.Err() == nil {
		w.resumed = w.real.Now()
		err := w.sweep(ctx)
		if bad := w.sound(); bad != nil {
			w.leave()
			err = bad
		}
		w.report(ctx, err)
		select {
		case <-ctx.Done():
		case <-clock.Pause(w.Pace.Rest):
		}
	}
}

// report says when the watchman cannot watch, and when he can again.
func (w *Watchman) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && w.trouble == nil:
		w.Log.Warn("the books cannot be watched; it is tried again", "error", err)
	case err == nil && w.trouble != nil:
		w.Log.Info("the books are watched again")
	}
	if ctx.Err() == nil {
		w.trouble = err
	}
}

// A sweep that has taken long rests no longer than this between two pieces of work.
const (
	late    = 15 * clock.Second
	hurried = 10 * clock.Millisecond
)

// pace lets others go first: it rests so long that work was only the share of the time.
func (w *Watchman) pace(ctx context.Context) error {
	const least, most = clock.Millisecond, clock.Second // the clock may jump
	now := w.real.Now()
	worked := min(max(now-w.resumed, 0), most)
	rest := worked * clock.Micros(100-w.Pace.Share) / clock.Micros(w.Pace.Share)
	if w.began > 0 && now-w.began > late { // on a slow machine, or far from its database, a small platform must be seen whole in time, too
		rest = min(rest, hurried)
	}
	if rest < least {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
	case <-clock.Pause(time.Duration(rest) * time.Microsecond):
	}
	w.resumed = w.real.Now()
	return ctx.Err()
}
