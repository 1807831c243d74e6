package bench

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// Step is what a part of a run was like, after so many payments were stored: whether a platform becomes slower the
// longer it runs.
type Step struct {
	Stored    int64   `json:"stored"`         // payments, at the end of the step, since the measuring began
	PerSecond int64   `json:"per_s"`          // in this step
	CPU       float64 `json:"cpu_us"`         // of the whole process, for each payment of this step
	Heap      int64   `json:"heap_bytes"`     // that lives or waits to be collected
	Resident  int64   `json:"resident_bytes"` // of the process; 0 where the system does not say
	Lag       int64   `json:"state_lag_blocks"`
}

// growthSteps is into how many steps a run of a number of payments is divided.
const growthSteps = 30

// grow measures until so many payments are stored, and takes a step each time another part of them is.
func (l *load) grow(ctx context.Context) []Step {
	var out []Step
	every := max(1, l.Payments/growthSteps)
	start, cpu, stored := l.clk.Now(), processTime(), int64(0)
	for ctx.Err() == nil && stored < l.Payments {
		n := l.ended.Load()
		if n >= stored+every {
			now, spent := l.clk.Now(), processTime()
			out = append(out, l.step(n, n-stored, now.Sub(start), spent-cpu))
			start, cpu, stored = now, spent, n
			s := out[len(out)-1]
			l.tell("measuring, "+thousands(n)+" of "+thousands(l.Payments)+" stored", thousands(s.PerSecond)+"/s")
		}
		select {
		case <-ctx.Done():
		case <-clock.Pause(10 * time.Millisecond):
		}
	}
	return out
}

func (l *load) step(stored, n int64, took, cpu time.Duration) Step {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Step{
		Stored: stored, PerSecond: round(ratio(float64(n), took.Seconds())),
		CPU: tenth(ratio(float64(cpu.Nanoseconds())/1e3, float64(n)), 100), Heap: int64(m.HeapAlloc), Resident: resident(),
		Lag: l.figures().lag,
	}
}

// resident returns the bytes of memory that this process has, or 0 where /proc does not say.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text)) // in pages: the size, what is resident, ...
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return n * int64(os.Getpagesize())
}
