package payment

import (
	"context"
	"math"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// Recovery has three layers, each able to heal alone: the driver's own retries, the queue (due times in the book), and
// the sweep here over everything WORK_IN_PROGRESS. A breaker per participant fails fast meanwhile.

const (
	sweepPage = 500
	sweepRest = 5 * clock.Minute // the hourly sweep leaves alone what moved this recently
)

// Recover drives everything that a crash or a stop left unfinished, paced, and then keeps sweeping. It returns when
// the first pass has been started for every volume; the rest goes on in the background until Close.
func (s *Service) Recover(ctx context.Context) error {
	if s.Sync != nil {
		if err := s.Sync(ctx); err != nil {
			return err
		}
	}
	if s.over() {
		return fault.ShuttingDown.New("")
	}
	s.work.Go(func() {
		if !s.Layers.NoQueue { // what waited becomes due at once
			s.pass(s.life, anyTime)
		}
		s.sweep()
	})
	s.work.Go(s.probe)
	if !s.Layers.NoSweep {
		s.work.Go(s.watch)
	}
	return nil
}

func (s *Service) sweep() {
	if s.Layers.NoSweep {
		return
	}
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.Clock.After(s.Timing.Sweep):
			s.pass(s.life, s.Clock.Now()-sweepRest)
			s.alert(s.life)
		}
	}
}

// Sweep makes one pass of recovery layer 3 over every payment that is WORK_IN_PROGRESS, and returns when each of them
// was driven once. It needs no queue and no due time.
func (s *Service) Sweep(ctx context.Context) {
	s.pass(ctx, anyTime)
	s.alert(ctx)
}

// anyTime lets a pass have everything, also what a process wrote whose clock was ahead of ours.
const anyTime clock.Micros = math.MaxInt64

// pass drives everything that is unfinished and has not moved since before.
func (s *Service) pass(ctx context.Context, before clock.Micros) {
	s.lookout.passing.Add(1)
	defer s.lookout.passing.Add(-1)
	slots := make(chan struct{}, driveAtOnce)
	for v := range s.Books {
		var after book.Key
		for ctx.Err() == nil {
			keys, err := s.tables.open(ctx, v, before, after, sweepPage)
			if err != nil {
				s.Log.Warn("the sweep cannot read the payments; it tries again next time", "error", err)
				break
			}
			for _, k := range keys {
				s.sweepOne(ctx, k, slots)
			}
			if len(keys) < sweepPage {
				break
			}
			after = keys[len(keys)-1]
		}
	}
	drain(ctx, slots)
}

// alert tells of payments that a person has to look at: those that no layer could end in three days, and those of which
// something stands in suspense.
func (s *Service) alert(ctx context.Context) {
	s.tellSuspended(ctx)
	n, err := s.tables.overdue(ctx, s.Clock.Now()-overdueAfter)
	if err != nil {
		s.Log.Warn("overdue payments cannot be counted; they are again next time", "error", err)
		return
	}
	if s.overdue.Store(n); n > 0 {
		s.Log.Error("payments have been unfinished for more than three days; look at them with koban explain", "count", n)
	}
}

// sweepOne drives one payment, after waiting for a free slot.
func (s *Service) sweepOne(ctx context.Context, k book.Key, slots chan struct{}) {
	select {
	case slots <- struct{}{}:
		s.Wake(k, func() { <-slots })
	case <-ctx.Done():
	}
}

// drain waits until every slot is free again.
func drain(ctx context.Context, slots chan struct{}) {
	for range cap(slots) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// probe tries one waiting payment of each participant now and then.
func (s *Service) probe() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.Clock.After(s.Timing.Probe):
			s.Probe()
		}
	}
}
