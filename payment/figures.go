package payment

import (
	"sync/atomic"

	"github.com/koban-pay/koban/internal/clock"
)

type counters struct {
	settled  [10]atomic.Int64 // by status
	deferred atomic.Int64
	unknown  atomic.Int64
	refused  [participants][5]atomic.Int64    // answers that say no to what was decided, by participant and verb
	putOff   [participants]atomic.Int64       // payments that were put off at the door, by who is away
	repeated atomic.Int64                     // reports that were offered again
	dropped  atomic.Int64                     // reports that the book has refused
	took     [3]clock.Histogram               // from acceptance to the first stable status, by kind
	calls    [participants][5]clock.Histogram // by participant and verb
}

// Call names calls: a verb of a participant.
type Call struct {
	Participant Participant
	Verb        Verb
}

// Stats are the service's figures for metrics.
type Stats struct {
	Settled  map[string]int64  // payments that ended their way, by status
	Breakers map[string]string // closed, open or half-open, by participant
	Deferred int64             // times a payment went back to the queue
	Unknown  int64             // calls without a known outcome
	Overdue  int64             // unfinished for more than three days, at the last sweep
	Suspense int64             // of which something stands in suspense, at the last look
	Running  int
	Oldest   clock.Micros // for how long the oldest of them has been driven
	Waiting  []Waiting    // in the queue

	PutOff   map[string]int64 // payments that were put off at the door, by the participant that is away
	Refused  map[Call]int64   // answers that say no to what was decided
	Repeated int64            // reports of answers that were offered to the book again
	Dropped  int64            // reports that the book has refused; must be 0
	Standing Standstill

	Took  map[Kind]clock.Durations // from acceptance to the first stable status
	Calls map[Call]clock.Durations // from a call to its answer, or until it was given up
}

// Stats returns the service's figures.
func (s *Service) Stats() Stats {
	st := Stats{
		Settled: map[string]int64{}, Breakers: map[string]string{}, PutOff: map[string]int64{}, Refused: map[Call]int64{}, Took: map[Kind]clock.Durations{},
		Calls: map[Call]clock.Durations{}, Deferred: s.counts.deferred.Load(), Unknown: s.counts.unknown.Load(), Overdue: s.overdue.Load(), Suspense: s.suspended.Load(),
		Repeated: s.counts.repeated.Load(), Dropped: s.counts.dropped.Load(), Standing: s.lookout.standing(),
	}
	for i := range s.counts.settled {
		if n := s.counts.settled[i].Load(); n > 0 {
			st.Settled[Status(i).String()] = n
		}
	}
	for k := range s.counts.took {
		if d := s.counts.took[k].Durations(); d.Count() > 0 {
			st.Took[Kind(k)] = d
		}
	}
	for p, b := range s.breakers {
		if b != nil {
			st.Breakers[Participant(p).String()] = b.state()
			st.PutOff[Participant(p).String()] = s.counts.putOff[p].Load()
		}
		for v := range s.counts.calls[p] {
			c := Call{Participant(p), Verb(v)}
			if d := s.counts.calls[p][v].Durations(); d.Count() > 0 {
				st.Calls[c] = d
			}
			if n := s.counts.refused[p][v].Load(); n > 0 {
				st.Refused[c] = n
			}
		}
	}
	now := s.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Running, st.Waiting = len(s.runs), s.waiting.waiting()
	for _, r := range s.runs {
		st.Oldest = max(st.Oldest, now-r.since)
	}
	return st
}

// Wrong says what is wrong with the payments while they go on, in words for /healthz: nothing, most of the time.
func (s *Service) Wrong() (words []string) {
	s.mu.Lock()
	refused := false
	for _, w := range s.waiting.on {
		refused = refused || w.refuses
	}
	s.mu.Unlock()
	if refused {
		words = append(words, DutyRefused)
	}
	if s.counts.dropped.Load() > 0 {
		words = append(words, ReportRefused)
	}
	if s.lookout.standing().Payments > 0 {
		words = append(words, PaymentsStand)
	}
	return words
}

// What /healthz says of payments.
const (
	DutyRefused   = "duty_refused"      // a participant refuses what was decided
	ReportRefused = "report_refused"    // the book refuses what participants have answered
	PaymentsStand = "payments_undriven" // payments are owed work, and nobody does it
)
