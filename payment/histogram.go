package payment

import (
	"sync/atomic"

	"github.com/koban-pay/koban/internal/clock"
)

// Bounds are the upper bounds of a histogram's buckets; what is longer is in one more.
var Bounds = [...]clock.Micros{500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, clock.Second,
	2 * clock.Second, 5 * clock.Second, 10 * clock.Second, 30 * clock.Second, clock.Minute, 10 * clock.Minute, clock.Hour, clock.Day}

// histogram counts how long something took.
type histogram struct {
	buckets [len(Bounds) + 1]atomic.Int64
	sum     atomic.Int64
}

func (h *histogram) count(took clock.Micros) {
	i := 0
	for i < len(Bounds) && took > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(max(took, 0)))
}

// Durations are what a histogram has counted.
type Durations struct {
	Buckets [len(Bounds) + 1]int64 // by Bounds; not summed up
	Sum     clock.Micros
}

// Count returns how many were counted.
func (d *Durations) Count() (n int64) {
	for _, b := range d.Buckets {
		n += b
	}
	return n
}

func (h *histogram) durations() (d Durations) {
	for i := range h.buckets {
		d.Buckets[i] = h.buckets[i].Load()
	}
	d.Sum = clock.Micros(h.sum.Load())
	return d
}
