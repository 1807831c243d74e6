package payment

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

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
	s.work.Add(2)
	go func() {
		defer s.work.Done()
		if !s.Layers.NoQueue { // what waited becomes due at once
			s.pass(s.life, 0)
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
			s.pass(s.life, sweepRest)
		}
	}
}

// Sweep makes one pass of recovery layer 3 over every payment that is WORK_IN_PROGRESS, and returns when each of them
// was driven once. It needs no queue and no due time.
func (s *Service) Sweep(ctx context.Context) { s.pass(ctx, 0) }

// pass drives everything that is unfinished and has not moved for the given time.
func (s *Service) pass(ctx context.Context, rest clock.Micros) {
	slots := make(chan struct{}, sweepAtOnce)
	var overdue int64
	for v := range s.Books {
		var after book.Key
		for ctx.Err() == nil {
			keys, err := s.tables.open(ctx, v, s.Clock.Now()-rest+1, after, sweepPage)
			if err != nil {
				s.Log.Warn("the sweep cannot read the payments; it tries again next time", "error", err)
				break
			}
			for _, k := range keys {
				overdue += s.sweepOne(ctx, k, slots)
			}
			if len(keys) < sweepPage {
				break
			}
			after = keys[len(keys)-1]
		}
	}
	for range sweepAtOnce {
		slots <- struct{}{}
	}
	if s.counts.overdue.Store(overdue); overdue > 0 {
		s.Log.Error("payments have been unfinished for more than three days; look at them with koban explain", "count", overdue)
	}
}

// sweepOne drives one payment, waiting for a free slot first. It returns 1 if the payment is overdue.
func (s *Service) sweepOne(ctx context.Context, k book.Key, slots chan struct{}) int64 {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	r, err := s.do(ctx, k.ID, Wake{k.Tenant, k.ID})
	if err != nil {
		<-slots
		return 0
	}
	at := s.drive(r.Payment)
	go func() {
		if at != nil {
			select {
			case <-at.done:
			case <-s.life.Done():
			}
		}
		<-slots
	}()
	if r.Payment.Resource == WorkInProgress && s.age(r.Payment) > overdueAfter {
		return 1
	}
	return 0
}

// probe tries one waiting payment at a time while a participant's breaker is not closed, so that it can close even if
// nothing new comes in.
func (s *Service) probe() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.Clock.After(s.Timing.Probe):
		}
		for p, b := range s.breakers {
			if b.cb.IsClosed() {
				continue
			}
			if k, ok := s.oneWaiting(p); ok {
				s.wake(s.life, k)
			}
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
	if s.life.Err() != nil {
		return
	}
	s.mu.Lock()
	var keys []book.Key
	for k, who := range s.waiting {
		if who == p {
			keys = append(keys, k)
		}
	}
	s.work.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.work.Done()
		slots := make(chan struct{}, sweepAtOnce)
		for _, k := range keys {
			s.sweepOne(s.life, k, slots)
		}
	}()
}

// breaker keeps calls from a participant that has been failing.
type breaker struct {
	cb circuitbreaker.CircuitBreaker[any]
}

const (
	breakerCalls    = 20 // the last calls that are looked at
	breakerFailures = 10 // of them without a known outcome, and the breaker opens
	breakerRest     = 3 * time.Second
	breakerProofs   = 2 // good calls that close it again
)

func newBreaker(p Participant, closed func(Participant)) *breaker {
	cb := circuitbreaker.NewBuilder[any]().
		WithFailureThresholdRatio(breakerFailures, breakerCalls).
		WithDelay(breakerRest).
		WithSuccessThreshold(breakerProofs).
		OnClose(func(circuitbreaker.StateChangedEvent) { closed(p) }).
		Build()
	return &breaker{cb}
}

func (b *breaker) allow() bool { return b.cb.TryAcquirePermit() }

func (b *breaker) record(ok bool) {
	if ok {
		b.cb.RecordSuccess()
	} else {
		b.cb.RecordFailure()
	}
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
		st.Breakers[p.String()] = b.cb.State().String()
	}
	s.mu.Lock()
	st.Running, st.Waiting = len(s.runs), len(s.waiting)
	s.mu.Unlock()
	return st
}
