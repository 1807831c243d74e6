package clock

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of a histogram's buckets; what is longer is in one more.
var Bounds = [...]Micros{
	500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, Second,
	2 * Second, 5 * Second, 10 * Second, 30 * Second, Minute, 10 * Minute, Hour, Day,
}

// Histogram counts how long something took. Its zero value is empty; it is safe for concurrent use.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Int64
	sum     atomic.Int64
}

// Count counts one more.
func (h *Histogram) Count(took Micros) {
	i := 0
	for i < len(Bounds) && took > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(max(took, 0)))
}

// Durations returns what was counted so far.
func (h *Histogram) Durations() (d Durations) {
	for i := range h.buckets {
		d.Buckets[i] = h.buckets[i].Load()
	}
	d.Sum = Micros(h.sum.Load())
	return d
}

// Durations are what a histogram has counted.
type Durations struct {
	Buckets [len(Bounds) + 1]int64 // by Bounds; not summed up
	Sum     Micros
}

// Count returns how many were counted.
func (d *Durations) Count() (n int64) {
	for _, b := range d.Buckets {
		n += b
	}
	return n
}

// Stopwatch measures real time, for figures; no decision may depend on it. What it returns gives what has passed since.
func Stopwatch() func() Micros {
	began := time.Now()
	return func() Micros { return Micros(time.Since(began) / time.Microsecond) }
}
