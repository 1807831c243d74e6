package payment

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/tcc"
)

// The driver does what the machine says is owed, and submits what came back. It decides nothing (rule B8): a second
// driver on the same payment, here or in another process, only asks participants what they already answered.

// run is one driver at work on one payment.
type run struct {
	done chan struct{}
	last *Payment // as it stood when nothing was owed any more; nil if the queue has it. Set before done is closed.
	next *Payment // the payment as somebody else has seen it since; guarded by Service.mu
	asks bool     // it only asks whether a participant is back: if not, it leaves no trace, and the queue keeps the payment
}

// drive starts a driver if something is owed and none is at work. It returns the one at work, nil if nothing is owed.
func (s *Service) drive(r Reply) *run { return s.launch(r, false) }

func (s *Service) launch(seen Reply, asks bool) *run {
	p := seen.Payment
	if p == nil || p.Resource != WorkInProgress {
		return nil
	}
	k := book.Key{Tenant: p.Tenant, ID: p.ID}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil
	}
	if r := s.runs[k]; r != nil {
		if r.next == nil || p.Decision > r.next.Decision {
			r.next = p
		}
		return r
	}
	r := &run{done: make(chan struct{}), asks: asks}
	s.runs[k] = r
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		if !seen.New {
			p = s.look(k, p)
		}
		for p != nil {
			p = s.leave(k, r, s.push(k, p, r.asks))
		}
	}()
	return r
}

// look reads a payment again: a run may have ended between the reply that has it and this one, which from now on is the
// only one.
func (s *Service) look(k book.Key, p *Payment) *Payment {
	if r, err := s.do(s.life, k.ID, Get{k.Tenant, k.ID}); err == nil {
		return r.Payment
	}
	return p
}

// leave ends a run that has seen the payment last, nil if it must not go on. It returns the payment instead if somebody
// was told that this run is at work, and either has moved the payment on or counts on more than asking: what is owed must
// not be left to the sweep.
func (s *Service) leave(k book.Key, r *run, last *Payment) *Payment {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := r.next
	if last != nil && next != nil && (next.Decision > last.Decision || r.asks && last.Resource == WorkInProgress) {
		r.next, r.asks = nil, false
		return next
	}
	if last != nil && last.Resource != WorkInProgress {
		r.last = last
	}
	delete(s.runs, k)
	close(r.done)
	return nil
}

// push drives a payment until nothing is owed, or the queue has it, and returns it as it was last seen; nil if the
// service closes or another process has the book.
func (s *Service) push(k book.Key, p *Payment, asks bool) *Payment {
	if p.Resource != WorkInProgress {
		return p // another run was faster
	}
	deadline := s.Clock.Now().Add(s.Timing.Worker)
	backoff := s.Timing.Backoff
	tries := make(map[tryKey]uint32, 4)
	for s.life.Err() == nil {
		steps := Owed(p)
		if len(steps) == 0 {
			s.settled(k, p)
			return p
		}
		sure, unsure := split(s.perform(p, steps, tries, asks))
		if len(sure) > 0 {
			if p = s.report(k, sure); p == nil {
				return nil
			}
			backoff, asks = s.Timing.Backoff, false
		}
		if len(unsure) == 0 {
			continue
		}
		if asks {
			return p
		}
		if s.Layers.NoWorker || shut(unsure) || s.Clock.Now().Add(backoff) > deadline {
			var given bool
			if p, given = s.giveBack(k, unsure); given || p == nil {
				return p
			}
			deadline, backoff = s.Clock.Now().Add(s.Timing.Worker), s.Timing.Backoff
			continue
		}
		select {
		case <-s.life.Done():
		case <-s.Clock.After(jitter(backoff)):
		}
		backoff = min(2*backoff, s.Timing.BackoffMax)
	}
	return nil
}

// shut reports whether breakers kept all of the calls back: there is nothing to try again soon.
func shut(unsure []Answer) bool {
	for _, a := range unsure {
		if a.Code != fault.CircuitOpen {
			return false
		}
	}
	return true
}

type tryKey struct {
	part uint8
	verb Verb
}

func (st Step) key() tryKey { return tryKey{st.Part.Number, st.Verb} }

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// perform makes all the calls that are owed, at the same time, and returns their answers in the order of the steps.
// Asking is no first try: it tells breakers only what they want to know.
func (s *Service) perform(p *Payment, steps []Step, tries map[tryKey]uint32, asks bool) []Answer {
	answers := make([]Answer, len(steps))
	done := make(chan struct{}, len(steps))
	attempt := func(i int) { answers[i] = s.attempt(p, steps[i], !asks && tries[steps[i].key()] == 0) }
	for i := 1; i < len(steps); i++ {
		go func() {
			attempt(i)
			done <- struct{}{}
		}()
	}
	attempt(0)
	for range len(steps) - 1 {
		<-done
	}
	for i := range answers {
		key := steps[i].key()
		tries[key]++
		answers[i].Attempts = tries[key]
		if answers[i].Outcome != tcc.Unknown {
			delete(tries, key)
		}
	}
	return answers
}

// call makes one call through the participant's breaker.
func (s *Service) call(ctx context.Context, p *Payment, st Step, first bool) Answer {
	x := st.Part
	a := Answer{Number: x.Number, Verb: st.Verb}
	br := s.breakers[x.Participant]
	leave, ok := br.allow(first)
	if !ok {
		a.Outcome, a.Code, a.At = tcc.Unknown, fault.CircuitOpen, s.Clock.Now()
		return a
	}
	rc, err := s.ask(ctx, p, st)
	a.Outcome = tcc.OutcomeOf(err)
	br.record(leave, a.Outcome != tcc.Unknown || fault.KindOf(err) == fault.Conflict)
	if st.Verb != VerbTry && a.Outcome == tcc.Refused {
		// After a decision there is no refusal: a participant that says no breaks the contract, and is asked again
		// until a person has mended it.
		a.Outcome = tcc.Unknown
	}
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

func (s *Service) ask(ctx context.Context, p *Payment, st Step) (tcc.Receipt, error) {
	who := s.Participants[st.Part.Participant]
	switch st.Verb {
	case VerbTry:
		return who.Try(ctx, p.TryRequest(st.Part))
	case VerbConfirm:
		return who.Confirm(ctx, p.ConfirmRequest(st.Part))
	case VerbCancel:
		return who.Cancel(ctx, p.CancelRequest(st.Part))
	default:
		return s.Receivers[st.Part.Participant].Add(ctx, p.AddRequest(st.Part))
	}
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

// report submits answers, and returns the payment as it stands then; nil if the service closes or another process has the
// book, and drives the payment. A report whose outcome is unknown is simply made again: the participants keep their
// answers.
func (s *Service) report(k book.Key, answers []Answer) *Payment {
	for n := 0; s.life.Err() == nil; n++ {
		r, err := s.do(s.life, k.ID, Report{Tenant: k.Tenant, ID: k.ID, Answers: answers})
		if err == nil {
			return r.Payment
		}
		if fault.HasCode(err, fault.Fenced) {
			return nil
		}
		select {
		case <-s.life.Done():
		case <-s.Clock.After(jitter(min(s.Timing.Backoff<<min(n, 6), s.Timing.BackoffMax))):
		}
	}
	return nil
}

// giveBack hands the payment to the queue (recovery layer 2), with what is known. It reports false if it must be driven
// on at once: it was decided otherwise meanwhile, and what is owed now has not been tried; or the breaker that kept it
// waiting has closed.
func (s *Service) giveBack(k book.Key, unsure []Answer) (*Payment, bool) {
	p := s.report(k, unsure)
	if p == nil || !owes(Owed(p), unsure) {
		return p, false
	}
	s.counts.deferred.Add(1)
	if s.Layers.NoQueue {
		return p, true
	}
	who := p.Parts[unsure[0].Number-1].Participant
	s.mu.Lock()
	s.waiting[k] = who
	s.mu.Unlock()
	if unsure[0].Code == fault.CircuitOpen && s.breakers[who].isClosed() {
		return p, false
	}
	r, err := s.do(s.life, k.ID, Defer{Tenant: k.Tenant, ID: k.ID, Code: unsure[0].Code, Jitter: rand.Uint32N(1000)})
	if err != nil {
		if s.life.Err() == nil {
			s.Log.Warn("a payment was not put back into the queue; the sweep has it", "error", err)
		}
		return p, true
	}
	return r.Payment, r.Payment.Decision == p.Decision
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
	who, waited := s.waiting[k]
	delete(s.waiting, k)
	s.mu.Unlock()
	if waited { // whom it waited for has answered: the next one that waits may try, too
		s.wakeOne(who)
	}
}

// Expired is told of payments whose time has come (book.Config.OnExpiry): what the machine decided on is driven.
func (s *Service) Expired(_, reply any, err error) {
	if r, ok := reply.(Reply); ok && err == nil {
		s.drive(r)
	}
}

// wake looks at a payment again and drives it.
func (s *Service) wake(ctx context.Context, k book.Key) *run {
	r, err := s.do(ctx, k.ID, Wake{k.Tenant, k.ID})
	if err != nil {
		return nil
	}
	return s.drive(r)
}
