package payment

import (
	"context"
	"math"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
)

// Recovery has three layers, each able to heal alone: the driver's own retries, the queue (due times in the book), and
// the sweep here over everything WORK_IN_PROGRESS. A breaker per participant fails fast meanwhile.

const (
	sweepPage   = 500
	sweepAtOnce = 64               // payments driven at the same time by one pass
	sweepRest   = 5 * clock.Minute // the hourly sweep leaves alone what moved this recently
)

// Recover drives everything that a crash or a stop left unfinished, paced, and then keeps sweeping. It returns when
// the first pass has been started for every volume; the rest goes on in the background until Close.
func (s *Service) Recover(ctx context.Context) error {
	if s.Sync != nil {
		if err := s.Sync(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return fault.ShuttingDown.New("")
	}
	s.work.Add(2)
	go func() {
		defer s.work.Done()
		if !s.Layers.NoQueue { // what waited becomes due at once
			s.pass(s.life, anyTime)
		}
		s.sweep()
	}()
	go func() {
		defer s.work.Done()
		s.probe()
	}()
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
	slots := make(chan struct{}, sweepAtOnce)
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
	drain(slots)
}

// alert tells of payments that no layer could end in three days: a person has to look.
func (s *Service) alert(ctx context.Context) {
	n, err := s.tables.overdue(ctx, s.Clock.Now()-overdueAfter)
	if err != nil {
		s.Log.Warn("overdue payments cannot be counted; they are again next time", "error", err)
		return
	}
	if s.counts.overdue.Store(n); n > 0 {
		s.Log.Error("payments have been unfinished for more than three days; look at them with koban explain", "count", n)
	}
}

// sweepOne drives one payment, after waiting for a free slot.
func (s *Service) sweepOne(ctx context.Context, k book.Key, slots chan struct{}) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	go func() {
		defer func() { <-slots }()
		if at := s.wake(ctx, k); at != nil {
			select {
			case <-at.done:
			case <-s.life.Done():
			}
		}
	}()
}

// drain waits until every slot is free again.
func drain(slots chan struct{}) {
	for range cap(slots) {
		slots <- struct{}{}
	}
}

// probe tries one waiting payment of each participant at a time, unless its breaker rests: so a breaker can close even if
// nothing new comes in, and a participant that is back after a trouble too small to open it is noticed within seconds,
// not when the queue has the payment next.
func (s *Service) probe() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.Clock.After(s.Timing.Probe):
		}
		for p, b := range s.breakers {
			if b.wantsProof() || b.isClosed() {
				s.wakeOne(p)
			}
		}
	}
}

// wakeOne asks whether the participant answers by now, with one payment that waits for it. If not, nothing is written:
// asking every second for days must not fill the journal, nor keep the queue from waiting longer each time.
func (s *Service) wakeOne(p Participant) {
	if k, ok := s.oneWaiting(p); ok {
		if r, err := s.do(s.life, k.ID, Wake{k.Tenant, k.ID}); err == nil {
			s.launch(r, true)
		}
	}
}

func (s *Service) oneWaiting(p Participant) (book.Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, who := range s.waiting {
		if who == p && s.runs[k] == nil {
			return k, true
		}
	}
	return book.Key{}, false
}

// closed is called when a participant's breaker closes: what waited for it becomes due at once, paced.
func (s *Service) closed(p Participant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return
	}
	var keys []book.Key
	for k, who := range s.waiting {
		if who == p {
			keys = append(keys, k)
		}
	}
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		slots := make(chan struct{}, sweepAtOnce)
		for _, k := range keys {
			s.sweepOne(s.life, k, slots)
		}
		drain(slots)
	}()
}

// Stats are the service's figures for metrics.
type Stats struct {
	Settled  map[string]int64  // payments that ended their way, by status
	Breakers map[string]string // closed, open or half-open, by participant
	Deferred int64             // times a payment went back to the queue
	Unknown  int64             // calls without a known outcome
	Overdue  int64             // unfinished for more than three days, at the last sweep
	Running  int
	Waiting  int
}

// Stats returns the service's figures.
func (s *Service) Stats() Stats {
	st := Stats{Settled: map[string]int64{}, Breakers: map[string]string{}, Deferred: s.counts.deferred.Load(),
		Unknown: s.counts.unknown.Load(), Overdue: s.counts.overdue.Load()}
	for i := range s.counts.settled {
		if n := s.counts.settled[i].Load(); n > 0 {
			st.Settled[Status(i).String()] = n
		}
	}
	for p, b := range s.breakers {
		st.Breakers[p.String()] = b.state()
	}
	s.mu.Lock()
	st.Running, st.Waiting = len(s.runs), len(s.waiting)
	s.mu.Unlock()
	return st
}
