package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/judge"
)

// Report is what was found, in the form that koban verify prints.
type Report struct {
	OK         bool        `json:"ok"`
	Rehearsal  bool        `json:"rehearsal"` // the books were made to rehearse on, for good: their times and their money are made up
	Light      bool        `json:"light"`     // little was judged, see NotChecked
	NotChecked []string    `json:"not_checked"`
	Books      []Book      `json:"books"`
	Invariants []Invariant `json:"invariants"`

	Checkpoint *journal.Checkpoint `json:"-"` // of what was judged, if one was asked for
}

// Book is one book at the cut.
type Book struct {
	Name   string `json:"name"`
	Blocks uint64 `json:"blocks"`
	Head   string `json:"head"` // hash of the last block, in hexadecimal
}

// Invariant says how often something that must hold was checked, and where it does not hold.
type Invariant struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Checked    int64    `json:"checked"`
	Violations int64    `json:"violations"`
	Examples   []string `json:"examples"` // a few of them
}

// titles are the invariants, in the order in which they are told.
var titles = []struct{ id, title string }{
	{"I1", "every entry balances"},
	{"I2", "every book balances, in every currency"},
	{"I3", "what stands on an account is the sum of its entries"},
	{"I4", "no account is below zero that must not be"},
	{"I5", "what is held is what open holds hold, each of one unfinished payment"},
	{"I6", "a hold ends once, and takes no more than was held"},
	{"I7", "blocks are chained from the first to the last, and none was changed"},
	{"I8", "no entry changes the currency of an account"},
	{"I10", "payments took only the ways that there are"},
	{"I11", "participants and payment agree how it ended"},
	{"I12", "every verb took effect at most once, with the amount of the payment"},
	{"I13", "a cancelled part is let go, or fenced"},
	{"I14", "nothing was set aside after its cancel, or after its time"},
	{"I16", "a decision was durable before it was carried out, and never changed"},
	{"I18", "no more was captured than authorized, no more given back than captured"},
	{"I21", "one key stands for one payment or operation"},
	{"I24", "the state tables are what the journal says"},
	{"I25", "the feeds numbered every block that they say, once"},
	{"P1", "lots of points sum to their account"},
	{"P2", "what is held of a lot is what open branches hold of it"},
	{"P3", "points were taken from the lots that the branch names"},
	{"P4", "no more points returned to a lot than were taken of it"},
	{"P6", "no points were held of a lot that had expired"},
	{"BL7", "nothing was set aside on a suspended account"},
	{"BL8", "no more was brought in than can be counted exactly"},
	{"C1", "a session is with the one branch that has it"},
	{"C4", "a session was paid by its customer, to its shop"},
	{"C5", "every store id leads to its shop"},
	{"X1", "payment_clearing is what was decided and taken, and not yet added"},
	{"X2", "points_redeemed is what points_funding paid for, but for payments under way"},
	{"X3", "what is taken and added of one payment has one business time: its own, or its capture's"},
}

// Invariants returns the names of the invariants that are judged.
func Invariants() []string {
	out := make([]string, len(titles))
	for i, t := range titles {
		out[i] = t.id
	}
	return out
}

// maxExamples is how many violations of one invariant are told.
const maxExamples = 10

// findings collects what is found. It is safe for concurrent use.
type findings struct {
	mu sync.Mutex
	by map[string]*Invariant
}

func newFindings() *findings {
	l := &findings{by: map[string]*Invariant{}}
	for _, t := range titles {
		l.by[t.id] = &Invariant{ID: t.id, Title: t.title, Examples: []string{}}
	}
	return l
}

func (l *findings) of(id string) *Invariant {
	i := l.by[id]
	if i == nil {
		i = &Invariant{ID: id, Examples: []string{}}
		l.by[id] = i
	}
	return i
}

// count says that an invariant was checked n times.
func (l *findings) count(id string, n int64) {
	l.mu.Lock()
	l.of(id).Checked += n
	l.mu.Unlock()
}

// wrong says where an invariant does not hold.
func (l *findings) wrong(id, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.of(id)
	i.Violations++
	if len(i.Examples) < maxExamples {
		i.Examples = append(i.Examples, fmt.Sprintf(format, args...))
	}
}

// violation says what the judge found.
func (l *findings) violation(v judge.Violation) {
	id := v.Invariant
	v.Invariant = ""
	l.wrong(id, "%s", strings.TrimPrefix(v.String(), ": "))
}

// damage reports an error that says that the journal is damaged, and returns any other.
func (l *findings) damage(err error) error {
	var d *journal.Damage
	switch {
	case errors.As(err, &d):
		l.wrong("I7", "%v", d)
	case isDamage(err):
		l.wrong("I7", "%v", err)
	default:
		return err
	}
	return nil
}

// check counts, and says what is wrong unless ok.
func (l *findings) check(ok bool, id, format string, args ...any) {
	l.count(id, 1)
	if !ok {
		l.wrong(id, format, args...)
	}
}

// list returns the invariants, those of the list first.
func (l *findings) list() (out []Invariant, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok = true
	left := map[string]*Invariant{}
	for id, i := range l.by {
		slices.Sort(i.Examples)
		ok = ok && i.Violations == 0
		left[id] = i
	}
	for _, t := range titles {
		out = append(out, *left[t.id])
		delete(left, t.id)
	}
	var rest []Invariant
	for _, i := range left {
		rest = append(rest, *i)
	}
	slices.SortFunc(rest, func(a, b Invariant) int { return strings.Compare(a.ID, b.ID) })
	return append(out, rest...), ok
}
