package payment

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// Run is one driver at work on one payment. Its steps follow each other; only the answers of one round of calls may come at
// the same time.
type Run struct {
	d     *Driver
	key   book.Key
	since clock.Micros

	// Guarded by Driver.mu.
	next  *Payment         // the payment as somebody else has seen it since
	ended bool             // nothing comes of it any more
	last  *Payment         // ended: as it stood when nothing was owed any more; nil if the queue has it
	then  []func(*Payment) // are called when it ends

	// Of the step that is being made.
	p        *Payment
	asks     bool         // it only asks whether a participant is back: if not, it leaves no trace, and the queue keeps the payment
	deadline clock.Micros // when the queue gets the payment
	backoff  time.Duration
	tries    []tried
	answers  []Answer     // to the calls of this round
	unsure   []Answer     // those of them that tell nothing
	left     atomic.Int32 // calls without an answer
	stop     func() bool  // of the patience with them

	room [usualTries]tried // for tries
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
	r.p, r.tries = p, r.room[:0]
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
	if last != nil && !d.over() && next != nil && (next.Decision > last.Decision || r.asks && last.Resource == WorkInProgress) {
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
	var room [usualTries]Step
	steps := appendOwed(room[:0], r.p)
	if len(steps) == 0 {
		r.d.settled(r.key, r.p)
		r.end(r.p)
		return
	}
	r.round(steps)
}

// round makes calls, and waits for their answers as long as they may take.
func (r *Run) round(steps []Step) {
	// Each round has its own: a late answer knows which call it belongs to, and what was reported is never changed.
	calls, answers := make([]call, len(steps)), make([]Answer, len(steps))
	first := !r.asks // asking is no first try: it tells breakers only what they want to know
	for i, st := range steps {
		c := &calls[i]
		c.r, c.step, c.tries, c.answer = r, st, r.count(st), &answers[i]
		c.leave, c.let = r.d.breakers[st.Part.Participant].allow(first && c.tries == 1)
	}
	r.answers = answers
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

// gathered goes on once every call of a round has an answer.
func (r *Run) gathered() {
	r.stop()
	sure, unsure := split(r.answers)
	r.answers, r.unsure = nil, unsure
	if len(sure) == 0 {
		r.retry()
		return
	}
	for _, a := range sure {
		r.answered(a)
	}
	r.report(sure, 0, (*Run).heard)
}

// split divides answers into those that tell something and those that do not.
func split(answers []Answer) (sure, unsure []Answer) {
	unknown := func(a Answer) bool { return a.Outcome == tcc.Unknown }
	if !slices.ContainsFunc(answers, unknown) {
		return answers, nil
	}
	for _, a := range answers {
		if unknown(a) {
			unsure = append(unsure, a)
		} else {
			sure = append(sure, a)
		}
	}
	return sure, unsure
}

// heard goes on once the book has what a round has told.
func (r *Run) heard() {
	r.backoff, r.asks = r.d.timing.Backoff, false
	if len(r.unsure) == 0 {
		r.step()
		return
	}
	r.retry()
}

// retry is recovery layer 1, until its time is over.
func (r *Run) retry() {
	d := r.d
	if r.asks {
		r.end(r.p)
		return
	}
	if d.layers.NoWorker || shut(r.unsure) || d.host.Now().Add(r.backoff) > r.deadline {
		r.report(r.unsure, 0, (*Run).giveBack)
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
func (r *Run) report(answers []Answer, n int, then func(*Run)) {
	d := r.d
	if ahead(r, answers, n, then) {
		return
	}
	d.host.Submit(r.key.ID, Report{Tenant: r.key.Tenant, ID: r.key.ID, Answers: answers}, func(seen Reply, err error) {
		switch {
		case err == nil:
			r.p = seen.Payment
			then(r)
		case d.over() || fault.HasCode(err, fault.Fenced):
			r.end(nil)
		case tcc.OutcomeOf(err) == tcc.Refused: // it would be refused for ever
			d.counts.dropped.Add(1)
			d.host.Alarm("the book refuses what participants have answered; the payment stands still: look at it with koban explain",
				"payment", d.host.Name(r.key), "error", err)
			r.end(nil)
		default:
			d.counts.repeated.Add(1)
			if n == manyReports {
				d.host.Warn("what participants have answered cannot be written; it is offered until it can", "payment",
					d.host.Name(r.key), "error", err)
			}
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

// manyReports is after how many a person is told: some seconds.
const manyReports = 8

// giveBack hands the payment to the queue (recovery layer 2), with what is known. It is driven on at once instead if it was
// decided otherwise meanwhile, and what is owed now has not been tried; or if the breaker that kept it waiting has closed.
func (r *Run) giveBack() {
	d, p, unsure := r.d, r.p, worstFirst(r.unsure)
	if !owes(Owed(p), unsure) {
		r.goOn()
		return
	}
	d.counts.deferred.Add(1)
	if d.layers.NoQueue {
		r.end(p)
		return
	}
	who := p.Parts[unsure[0].Number-1].Participant
	w := wait{who: who, verb: unsure[0].Verb, code: unsure[0].Code, refuses: unsure[0].refuses(), since: d.host.Now()}
	d.mu.Lock()
	refuses := d.waiting.add(r.key, w)
	d.mu.Unlock()
	if refuses {
		d.host.Alarm("a participant refuses what was decided, which it has no right to; it is asked again until it has done it: look at "+
			"the payment with koban explain, and mend the participant", "payment", d.host.Name(r.key), "participant", who.String(),
			"verb", w.verb.String(), "code", string(w.code))
	}
	if unsure[0].Code == fault.CircuitOpen && d.breakers[who].isClosed() {
		r.goOn()
		return
	}
	r.enqueue(Defer{Tenant: r.key.Tenant, ID: r.key.ID, Code: unsure[0].Code, Jitter: uint32(d.host.Draw(1000))}, 0)
}

// worstFirst puts a refusal of what was decided before those that are merely away: it is what a person has to hear of.
func worstFirst(unsure []Answer) []Answer {
	i := slices.IndexFunc(unsure, func(a Answer) bool { return a.refuses() })
	if i > 0 {
		unsure = slices.Clone(unsure) // the report shares it
		unsure[0], unsure[i] = unsure[i], unsure[0]
	}
	return unsure
}

// enqueue has the queue take the payment. While nobody knows whether it has, it is told again: what is in no queue, and is
// driven by nobody, would stand still until the sweep comes round.
func (r *Run) enqueue(q Defer, n int) {
	d, p := r.d, r.p
	d.host.Submit(r.key.ID, q, func(seen Reply, err error) {
		switch {
		case uncertain(err) && !d.over():
			d.host.After(d.pause(n), func() {
				if d.over() {
					r.end(nil)
					return
				}
				r.enqueue(q, n+1)
			})
		case err != nil:
			if !d.over() && !fault.HasCode(err, fault.Fenced) {
				d.host.Warn("a payment was not put back into the queue; the lookout finds it", "payment", d.host.Name(r.key),
					"error", err)
			}
			r.end(p)
		case seen.Payment.Decision == p.Decision:
			r.end(seen.Payment)
		default:
			r.p = seen.Payment
			r.goOn()
		}
	})
}

// goOn drives the payment on as if its driver had only just come upon it.
func (r *Run) goOn() {
	r.refresh()
	r.step()
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
	if int(p.Kind) < len(d.counts.took) && p.SettledAt == p.UpdatedAt { // not by a capture or void that came later
		d.counts.took[p.Kind].Count(p.SettledAt - p.CreatedAt)
	}
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
