package payment

import (
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/tcc"
)

// Run is one driver at work on one payment. Its steps follow each other; only the answers of one round of calls may come at
// the same time.
type Run struct {
	d   *Driver
	key book.Key

	// Guarded by Driver.mu.
	asks  bool             // it only asks whether a participant is back: if not, it leaves no trace, and the queue keeps the payment
	next  *Payment         // the payment as somebody else has seen it since
	ended bool             // nothing comes of it any more
	last  *Payment         // ended: as it stood when nothing was owed any more; nil if the queue has it
	then  []func(*Payment) // are called when it ends

	// Of the step that is being made.
	p        *Payment
	deadline clock.Micros // when the queue gets the payment
	backoff  time.Duration
	tries    []tried
	calls    []call
	left     atomic.Int32 // calls without an answer
	stop     func() bool  // of the patience with them
}

// Then calls f when the run is over, at once if it is: with the payment as it stood when nothing was owed any more, nil if
// the queue has it.
func (r *Run) Then(f func(last *Payment)) {
	r.d.mu.Lock()
	if !r.ended {
		r.then = append(r.then, f)
		r.d.mu.Unlock()
		return
	}
	last := r.last
	r.d.mu.Unlock()
	f(last)
}

// look reads a payment again before it is driven: a run may have ended between the reply that has it and this one, which
// from now on is the only one.
func (r *Run) look(p *Payment) {
	r.d.host.Submit(r.key.ID, Get{r.key.Tenant, r.key.ID}, func(seen Reply, err error) {
		if err == nil {
			p = seen.Payment
		}
		r.push(p)
	})
}

// push drives a payment until nothing is owed, or the queue has it.
func (r *Run) push(p *Payment) {
	if p.Resource != WorkInProgress {
		r.end(p) // another run was faster
		return
	}
	r.p, r.tries = p, r.tries[:0]
	r.refresh()
	r.step()
}

func (r *Run) refresh() {
	r.deadline, r.backoff = r.d.host.Now().Add(r.d.timing.Worker), r.d.timing.Backoff
}

// end ends a run that has seen the payment last, nil if it must not go on. It drives on instead if somebody was told that
// this run is at work, and either has moved the payment on or counts on more than asking: what is owed must not be left to
// the sweep.
func (r *Run) end(last *Payment) {
	d := r.d
	d.mu.Lock()
	if r.ended {
		d.mu.Unlock()
		return
	}
	next := r.next
	if last != nil && !d.closed && next != nil && (next.Decision > last.Decision || r.asks && last.Resource == WorkInProgress) {
		r.next, r.asks = nil, false
		d.mu.Unlock()
		r.push(next)
		return
	}
	if last != nil && last.Resource != WorkInProgress {
		r.last = last
	}
	r.ended = true
	delete(d.runs, r.key)
	then := r.then
	r.then = nil
	d.mu.Unlock()
	for _, f := range then {
		f(r.last)
	}
}

// step makes all the calls that are owed now, at the same time.
func (r *Run) step() {
	if r.d.over() {
		r.end(nil)
		return
	}
	steps := Owed(r.p)
	if len(steps) == 0 {
		r.d.settled(r.key, r.p)
		r.end(r.p)
		return
	}
	r.round(steps)
}

// round makes calls, and waits for their answers as long as they may take.
func (r *Run) round(steps []Step) {
	calls := make([]call, len(steps)) // each round has its own: a late answer knows which call it belongs to
	first := !r.asking()              // asking is no first try: it tells breakers only what they want to know
	for i, st := range steps {
		c := &calls[i]
		c.r, c.p, c.step, c.tries = r, r.p, st, r.count(st)
		c.leave, c.let = r.d.breakers[st.Part.Participant].allow(first && c.tries == 1)
	}
	r.calls = calls
	r.left.Store(int32(len(steps) + 1)) // one for making them
	r.stop = r.d.host.Patience(r.d.timing.Attempt, func() {
		for i := range calls {
			calls[i].hear(tcc.Receipt{}, fault.Timeout.New(""))
		}
	})
	for i := range calls {
		calls[i].make()
	}
	r.one()
}

// one says that there is one less to wait for.
func (r *Run) one() {
	if r.left.Add(-1) == 0 {
		r.gathered()
	}
}

// asking reports whether the run only asks.
func (r *Run) asking() bool {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	return r.asks
}

// tried counts the calls of one verb to one part since it answered last.
type tried struct {
	part uint8
	verb Verb
	n    uint32
}

// count counts a try and returns how many there were.
func (r *Run) count(st Step) uint32 {
	for i := range r.tries {
		if t := &r.tries[i]; t.part == st.Part.Number && t.verb == st.Verb {
			t.n++
			return t.n
		}
	}
	r.tries = append(r.tries, tried{st.Part.Number, st.Verb, 1})
	return 1
}

// answered forgets the tries of what has an answer.
func (r *Run) answered(a Answer) {
	for i := range r.tries {
		if t := &r.tries[i]; t.part == a.Number && t.verb == a.Verb {
			t.n = 0
		}
	}
}

// call is one call to a participant.
type call struct {
	r      *Run
	p      *Payment
	step   Step
	tries  uint32
	leave  permit // of the participant's breaker
	let    bool   // by the breaker; it is not made otherwise
	heard  atomic.Bool
	answer Answer
}

// make makes the call, unless the participant's breaker keeps it back.
func (c *call) make() {
	if !c.let {
		c.hear(tcc.Receipt{}, fault.CircuitOpen.New(""))
		return
	}
	c.r.d.host.Call(c.p, c.step, c.hear)
}

// hear takes the answer that comes first: the participant's, that of our patience, or the breaker's.
func (c *call) hear(rc tcc.Receipt, err error) {
	if !c.heard.CompareAndSwap(false, true) {
		return
	}
	a := Answer{Outcome: tcc.OutcomeOf(err), At: rc.At, Book: rc.Book, Seq: rc.Seq, Suspense: rc.Suspense}
	if c.let {
		c.r.d.breakers[c.step.Part.Participant].record(c.leave, a.Outcome != tcc.Unknown || fault.KindOf(err) == fault.Conflict)
	}
	if c.step.Verb != VerbTry && a.Outcome == tcc.Refused && planted.Bug != planted.DecisionFlips {
		// After a decision there is no refusal: a participant that says no breaks the contract, and is asked again
		// until a person has mended it.
		a.Outcome = tcc.Unknown
	}
	if planted.Bug == planted.UnknownIsRefused && c.step.Verb == VerbTry && a.Outcome == tcc.Unknown {
		a.Outcome = tcc.Refused
	}
	if planted.Bug == planted.UnknownIsDone && c.step.Verb != VerbTry && a.Outcome == tcc.Unknown {
		a.Outcome = tcc.Done
	}
	if err != nil {
		a.Code = fault.Of(err).Code
	}
	if c.let && a.Outcome == tcc.Unknown {
		c.r.d.counts.unknown.Add(1)
	}
	if a.At == 0 {
		a.At = c.r.d.host.Now()
	}
	a.Number, a.Verb, a.Attempts = c.step.Part.Number, c.step.Verb, c.tries
	c.answer = a
	c.r.one()
}

// gathered goes on once every call of a round has an answer.
func (r *Run) gathered() {
	r.stop()
	var sure, unsure []Answer
	for i := range r.calls {
		if a := r.calls[i].answer; a.Outcome == tcc.Unknown {
			unsure = append(unsure, a)
		} else {
			r.answered(a)
			sure = append(sure, a)
		}
	}
	if len(sure) == 0 {
		r.retry(unsure)
		return
	}
	r.report(sure, 0, func() {
		r.backoff = r.d.timing.Backoff
		r.d.mu.Lock()
		r.asks = false
		r.d.mu.Unlock()
		if len(unsure) == 0 {
			r.step()
			return
		}
		r.retry(unsure)
	})
}

// retry is recovery layer 1, until its time is over.
func (r *Run) retry(unsure []Answer) {
	d := r.d
	if r.asking() {
		r.end(r.p)
		return
	}
	if d.layers.NoWorker || shut(unsure) || d.host.Now().Add(r.backoff) > r.deadline {
		r.report(unsure, 0, func() { r.giveBack(unsure) })
		return
	}
	d.host.After(d.jitter(r.backoff), r.step)
	r.backoff = min(2*r.backoff, d.timing.BackoffMax)
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

func (d *Driver) jitter(t time.Duration) time.Duration {
	return t/2 + time.Duration(d.host.Draw(int64(t/2+1)))
}

// report submits answers, and goes on with the payment as it stands then; not if another process has the book, and drives
// the payment. A report whose outcome is unknown is simply made again: the participants keep their answers.
func (r *Run) report(answers []Answer, n int, then func()) {
	d := r.d
	if planted.Bug == planted.SecondPhaseEarly && n == 0 {
		r.p = r.p.clone()
		for _, a := range answers {
			r.p.part(a.Number).merge(a)
		}
		r.p.Standing = advance(r.p)
		d.host.Submit(r.key.ID, Report{Tenant: r.key.Tenant, ID: r.key.ID, Answers: answers}, func(Reply, error) {})
		then()
		return
	}
	d.host.Submit(r.key.ID, Report{Tenant: r.key.Tenant, ID: r.key.ID, Answers: answers}, func(seen Reply, err error) {
		switch {
		case err == nil:
			r.p = seen.Payment
			then()
		case d.over() || fault.HasCode(err, fault.Fenced):
			r.end(nil)
		default:
			d.host.After(d.pause(n), func() {
				if d.over() {
					r.end(nil)
					return
				}
				r.report(answers, n+1, then)
			})
		}
	})
}

// giveBack hands the payment to the queue (recovery layer 2), with what is known. It is driven on at once instead if it was
// decided otherwise meanwhile, and what is owed now has not been tried; or if the breaker that kept it waiting has closed.
func (r *Run) giveBack(unsure []Answer) {
	d, p := r.d, r.p
	goOn := func() {
		r.refresh()
		r.step()
	}
	if !owes(Owed(p), unsure) {
		goOn()
		return
	}
	d.counts.deferred.Add(1)
	if d.layers.NoQueue {
		r.end(p)
		return
	}
	who := p.Parts[unsure[0].Number-1].Participant
	d.mu.Lock()
	d.waiting.add(r.key, who)
	d.mu.Unlock()
	if unsure[0].Code == fault.CircuitOpen && d.breakers[who].isClosed() {
		goOn()
		return
	}
	deferred := Defer{Tenant: r.key.Tenant, ID: r.key.ID, Code: unsure[0].Code, Jitter: uint32(d.host.Draw(1000))}
	d.host.Submit(r.key.ID, deferred, func(seen Reply, err error) {
		switch {
		case err != nil:
			if !d.over() {
				d.host.Warn("a payment was not put back into the queue; the sweep has it", err)
			}
			r.end(p)
		case seen.Payment.Decision == p.Decision:
			r.end(seen.Payment)
		default:
			r.p = seen.Payment
			goOn()
		}
	})
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

func (d *Driver) settled(k book.Key, p *Payment) {
	if int(p.Status) < len(d.counts.settled) {
		d.counts.settled[p.Status].Add(1)
	}
	d.mu.Lock()
	who, waited := d.waiting.remove(k)
	d.mu.Unlock()
	if waited { // whom it waited for has answered: the next one that waits may try, too
		d.wakeOne(who)
	}
}
