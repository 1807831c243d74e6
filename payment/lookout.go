package payment

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// The lookout sees to it that nothing stands still silently. Every payment that is owed something is either being driven or in
// the queue. One that is neither was forgotten by the layers before: it is counted, told of, and driven; and whatever waits for
// long is told of, too.

const (
	lookEvery  = 10 * time.Second
	lookAfter  = 30 * clock.Second // for so long nobody may have touched it
	lookBudget = 4 * sweepPage     // rows read at a time; the next look goes on where this one ended
	longWait   = clock.Minute      // and who waits for longer is told of, as often
)

// Standstill says how many payments are owed work that nobody does.
type Standstill struct {
	Payments int          // at the last complete look
	Oldest   clock.Micros // since when the oldest of them was not touched
	Again    int          // of them, those that a look before has had driven already: driving does not help
	Found    int64        // in all
}

type lookout struct {
	passing atomic.Int64 // passes under way: what they have not come to yet is not forgotten

	mu    sync.Mutex
	state Standstill // what Stats show

	// Of the one who looks.
	volume int
	after  book.Key
	round  Standstill
	before map[book.Key]bool // found in the last complete look
	found  map[book.Key]bool
	told   clock.Micros // when waiting was told of
}

func (l *lookout) standing() Standstill {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// watch looks again and again.
func (s *Service) watch() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.Clock.After(lookEvery):
			s.look(s.life)
			s.tellWaiting()
		}
	}
}

// look reads on in what is unfinished, and has driven what nobody drives.
func (s *Service) look(ctx context.Context) {
	l := &s.lookout
	if l.passing.Load() > 0 {
		return
	}
	if l.found == nil {
		l.found = make(map[book.Key]bool)
	}
	for budget := lookBudget; budget > 0; budget -= sweepPage {
		keys, err := s.tables.open(ctx, l.volume, s.Clock.Now()-lookAfter, l.after, sweepPage)
		if err != nil {
			s.Log.Warn("unfinished payments cannot be read; they are again in some seconds", "error", err)
			return
		}
		for _, k := range keys {
			s.suspect(ctx, k)
		}
		if len(keys) == sweepPage {
			l.after = keys[len(keys)-1]
			continue
		}
		l.volume, l.after = l.volume+1, book.Key{}
		if l.volume == len(s.Books) {
			s.rounded(ctx)
			return
		}
	}
}

// suspect drives a payment of the tables if it is owed something, and nobody is at it.
func (s *Service) suspect(ctx context.Context, k book.Key) {
	if s.attended(k) {
		return
	}
	r, err := s.peek(ctx, k)
	now := s.Clock.Now()
	if err != nil || r.Payment.Resource != WorkInProgress || r.Payment.UpdatedAt > now-lookAfter || s.attended(k) {
		return // where the book cannot be asked, it says so itself
	}
	l := &s.lookout
	l.round.Payments++
	l.round.Found++
	l.found[k] = true
	age := now - r.Payment.UpdatedAt
	l.round.Oldest = max(l.round.Oldest, age)
	if l.before[k] {
		l.round.Again++
	}
	s.Log.Error("a payment was owed work, and nobody did it; it is driven now", "payment", s.name(k), "decided",
		r.Payment.Decision.String(), "phase", r.Payment.Phase.String(), "untouched", age.Sub(0).String())
	s.Wake(k, nil)
}

// attended reports whether a payment is being driven, or the queue has it.
func (s *Service) attended(k book.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[k] != nil || s.waiting.has(k)
}

// rounded ends a complete look.
func (s *Service) rounded(ctx context.Context) {
	s.tellSuspended(ctx)
	l := &s.lookout
	l.mu.Lock()
	defer l.mu.Unlock()
	l.round.Found += l.state.Found
	l.state = l.round
	l.volume, l.before, l.found, l.round = 0, l.found, nil, Standstill{}
}

// tellSuspended tells of new cases for a person.
func (s *Service) tellSuspended(ctx context.Context) {
	n, err := s.tables.suspended(ctx)
	if err != nil {
		return // the next look asks again
	}
	if was := s.suspended.Swap(n); n > was {
		s.Log.Warn("what was paid could not be placed on its account and stands in suspense: koban payments --suspense lists it",
			"payments", n)
	}
}

// tellWaiting tells of whom payments wait for, and since when.
func (s *Service) tellWaiting() {
	now := s.Clock.Now()
	if now < s.lookout.told+longWait {
		return
	}
	s.mu.Lock()
	list := s.waiting.waiting()
	s.mu.Unlock()
	for _, w := range list {
		age := now - w.Oldest
		if age < longWait {
			continue
		}
		s.lookout.told = now
		s.Log.Warn("payments wait for a participant; they go on when it answers. koban explain names what is owed", "participant",
			w.Participant.String(), "verb", w.Verb.String(), "payments", w.Payments, "refused", w.Refused, "longest",
			age.Sub(0).String(), "code", string(w.Code), "payment", s.name(w.Example))
	}
}

// Undriven returns an error if payments are owed work, were driven because of that, and are still owed it: new work would
// stand still as they do.
//
// Error: fault.NotReady.
func (s *Service) Undriven() error {
	if st := s.lookout.standing(); st.Again > 0 {
		return fault.NotReady.New("%d payments stand still though they were driven again; look at one that the log names with koban "+
			"explain, and start the process again", st.Again)
	}
	return nil
}
