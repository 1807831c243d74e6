package sim

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// run is one driver at work on one payment: it makes the calls that are owed, submits what came back, and gives the
// payment to the queue when a participant does not answer. It decides nothing.
type run struct {
	p        *process
	key      book.Key
	pay      *payment.Payment
	deadline clock.Micros
	backoff  clock.Micros
	calls    map[call]uint32
	answers  []payment.Answer
	left     int // calls without an answer
	done     []func(settled bool)
	over     bool
}

type call struct {
	part uint8
	verb payment.Verb
}

// The timing of payment's driver.
const (
	attemptTime = 2 * clock.Second
	workerTime  = 5 * clock.Second
	firstPause  = 10 * clock.Millisecond
	lastPause   = clock.Second
)

// drive starts a driver if something is owed and none is at work. It returns the one at work, nil if nothing is owed.
func (p *process) drive(pay *payment.Payment) *run {
	if p.dead || pay == nil || pay.Resource != payment.WorkInProgress {
		return nil
	}
	k := book.Key{Tenant: pay.Tenant, ID: pay.ID}
	if r := p.runs[k]; r != nil {
		return r
	}
	r := &run{p: p, key: k, pay: pay, deadline: p.clock() + workerTime, backoff: firstPause, calls: make(map[call]uint32)}
	p.runs[k] = r
	r.step()
	return r
}

// step makes all the calls that are owed now.
func (r *run) step() {
	if r.p.dead || r.over {
		return
	}
	steps := payment.Owed(r.pay)
	if len(steps) == 0 {
		who, waited := r.p.waiting[r.key]
		delete(r.p.waiting, r.key)
		r.end(true)
		if waited { // they answer again
			r.p.next(who)
		}
		return
	}
	r.answers, r.left = make([]payment.Answer, len(steps)), len(steps)
	for i, st := range steps {
		r.attempt(i, st)
	}
}

func (r *run) attempt(i int, st payment.Step) {
	w, br := r.p.w, &r.p.breakers[st.Part.Participant]
	c := call{st.Part.Number, st.Verb}
	r.calls[c]++
	a := payment.Answer{Number: c.part, Verb: c.verb, Attempts: r.calls[c], Outcome: tcc.Unknown}
	heard := false
	hear := func(rc tcc.Receipt, err error) {
		if heard || r.p.dead || r.over {
			return
		}
		heard = true
		r.answers[i] = answer(a, rc, err, r.p.clock())
		if r.left--; r.left == 0 {
			r.gathered()
		}
	}
	leave, ok := br.allow(r.p.clock(), a.Attempts == 1)
	if !ok {
		w.after(0, func() { hear(tcc.Receipt{}, fault.CircuitOpen.New("")) })
		return
	}
	counted := func(rc tcc.Receipt, err error) {
		if heard || r.p.dead {
			return
		}
		known := tcc.OutcomeOf(err) != tcc.Unknown || fault.KindOf(err) == fault.Conflict
		opened, closed := br.record(r.p.clock(), leave, known)
		if opened {
			w.seen("breaker_opened")
		}
		hear(rc, err)
		if closed {
			r.p.closed(st.Part.Participant)
		}
	}
	w.judge.calling(r.pay, st)
	w.call(r.pay, st, counted)
	w.after(attemptTime, func() { counted(tcc.Receipt{}, fault.Timeout.New("")) })
}

// answer makes of what came back what is reported: after a decision there is no refusal.
func answer(a payment.Answer, rc tcc.Receipt, err error, now clock.Micros) payment.Answer {
	a.Outcome = tcc.OutcomeOf(err)
	if a.Verb != payment.VerbTry && a.Outcome == tcc.Refused {
		a.Outcome = tcc.Unknown
	}
	if err != nil {
		a.Code = fault.Of(err).Code
	}
	a.At, a.Book, a.Seq, a.Suspense = rc.At, rc.Book, rc.Seq, rc.Suspense
	if a.At == 0 {
		a.At = now
	}
	return a
}

// gathered goes on once every call of a step was answered or given up.
func (r *run) gathered() {
	var sure, unsure []payment.Answer
	for _, a := range r.answers {
		if a.Outcome == tcc.Unknown {
			unsure = append(unsure, a)
		} else {
			delete(r.calls, call{a.Number, a.Verb})
			sure = append(sure, a)
		}
	}
	if len(sure) == 0 {
		r.retry(unsure)
		return
	}
	r.report(sure, 0, func() {
		r.backoff = firstPause
		if len(unsure) == 0 {
			r.step()
			return
		}
		r.retry(unsure)
	})
}

// retry is recovery layer 1, until its time is over.
func (r *run) retry(unsure []payment.Answer) {
	w := r.p.w
	if w.mix.noWorker || shut(unsure) || r.p.clock()+r.backoff > r.deadline {
		r.report(unsure, 0, func() { r.giveBack(unsure) })
		return
	}
	pause := r.backoff/2 + w.draw(r.backoff/2)
	r.backoff = min(2*r.backoff, lastPause)
	w.after(pause, r.step)
}

// shut reports whether breakers kept all of the calls back: there is nothing to try again soon.
func shut(unsure []payment.Answer) bool {
	for _, a := range unsure {
		if a.Code != fault.CircuitOpen {
			return false
		}
	}
	return true
}

// giveBack hands the payment to the queue: recovery layer 2.
func (r *run) giveBack(unsure []payment.Answer) {
	p, pay := r.p, r.pay
	r.end(false)
	if !owes(payment.Owed(pay), unsure) { // decided otherwise meanwhile: what is owed now has not been tried
		p.drive(pay)
		return
	}
	if p.w.mix.noQueue {
		return
	}
	who := pay.Parts[unsure[0].Number-1].Participant
	p.waiting[r.key] = who
	p.probe(who)
	h := p.home(r.key)
	switch {
	case unsure[0].Code == fault.CircuitOpen && !p.breakers[who].open: // it has closed meanwhile
		p.drive(pay)
	case h != nil:
		h.submit(payment.Defer{Tenant: r.key.Tenant, ID: r.key.ID, Code: unsure[0].Code, Jitter: uint32(p.w.rnd.IntN(1000))},
			func(reply any, err error) {
				if rep, ok := reply.(payment.Reply); ok && err == nil && rep.Payment.Decision != pay.Decision {
					p.drive(rep.Payment)
				}
			})
	}
}

func owes(steps []payment.Step, answers []payment.Answer) bool {
	for _, st := range steps {
		for _, a := range answers {
			if st.Verb == a.Verb && st.Part.Number == a.Number {
				return true
			}
		}
	}
	return false
}

// report submits answers until it is heard what became of it; then goes on. A driver whose book was taken over ends.
func (r *run) report(answers []payment.Answer, n int, then func()) {
	w := r.p.w
	if r.p.dead || r.over {
		return
	}
	again := func() {
		w.after(firstPause<<min(n, 6), func() { r.report(answers, n+1, then) })
	}
	h := r.p.home(r.key)
	if h == nil {
		if to := w.route[book.Name("payment", r.key.ID.Volume(w.volumes))]; to != nil && to.p != r.p {
			r.end(false)
			return
		}
		again()
		return
	}
	h.submit(payment.Report{Tenant: r.key.Tenant, ID: r.key.ID, Answers: answers}, func(reply any, err error) {
		switch {
		case r.p.dead || r.over:
		case err == nil:
			r.pay = reply.(payment.Reply).Payment
			then()
		case fault.HasCode(err, fault.Fenced):
			r.end(false)
		default:
			again()
		}
	})
}

// end takes the driver off, and tells those who wait for it.
func (r *run) end(settled bool) {
	r.over = true
	if r.p.runs[r.key] == r {
		delete(r.p.runs, r.key)
	}
	for _, done := range r.done {
		done(settled)
	}
}
