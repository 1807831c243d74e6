package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/clock"
)

// load calls a subject from many goroutines, each of which makes its next call when it has the answer to the last.
type load struct {
	*bench
	subject
	callers int
	stage   atomic.Int32
	ended   atomic.Int64 // payments or transfers, while measured; for the progress line
	calls   atomic.Int64 // while measured
}

// The stages of a run.
const (
	warming int32 = iota
	measuring
	stopping
)

// tally is what one run came to.
type tally struct {
	count, errors int64 // while measured
	all           int64 // done in all, the warm-up included
	first         error // the first error
	delays        []uint32
	elapsed       time.Duration
	before, after figures
	cpu           time.Duration
	allocs, bytes uint64
	lag           int64
	growth        []Step
}

func (t *tally) perSecond() float64 { return ratio(float64(t.count), t.elapsed.Seconds()) }

// figures are totals since the subject was opened.
type figures struct {
	commits, blocks, bytes int64 // of the journal
	saves, rows            map[string]int64
	lag                    int64 // the most blocks that any book's tables are behind
}

// caller's own part of the tally.
type share struct {
	count, errors, all int64
	first              error
	delays             []uint32
}

func (l *load) run(ctx context.Context) (*tally, error) {
	shares := make([]share, l.callers)
	var callers sync.WaitGroup
	for i := range shares {
		call, err := l.caller(i)
		if err != nil {
			l.stage.Store(stopping)
			callers.Wait()
			return nil, err
		}
		callers.Go(func() { l.loop(ctx, call, &shares[i]) })
	}
	t := &tally{}
	l.wait(ctx, warmUp, "warming up")
	err := l.profiled(func() { l.measure(ctx, t) })
	l.stage.Store(stopping)
	callers.Wait()
	if err != nil {
		return nil, err
	}
	for i := range shares {
		s := &shares[i]
		t.count, t.errors, t.all = t.count+s.count, t.errors+s.errors, t.all+s.all
		t.delays = append(t.delays, s.delays...)
		if t.first == nil {
			t.first = s.first
		}
	}
	slices.Sort(t.delays)
	return t, ctx.Err()
}

// loop is one caller.
func (l *load) loop(ctx context.Context, call func(context.Context) (int64, error), s *share) {
	for stage := l.stage.Load(); stage != stopping && ctx.Err() == nil; {
		start := l.clk.Now()
		n, err := call(ctx)
		end := l.clk.Now()
		s.all += n
		if stage = l.stage.Load(); stage == measuring {
			s.count += n
			l.ended.Add(n)
			l.calls.Add(1)
			s.delays = append(s.delays, uint32(min(end-start, math.MaxUint32)))
		}
		if err != nil {
			s.errors++
			if s.first == nil {
				s.first = err
			}
			<-clock.Pause(time.Millisecond)
		}
	}
}

// profiled writes a CPU profile of f, if one is wanted.
func (l *load) profiled(f func()) error {
	if l.CPUProfile == "" {
		f()
		return nil
	}
	file, err := os.Create(l.CPUProfile)
	if err != nil {
		return fmt.Errorf("the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(fmt.Errorf("the profile: %w", err), file.Close())
	}
	f()
	pprof.StopCPUProfile()
	return file.Close()
}

func (l *load) measure(ctx context.Context, t *tally) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	t.before = l.figures()
	cpu, start := processTime(), l.clk.Now()
	l.stage.Store(measuring)
	if l.Payments > 0 {
		t.growth = l.grow(ctx)
	} else {
		l.last(ctx)
	}
	l.stage.Store(stopping)
	t.elapsed, t.cpu = l.clk.Now().Sub(start), processTime()-cpu
	t.after = l.figures()
	t.lag = t.after.lag
	runtime.ReadMemStats(&after)
	t.allocs, t.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
}

// last measures for as long as was asked, and until one call has ended.
func (l *load) last(ctx context.Context) {
	for l.wait(ctx, l.Duration, "measuring"); l.calls.Load() == 0 && ctx.Err() == nil; {
		l.wait(ctx, l.Duration, "measuring, until one call has ended,")
	}
}

// wait lets d pass, and tells how it goes.
func (l *load) wait(ctx context.Context, d time.Duration, what string) {
	start := l.clk.Now()
	for ctx.Err() == nil {
		passed := l.clk.Now().Sub(start)
		if passed >= d {
			return
		}
		rate := ""
		if n := l.ended.Load(); n > 0 && passed > 0 {
			rate = ", " + thousands(round(float64(n)/passed.Seconds())) + "/s"
		}
		l.tell(fmt.Sprintf("%s, %d at once", what, l.callers), fmt.Sprintf("%.1f s of %.0f s%s", passed.Seconds(), d.Seconds(), rate))
		select {
		case <-ctx.Done():
		case <-clock.Pause(min(d-passed, 250*time.Millisecond)):
		}
	}
}

// processTime returns the time that all cores spent on this process, the kernel's work for it included.
func processTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // not possible for ourselves
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill sets what follows from the tally.
func (r *Run) fill(t *tally, rowBytes map[string]float64) {
	n := float64(t.count)
	r.PerSecond = round(t.perSecond())
	r.P50, r.P99 = percentile(t.delays, 50), percentile(t.delays, 99)
	r.CPU = tenth(ratio(float64(t.cpu.Nanoseconds())/1e3, n), 100)
	r.Allocs, r.Bytes = tenth(ratio(float64(t.allocs), n), 100), tenth(ratio(float64(t.bytes), n), 100)
	s := shapeOf(t, rowBytes)
	r.Written = Footprint{JournalBytes: tenth(s.blockBytes*s.blocks/s.perCommit, 10), BlocksPerCommit: tenth(s.blocks, 10), PerCommit: tenth(s.perCommit, 10)}
	for _, x := range s.states {
		r.Written.StateRows += x.perOne
		r.Written.StateBytes += x.perOne * x.rowBytes
	}
	r.Written.StateRows, r.Written.StateBytes = tenth(r.Written.StateRows, 100), tenth(r.Written.StateBytes, 10)
}

// percentile returns the value that p of 100 sorted values do not exceed.
func percentile(sorted []uint32, p int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return int64(sorted[max(0, (len(sorted)*p+99)/100-1)])
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func round(x float64) int64 { return int64(math.Round(x)) }

// tenth rounds x to one part in n.
func tenth(x, n float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return math.Round(x*n) / n
}
