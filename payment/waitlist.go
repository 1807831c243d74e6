package payment

import (
	"slices"

	"github.com/koban-pay/koban/internal/book"
)

// waitlist knows the payments that the queue has, and for whom they wait. First in, first asked.
type waitlist struct {
	on    map[book.Key]Participant
	order [participants][]book.Key // those that have left are skipped, and cleared away now and then
}

func newWaitlist() waitlist { return waitlist{on: make(map[book.Key]Participant)} }

func (w *waitlist) add(k book.Key, p Participant) {
	if was, ok := w.on[k]; ok && was == p {
		return
	}
	w.on[k] = p
	w.order[p] = append(w.order[p], k)
	if len(w.order[p]) > 2*len(w.on)+64 {
		w.clear(p)
	}
}

// remove takes a payment off, and says for whom it waited.
func (w *waitlist) remove(k book.Key) (p Participant, waited bool) {
	p, waited = w.on[k]
	delete(w.on, k)
	return p, waited
}

func (w *waitlist) clear(p Participant) {
	seen := make(map[book.Key]bool, len(w.on))
	w.order[p] = slices.DeleteFunc(w.order[p], func(k book.Key) bool {
		here := w.on[k] == p && !seen[k]
		seen[k] = true
		return !here
	})
}

// all returns those that wait for a participant, in the order in which they came.
func (w *waitlist) all(p Participant) []book.Key {
	w.clear(p)
	return slices.Clone(w.order[p])
}

// first returns the first that waits for a participant and passes the filter, and puts it last.
func (w *waitlist) first(p Participant, pass func(book.Key) bool) (book.Key, bool) {
	for i, k := range w.order[p] {
		if w.on[k] != p || !pass(k) {
			continue
		}
		w.order[p] = append(slices.Delete(w.order[p], i, i+1), k)
		return k, true
	}
	return book.Key{}, false
}

func (w *waitlist) count() int { return len(w.on) }
