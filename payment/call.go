package payment

import (
	"sync/atomic"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// usualTries is how many verbs parts hear in a round, and in all, of most payments.
const usualTries = 6

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
	step   Step
	leave  permit  // of the participant's breaker
	answer *Answer // of the round's
	tries  uint32
	made   clock.Micros
	let    bool // by the breaker; it is not made otherwise
	heard  atomic.Bool
}

// make makes the call, unless the participant's breaker keeps it back.
func (c *call) make() {
	if !c.let {
		c.hear(tcc.Receipt{}, fault.CircuitOpen.New(""))
		return
	}
	c.made = c.r.d.host.Now()
	c.r.d.host.Call(c.r.p, c.step, c.hear)
}

// hear takes the answer that comes first: the participant's, that of our patience, or the breaker's.
func (c *call) hear(rc tcc.Receipt, err error) {
	if !c.heard.CompareAndSwap(false, true) {
		return
	}
	a := Answer{Outcome: tcc.OutcomeOf(err), At: rc.At, Book: rc.Book, Seq: rc.Seq, Suspense: rc.Suspense}
	who, verb, now := c.step.Part.Participant, c.step.Verb, c.r.d.host.Now()
	if c.let {
		c.r.d.breakers[who].record(c.leave, a.Outcome != tcc.Unknown || fault.KindOf(err) == fault.Conflict)
		c.r.d.counts.calls[who][verb].Count(now - c.made)
	}
	if refusesDecided(verb, a.Outcome) {
		// After a decision there is no refusal: a participant that says no breaks the contract, and is asked again
		// until a person has mended it. The waitlist raises the alarm.
		a.Outcome = tcc.Unknown
		c.r.d.counts.refused[who][verb].Add(1)
	}
	a.Outcome = believed(verb, a.Outcome)
	if err != nil {
		a.Code = fault.Of(err).Code
	}
	if c.let && a.Outcome == tcc.Unknown {
		c.r.d.counts.unknown.Add(1)
	}
	if a.At == 0 {
		a.At = now
	}
	a.Number, a.Verb, a.Attempts = c.step.Part.Number, verb, c.tries
	*c.answer = a
	c.r.one()
}
