package payment

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// The driver does what the machine says is owed, and submits what came back. It decides nothing (rule B8): a second
// driver on the same payment, here or in another process, only asks participants what they already answered.

// run is one driver at work on one payment.
type run struct {
	done chan struct{}
	last *Payment // as it stood when nothing was owed any more; nil if the queue has it. Set before done is closed.
}

// drive starts a driver if something is owed and none is at work. It returns the one at work, nil if nothing is owed.
func (s *Service) drive(p *Payment) *run {
	if p == nil || p.Resource != WorkInProgress || s.life.Err() != nil {
		return nil
	}
	k := book.Key{Tenant: p.Tenant, ID: p.ID}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[k]; r != nil {
		return r
	}
	r := &run{done: make(chan struct{})}
	s.runs[k] = r
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		last, again := s.run(k, p)
		r.last = last
		s.mu.Lock()
		delete(s.runs, k)
		s.mu.Unlock()
		close(r.done)
		s.drive(again)
	}()
	return r
}

// run drives a payment until nothing is owed, or the queue has it. last is the payment once nothing is owed; again is
// the payment if somebody else moved it on while this run was giving up.
func (s *Service) run(k book.Key, p *Payment) (last, again *Payment) {
	deadline := s.Clock.Now().Add(s.Timing.Worker)
	backoff := s.Timing.Backoff
	tries := make(map[tryKey]uint32, 4)
	for s.life.Err() == nil {
		steps := Owed(p)
		if len(steps) == 0 {
			s.settled(k, p)
			return p, nil
		}
		sure, unsure := split(s.perform(p, steps, tries))
		if len(sure) > 0 {
			var ok bool
			if p, ok = s.report(k, p, sure); !ok {
				return nil, nil
			}
			backoff = s.Timing.Backoff
		}
		if len(unsure) == 0 {
			continue
		}
		if s.Layers.NoWorker || s.Clock.Now().Add(backoff) > deadline {
			return nil, s.giveBack(k, p, unsure)
		}
		select {
		case <-s.life.Done():
		case <-s.Clock.After(jitter(backoff)):
		}
		backoff = min(2*backoff, s.Timing.BackoffMax)
	}
	return nil, nil
}

type tryKey struct {
	part uint8
	verb Verb
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// perform makes all the calls that are owed, at the same time, and returns their answers in the order of the steps.
func (s *Service) perform(p *Payment, steps []Step, tries map[tryKey]uint32) []Answer {
	answers := make([]Answer, len(steps))
	done := make(chan struct{}, len(steps))
	for i := 1; i < len(steps); i++ {
		go func() {
			answers[i] = s.attempt(p, steps[i])
			done <- struct{}{}
		}()
	}
	answers[0] = s.attempt(p, steps[0])
	for range len(steps) - 1 {
		<-done
	}
	for i := range answers {
		key := tryKey{answers[i].Number, answers[i].Verb}
		tries[key]++
		answers[i].Attempts = tries[key]
		if answers[i].Outcome != tcc.Unknown {
			delete(tries, key)
		}
	}
	return answers
}

// call makes one call through the participant's breaker.
func (s *Service) call(ctx context.Context, p *Payment, st Step) Answer {
	x := st.Part
	a := Answer{Number: x.Number, Verb: st.Verb}
	br := s.breakers[x.Participant]
	if !br.allow() {
		a.Outcome, a.Code, a.At = tcc.Unknown, fault.CircuitOpen, s.Clock.Now()
		return a
	}
	var rc tcc.Receipt
	var err error
	who := s.Participants[x.Participant]
	switch st.Verb {
	case VerbTry:
		rc, err = who.Try(ctx, p.TryRequest(x))
	case VerbConfirm:
		rc, err = who.Confirm(ctx, p.ConfirmRequest(x))
	case VerbCancel:
		rc, err = who.Cancel(ctx, p.CancelRequest(x))
	case VerbAdd:
		rc, err = s.Receivers[x.Participant].Add(ctx, p.AddRequest(x))
	}
	a.Outcome = tcc.OutcomeOf(err)
	if st.Verb != VerbTry && a.Outcome == tcc.Refused {
		// After a decision there is no refusal: a participant that says no breaks the contract, and is asked again
		// until a person has mended it.
		a.Outcome = tcc.Unknown
	}
	br.record(a.Outcome != tcc.Unknown)
	if err != nil {
		a.Code = fault.Of(err).Code
	}
	a.At, a.Book, a.Seq, a.Suspense = rc.At, rc.Book, rc.Seq, rc.Suspense
	if a.At == 0 {
		a.At = s.Clock.Now()
	}
	if a.Outcome == tcc.Unknown {
		s.counts.unknown.Add(1)
	}
	return a
}

func split(answers []Answer) (sure, unsure []Answer) {
	for _, a := range answers {
		if a.Outcome == tcc.Unknown {
			unsure = append(unsure, a)
		} else {
			sure = append(sure, a)
		}
	}
	return sure, unsure
}

// report submits answers. A report whose outcome is unknown is simply made again: the participants keep their answers.
func (s *Service) report(k book.Key, p *Payment, answers []Answer) (*Payment, bool) {
	for n := 0; s.life.Err() == nil; n++ {
		r, err := s.do(s.life, k.ID, Report{Tenant: k.Tenant, ID: k.ID, Answers: answers})
		if err == nil {
			return r.Payment, true
		}
		if fault.HasCode(err, fault.Fenced) {
			return p, false // another process has the book, and drives the payment
		}
		select {
		case <-s.life.Done():
		case <-s.Clock.After(jitter(min(s.Timing.Backoff<<min(n, 6), s.Timing.BackoffMax))):
		}
	}
	return p, false
}

// giveBack hands the payment to the queue (recovery layer 2), with what is known.
func (s *Service) giveBack(k book.Key, p *Payment, unsure []Answer) *Payment {
	p, ok := s.report(k, p, unsure)
	if !ok {
		return nil
	}
	if still := Owed(p); len(still) == 0 || !owes(still, unsure) {
		return p // decided otherwise meanwhile: what is owed now has not been tried
	}
	who := p.Parts[unsure[0].Number-1].Participant
	s.mu.Lock()
	s.waiting[k] = who
	s.mu.Unlock()
	s.counts.deferred.Add(1)
	if s.Layers.NoQueue {
		return nil
	}
	_, err := s.do(s.life, k.ID, Defer{Tenant: k.Tenant, ID: k.ID, Code: unsure[0].Code, Jitter: rand.Uint32N(1000)})
	if err != nil && s.life.Err() == nil {
		s.Log.Warn("a payment was not put back into the queue; the sweep has it", "error", err)
	}
	return nil
}

// owes reports whether one of the answers' verbs is still owed to its part.
func owes(steps []Step, answers []Answer) bool {
	for _, st := range steps {
		for _, a := range answers {
			if st.Verb == a.Verb && st.Part.Number == a.Number {
				return true
			}
		}
	}
	return false
}

func (s *Service) settled(k book.Key, p *Payment) {
	if int(p.Status) < len(s.counts.settled) {
		s.counts.settled[p.Status].Add(1)
	}
	s.mu.Lock()
	delete(s.waiting, k)
	s.mu.Unlock()
}

// Expired is told of payments whose time has come (book.Config.OnExpiry): what the machine decided on is driven.
func (s *Service) Expired(_, reply any, err error) {
	if r, ok := reply.(Reply); ok && err == nil {
		s.drive(r.Payment)
	}
}

// wake looks at a payment again and drives it.
func (s *Service) wake(ctx context.Context, k book.Key) *run {
	r, err := s.do(ctx, k.ID, Wake{k.Tenant, k.ID})
	if err != nil {
		return nil
	}
	return s.drive(r.Payment)
}

// age returns how long ago a payment was made.
func (s *Service) age(p *Payment) clock.Micros { return s.Clock.Now() - p.CreatedAt }
