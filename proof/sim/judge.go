package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	rules "github.com/koban-pay/koban/judge"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// Violation is an invariant that did not hold, with the seed that shows it.
type Violation struct {
	Seed      uint64 `json:"seed"`
	Invariant string `json:"invariant"`
	Message   string `json:"message"`
}

// judge watches what only a simulator can see: what callers and participants are told, what is called, whether everything
// comes to an end. The books it leaves to the audit of judge, block by block.
type judge struct {
	w          *World
	violations []Violation
	books      map[string]*shadow
	state      *book.MemState
	standing   map[book.Key]*payment.Standing // of every payment, as the journal tells it
	audit      *rules.Judge                   // the invariants of the books
	alone      bool                           // a test plays the coordinator: there are no payments to hold the participants to
	found      []rules.Violation              // by the block that is being judged
	keys       map[book.Key]bool              // bound, as the journal tells it
	since      map[book.Key]clock.Micros      // of the payments that are WORK_IN_PROGRESS
	caught     map[book.Key]bool              // those that were so when the faults ended
	waits      []clock.Micros                 // how long each of them took from then on
	longest    clock.Micros                   // that anything was under way since it was set to zero
	watches    []*watch                       // queries that are not answered yet
	reads      int                            // answers to queries that were judged
	branches   map[tcc.Branch]*said
	answers    map[book.Key]*answered
}

// shadow is a book as a replay of its journal gives it.
type shadow struct {
	name    string
	volume  int
	core    *book.Core
	machine book.Machine
	honest  book.Machine // machine, without what was planted around it
}

func newJudge(w *World) *judge {
	j := &judge{
		w: w, books: make(map[string]*shadow), state: book.NewMemState(), standing: make(map[book.Key]*payment.Standing),
		since: make(map[book.Key]clock.Micros), caught: make(map[book.Key]bool), keys: make(map[book.Key]bool), branches: make(map[tcc.Branch]*said),
		answers: make(map[book.Key]*answered),
	}
	j.audit = rules.New(rules.Config{Volumes: w.volumes, Found: func(v rules.Violation) { j.found = append(j.found, v) }})
	return j
}

func (j *judge) fail(invariant, format string, args ...any) {
	v := Violation{Invariant: invariant, Message: fmt.Sprintf("at %d µs: ", j.w.now-morning) + fmt.Sprintf(format, args...)}
	j.w.trace("VIOLATION %s %s", v.Invariant, v.Message)
	j.violations = append(j.violations, v)
}

func (j *judge) unfinished() bool { return len(j.since) > 0 }

// peace notes what the faults have caught under way.
func (j *judge) peace() {
	for k := range j.since {
		j.caught[k] = true
	}
}

// under follows whether the platform still has something to do for a payment.
func (j *judge) under(k book.Key, way bool) {
	if way {
		j.since[k] = j.w.now
		return
	}
	j.longest = max(j.longest, j.w.now-j.since[k])
	delete(j.since, k)
	if j.caught[k] {
		delete(j.caught, k)
		if !j.w.mix.noProbe {
			j.waits = append(j.waits, j.w.now-j.w.calmAt)
		}
	}
}

// waited counts what is still under way among what took long.
func (j *judge) waited() {
	for _, at := range j.since {
		j.longest = max(j.longest, j.w.now-at)
	}
}

// stuck reports whether a payment has been under way for longer than anything may take once the faults have ended (I19).
func (j *judge) stuck(k book.Key) bool {
	return j.w.now-max(j.since[k], j.w.calmAt) >= settleTime
}

// landed follows a block that has just become durable (I24).
func (j *judge) landed(b *journal.Block) {
	s := j.books[b.Book]
	if s == nil {
		v := volumeOf(b.Book)
		honest := j.w.machine(b.Book)
		m := j.w.around(b.Book, honest)
		s = &shadow{name: b.Book, volume: v, machine: m, honest: honest, core: book.NewCore(b.Book, v, m)}
		s.core.Restore(book.Position{Head: journal.Head{Book: b.Book}})
		j.books[b.Book] = s
	}
	if isPayment(b.Book) && !(j.events(s, b) && j.notes(s, b)) {
		return
	}
	if wants, err := s.core.Replay(b); err != nil || wants != nil {
		j.fail("I7", "%s block %d does not follow: %v, wants %v", b.Book, b.Seq, err, wants)
	}
	j.looks(b.Book, len(b.Events))
	if !j.alone {
		j.audited(func() {
			j.audit.Block(b)
			j.audit.Cut()
		})
	}
}

// events follows the events of a payment's block.
func (j *judge) events(s *shadow, b *journal.Block) bool {
	for _, e := range b.Events {
		if e.Type < book.FirstEventType {
			continue
		}
		ev, err := s.machine.Decode(e.Type, e.Body)
		if err != nil {
			j.fail("I24", "%s block %d: %v", b.Book, b.Seq, err)
			return false
		}
		j.event(ev)
	}
	return true
}

// notes requires a block's notes to be those that its events refer to: what is refused leaves none behind, and no payment is
// without what its caller said (B14).
func (j *judge) notes(s *shadow, b *journal.Block) bool {
	left := make(map[string]bool)
	for _, n := range b.Notes {
		left[string(n.ID)] = true
	}
	for _, e := range b.Events {
		if e.Type < book.FirstEventType {
			continue
		}
		ev, _ := s.machine.Decode(e.Type, e.Body) // events has done so
		p, ok := ev.(payment.Started)
		if !ok || !p.Payment.Noted {
			continue
		}
		if !left[string(p.Payment.ID[:])] {
			j.fail("B14", "%s block %d: the note of payment %s is not in its commit", b.Book, b.Seq, p.Payment.ID)
			return false
		}
		delete(left, string(p.Payment.ID[:]))
	}
	for x := range left {
		j.fail("B14", "%s block %d: a note stands for %x, and no payment for it", b.Book, b.Seq, x)
		return false
	}
	return true
}

// audited fails with what the audit of the books finds, in an order that depends on nothing.
func (j *judge) audited(audit func()) {
	j.found = j.found[:0]
	audit()
	slices.SortFunc(j.found, func(a, b rules.Violation) int { return strings.Compare(a.String(), b.String()) })
	for _, v := range j.found {
		_, what, _ := strings.Cut(v.String(), ": ")
		j.fail(v.Invariant, "%s", what)
	}
}

// causes are the anomalies that decisions stand for.
var causes = map[payment.Cause]string{payment.ByGiveUp: "gave_up", payment.ByExpiry: "authorization_expired", payment.ByVoid: "voided"}

// event follows one event of a payment.
func (j *judge) event(ev any) {
	switch e := ev.(type) {
	case payment.Started:
		p := e.Payment
		k := book.Key{Tenant: p.Tenant, ID: p.ID}
		j.keys[e.Key] = true
		s := p.Standing
		j.standing[k] = &s
		j.under(k, true)
	case payment.Advanced:
		if !j.alone {
			j.heard(e)
		}
		j.moves(book.Key{Tenant: e.Tenant, ID: e.ID}, e.Standing)
	case payment.Decided:
		if !e.Operation.IsNil() {
			j.keys[e.Key] = true
		}
		if what, ok := causes[e.Cause]; ok {
			j.w.seen(what)
		}
		j.moves(book.Key{Tenant: e.Tenant, ID: e.ID}, e.Standing)
	case payment.Deferred:
		j.w.seen("deferred")
		if s := j.standing[book.Key{Tenant: e.Tenant, ID: e.ID}]; s != nil && s.Decision == payment.Confirm {
			j.w.seen("one_confirms_other_waits")
		}
	case payment.Declined:
		j.w.seen("declined_operation")
		j.keys[e.Key] = true
	}
}

// moves follows a payment from one standing to the next.
func (j *judge) moves(k book.Key, to payment.Standing) {
	s := j.standing[k]
	if s == nil {
		return // the audit has told so
	}
	if way := to.Resource == payment.WorkInProgress; way != (s.Resource == payment.WorkInProgress) {
		j.under(k, way)
	}
	if to.Status == payment.Failed && s.Status != payment.Failed {
		j.w.seen("failed_" + string(to.Failure))
	}
	*s = to
}

// saves judges that what goes into the tables is in the journal (I24).
func (j *judge) saves(set *book.SaveSet) {
	if !j.w.disk.has(set.To) {
		j.fail("I24", "%s is saved as of block %d, which is not durable", set.Book, set.To.Seq)
	}
}

// heard judges that what a payment writes down as an answer is what its participant has said (I17): a timeout is no answer.
func (j *judge) heard(e payment.Advanced) {
	for _, a := range e.Answers {
		if a.Outcome == tcc.Unknown {
			continue
		}
		b := tcc.Branch{Tenant: e.Tenant, ID: e.ID.Facet(a.Number)}
		said := j.branch(b).first[a.Verb]
		if said == nil || (said.code == "") != (a.Outcome == tcc.Done) {
			j.fail("I17", "payment %x has it that a %v of part %d was %v, and nobody has said so", e.ID, a.Verb, a.Number, a.Outcome)
		}
	}
}

// decides reports whether a block holds a decision about a payment.
func (j *judge) decides(b *journal.Block) bool {
	s := j.books[b.Book]
	if s == nil || !isPayment(b.Book) {
		return false
	}
	for _, e := range b.Events {
		if e.Type < book.FirstEventType {
			continue
		}
		ev, _ := s.machine.Decode(e.Type, e.Body)
		if a, ok := ev.(payment.Advanced); ok {
			if was := j.standing[book.Key{Tenant: a.Tenant, ID: a.ID}]; was != nil && was.Decision != a.Standing.Decision {
				return true
			}
		}
		if _, ok := ev.(payment.Decided); ok {
			return true
		}
	}
	return false
}

// calling checks a call on its way out: no second phase before its decision is durable (I16).
func (j *judge) calling(p *payment.Payment, st payment.Step) {
	k := book.Key{Tenant: p.Tenant, ID: p.ID}
	s := j.standing[k]
	if s == nil {
		j.fail("I16", "a %v for payment %v, which is not durable", st.Verb, k)
		return
	}
	ok := true
	switch st.Verb {
	case payment.VerbTry:
	case payment.VerbConfirm:
		ok = s.Decision == payment.Confirm || s.Decision == payment.Authorize && st.Part.Role == payment.Claim
	case payment.VerbAdd:
		ok = s.Decision == payment.Confirm
	case payment.VerbCancel:
		ok = s.Decision == payment.Cancel
	}
	// An authorized claim may still be on its way out when the payment is voided; the session stays used.
	late := st.Part.Role == payment.Claim && st.Verb == payment.VerbConfirm && s.Phase >= payment.Tried
	if !ok && !late {
		j.fail("I16", "a %v for payment %v, about which %q is decided", st.Verb, k, s.Decision)
	}
}

// shadows calls f for the replay of every book of a service.
func (j *judge) shadows(of service, f func(*shadow)) {
	for _, name := range j.w.names {
		if s := j.books[name]; s != nil && j.w.sides[name] == of {
			f(s)
		}
	}
}

func (j *judge) eachPayment(f func(k book.Key, p *payment.Payment)) {
	j.shadows(paymentSide{}, func(s *shadow) {
		var list []*payment.Payment
		s.honest.(*payment.Machine).EachPayment(func(p *payment.Payment) { list = append(list, p) })
		slices.SortFunc(list, func(a, b *payment.Payment) int { return a.ID.Compare(b.ID) })
		for _, p := range list {
			f(book.Key{Tenant: p.Tenant, ID: p.ID}, p)
		}
	})
}
