package payment

import (
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// waitlist knows the payments that the queue has, and for whom they wait. First in, first asked.
type waitlist struct {
	on    map[book.Key]wait
	order [participants][]book.Key // those that have left are skipped, and cleared away now and then
}

// wait is what one payment waits for.
type wait struct {
	who     Participant
	verb    Verb
	code    fault.Code // of the last answer
	refuses bool       // it says no to what was decided, which it has no right to: a person has to look
	since   clock.Micros
}

// refuses reports whether an answer says no to what was decided.
func (a *Answer) refuses() bool {
	return a.Verb != VerbTry && a.Code != "" && tcc.OutcomeOf(a.Code.New("")) == tcc.Refused
}

func newWaitlist() waitlist { return waitlist{on: make(map[book.Key]wait)} }

// add puts a payment on, or notes what it waits for by now. It reports whether its participant refuses since then.
func (l *waitlist) add(k book.Key, w wait) (refuses bool) {
	was, ok := l.on[k]
	if ok && was.who == w.who {
		w.since = was.since
		l.on[k] = w
		return w.refuses && !was.refuses
	}
	l.on[k] = w
	l.order[w.who] = append(l.order[w.who], k)
	if len(l.order[w.who]) > 2*len(l.on)+64 {
		l.clear(w.who)
	}
	return w.refuses
}

// remove takes a payment off, and says for whom it waited.
func (l *waitlist) remove(k book.Key) (p Participant, waited bool) {
	w, waited := l.on[k]
	delete(l.on, k)
	return w.who, waited
}

func (l *waitlist) has(k book.Key) bool {
	_, ok := l.on[k]
	return ok
}

func (l *waitlist) clear(p Participant) {
	seen := make(map[book.Key]bool, len(l.on))
	l.order[p] = slices.DeleteFunc(l.order[p], func(k book.Key) bool {
		here := l.waits(k, p) && !seen[k]
		seen[k] = true
		return !here
	})
}

func (l *waitlist) waits(k book.Key, p Participant) bool {
	w, ok := l.on[k]
	return ok && w.who == p
}

// all returns those that wait for a participant, in the order in which they came.
func (l *waitlist) all(p Participant) []book.Key {
	l.clear(p)
	return slices.Clone(l.order[p])
}

// first returns the first that waits for a participant and passes the filter, and puts it last.
func (l *waitlist) first(p Participant, pass func(book.Key) bool) (book.Key, bool) {
	for i, k := range l.order[p] {
		if !l.waits(k, p) || !pass(k) {
			continue
		}
		l.order[p] = append(slices.Delete(l.order[p], i, i+1), k)
		return k, true
	}
	return book.Key{}, false
}

// Waiting are the payments that wait for one verb of one participant.
type Waiting struct {
	Participant Participant
	Verb        Verb
	Payments    int
	Refused     int          // of them, whose participant refuses what was decided
	Oldest      clock.Micros // since when the first of them waits
	Example     book.Key     // the first of them, one that is refused if any is
	Code        fault.Code   // what the participant said to it last
}

// waiting sums the list up, by participant and verb.
func (l *waitlist) waiting() (out []Waiting) {
	for k, w := range l.on {
		i := slices.IndexFunc(out, func(x Waiting) bool { return x.Participant == w.who && x.Verb == w.verb })
		if i < 0 {
			i = len(out)
			out = append(out, Waiting{Participant: w.who, Verb: w.verb, Oldest: w.since, Example: k, Code: w.code})
		}
		x := &out[i]
		x.Payments++
		first := w.since < x.Oldest
		x.Oldest = min(x.Oldest, w.since)
		if w.refuses {
			x.Refused++
			first = x.Refused == 1 || first
		}
		if first && (w.refuses || x.Refused == 0) {
			x.Example, x.Code = k, w.code
		}
	}
	slices.SortFunc(out, func(a, b Waiting) int { return int(a.Participant)*8 + int(a.Verb) - int(b.Participant)*8 - int(b.Verb) })
	return out
}
