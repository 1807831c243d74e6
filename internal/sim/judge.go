package sim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// Violation is an invariant that did not hold, with the seed that shows it.
type Violation struct {
	Seed      uint64 `json:"seed"`
	Invariant string `json:"invariant"`
	Message   string `json:"message"`
}

// judge follows the journal with machines of its own and watches what is said.
type judge struct {
	w          *World
	violations []Violation
	books      map[string]*shadow
	state      *book.MemState
	standing   map[book.Key]*payment.Standing // of every payment, as the journal tells it
	paid       map[book.Key]*gives            // of every charge: what refunds may give back
	keys       map[book.Key]bool              // bound, as the journal tells it
	since      map[book.Key]clock.Micros      // of the payments that are WORK_IN_PROGRESS
	caught     map[book.Key]bool              // those that were so when the faults ended
	waits      []clock.Micros                 // how long each of them took from then on
	watches    []*watch                       // queries that are not answered yet
	reads      int                            // answers to queries that were judged
	branches   map[tcc.Branch]*said
	answers    map[book.Key]*answered
	blocks     int
	quiet      bool // full checks at the end only
}

// shadow is a book as a replay of its journal gives it.
type shadow struct {
	name    string
	volume  int
	core    *book.Core
	machine book.Machine
	honest  book.Machine   // machine, without what was planted around it
	audit   *balance.Audit // of a balance book
}

func (s *shadow) balance() *balance.Machine { return s.honest.(*balance.Machine) }
func (s *shadow) points() *points.Machine   { return s.honest.(*points.Machine) }
func (s *shadow) code() *code.Machine       { return s.honest.(*code.Machine) }
func (s *shadow) payment() *payment.Machine { return s.honest.(*payment.Machine) }

// said is what a participant has answered to the verbs of one branch.
type said struct {
	account id.ID
	first   [5]*saying // by verb
	tried   bool       // a Try came in
}

type saying struct {
	code    string // "" for done
	receipt tcc.Receipt
}

// answered is what callers were told under one key.
type answered struct {
	print  [16]byte
	target id.ID  // of the payment or operation
	final  string // the facts of the final answer, "" before
}

// gives is how much of a charge was captured and how much refunds give back.
type gives struct{ amount, refunds int64 }

func newJudge(w *World) *judge {
	return &judge{w: w, books: make(map[string]*shadow), state: book.NewMemState(), standing: make(map[book.Key]*payment.Standing),
		since: make(map[book.Key]clock.Micros), caught: make(map[book.Key]bool), paid: make(map[book.Key]*gives), keys: make(map[book.Key]bool), branches: make(map[tcc.Branch]*said),
		answers: make(map[book.Key]*answered)}
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
	delete(j.since, k)
	if j.caught[k] {
		delete(j.caught, k)
		j.waits = append(j.waits, j.w.now-j.w.calmAt)
	}
}

// stuck reports whether a payment has been under way for longer than anything may take once the faults have ended (I19).
func (j *judge) stuck(k book.Key) bool {
	return j.w.over && j.w.now-max(j.since[k], j.w.calmAt) >= settleTime
}

// fullEvery is how many blocks pass between two full checks while the world lives.
const fullEvery = 40

// landed follows a block that has just become durable (I24).
func (j *judge) landed(b *journal.Block) {
	s := j.books[b.Book]
	if s == nil {
		v := volumeOf(b.Book)
		honest := j.w.machine(b.Book, v)
		m := j.w.around(b.Book, honest)
		s = &shadow{name: b.Book, volume: v, machine: m, honest: honest, core: book.NewCore(b.Book, v, m), audit: balance.NewAudit()}
		s.core.Restore(book.Position{Head: journal.Head{Book: b.Book}})
		j.books[b.Book] = s
	}
	for _, e := range b.Events {
		if e.Type < book.FirstEventType {
			continue
		}
		ev, err := s.machine.Decode(e.Type, e.Body)
		if err != nil {
			j.fail("I24", "%s block %d: %v", b.Book, b.Seq, err)
			return
		}
		switch {
		case isPayment(b.Book):
			j.event(ev)
		case strings.HasPrefix(b.Book, "balance/"):
			s.audit.Add(ev)
		}
	}
	if wants, err := s.core.Replay(b); err != nil || wants != nil {
		j.fail("I7", "%s block %d does not follow: %v, wants %v", b.Book, b.Seq, err, wants)
	}
	j.looks(b.Book, len(b.Events))
	if j.blocks++; j.blocks%fullEvery == 0 && !j.quiet {
		j.check(false)
	}
}

// event follows one event of a payment.
func (j *judge) event(ev any) {
	switch e := ev.(type) {
	case payment.Started:
		p := e.Payment
		k := book.Key{Tenant: p.Tenant, ID: p.ID}
		j.bind(e.Key)
		if j.standing[k] != nil {
			j.fail("I21", "payment %v was started twice", k)
		}
		s := p.Standing
		j.standing[k] = &s
		j.under(k, true)
		j.starts(p)
	case payment.Advanced:
		j.moves(book.Key{Tenant: e.Tenant, ID: e.ID}, e.Parent, e.Standing)
	case payment.Decided:
		if !e.Operation.IsNil() {
			j.bind(e.Key)
		}
		switch e.Cause {
		case payment.ByGiveUp:
			j.w.seen("gave_up")
		case payment.ByExpiry:
			j.w.seen("authorization_expired")
		case payment.ByVoid:
			j.w.seen("voided")
		}
		j.moves(book.Key{Tenant: e.Tenant, ID: e.ID}, e.Parent, e.Standing)
	case payment.Deferred:
		j.w.seen("deferred")
	case payment.Declined:
		j.w.seen("declined_operation")
		j.bind(e.Key)
	}
}

func (j *judge) bind(k book.Key) {
	if j.keys[k] {
		j.fail("I21", "key %v was bound twice", k)
	}
	j.keys[k] = true
}

// starts counts what a refund gives back, until it fails (I18).
func (j *judge) starts(p payment.Payment) {
	if p.Parent.IsNil() {
		j.paid[book.Key{Tenant: p.Tenant, ID: p.ID}] = &gives{amount: p.Amount.Minor}
		return
	}
	charge, of := j.paid[book.Key{Tenant: p.Tenant, ID: p.Parent}], book.Key{Tenant: p.Tenant, ID: p.ID}
	if charge == nil {
		j.fail("I18", "refund %v of a payment that does not exist", of)
		return
	}
	j.paid[of] = &gives{refunds: p.Amount.Minor}
	if charge.refunds += p.Amount.Minor; charge.refunds > charge.amount {
		j.fail("I18", "%d is given back of %d", charge.refunds, charge.amount)
	}
}

// edges is the published graph of a payment's status.
var edges = map[[2]payment.Status]bool{
	{payment.Accepted, payment.Authorized}: true, {payment.Accepted, payment.Captured}: true, {payment.Accepted, payment.Failed}: true,
	{payment.Accepted, payment.Succeeded}: true, {payment.Authorized, payment.Captured}: true, {payment.Authorized, payment.Voided}: true,
	{payment.Authorized, payment.Expired}: true,
}

// moves follows a payment from one standing to the next (I10, I16).
func (j *judge) moves(k book.Key, parent id.ID, to payment.Standing) {
	s := j.standing[k]
	if s == nil {
		j.fail("I10", "payment %v moves before it was started", k)
		return
	}
	switch {
	case s.Status != to.Status && !edges[[2]payment.Status{s.Status, to.Status}]:
		j.fail("I10", "payment %v went from %v to %v", k, s.Status, to.Status)
	case s.Resource != payment.WorkInProgress && !(s.Status == payment.Authorized && s.Resource == payment.Wait):
		j.fail("I10", "payment %v moved on after it had ended as %v", k, s.Status)
	case to.Phase < s.Phase || to.Rollback < s.Rollback:
		j.fail("I10", "payment %v fell back from %v %v to %v %v", k, s.Phase, s.Rollback, to.Phase, to.Rollback)
	case (s.Decision == payment.Confirm || s.Decision == payment.Cancel) && to.Decision != s.Decision:
		j.fail("I16", "the decision on payment %v changed from %v to %v", k, s.Decision, to.Decision)
	}
	if way := to.Resource == payment.WorkInProgress; way != (s.Resource == payment.WorkInProgress) {
		j.under(k, way)
	}
	if to.Status == payment.Failed && s.Status != payment.Failed {
		j.w.seen("failed_" + string(to.Failure))
		if g := j.paid[k]; g != nil && !parent.IsNil() {
			j.paid[book.Key{Tenant: k.Tenant, ID: parent}].refunds -= g.refunds
		}
	}
	*s = to
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
	case payment.VerbConfirm:
		ok = s.Decision == payment.Confirm || s.Decision == payment.Authorize && st.Part.Role == payment.Claim
	case payment.VerbAdd:
		ok = s.Decision == payment.Confirm
	case payment.VerbCancel:
		ok = s.Decision == payment.Cancel
	}
	// An authorized claim may still be on its way out when the payment is voided; the session stays used.
	if !ok && !(st.Part.Role == payment.Claim && st.Verb == payment.VerbConfirm && s.Phase >= payment.Tried) {
		j.fail("I16", "a %v for payment %v, about which %q is decided", st.Verb, k, s.Decision)
	}
}

func (j *judge) branch(b tcc.Branch) *said {
	s := j.branches[b]
	if s == nil {
		s = &said{}
		j.branches[b] = s
	}
	return s
}

// answered checks an answer of a participant against those before (I12 … I15).
func (j *judge) answered(b tcc.Branch, account id.ID, v payment.Verb, rc tcc.Receipt, err error) {
	s := j.branch(b)
	s.account = account
	o := tcc.OutcomeOf(err)
	if o == tcc.Unknown {
		if fault.HasCode(err, fault.IDReused) {
			j.fail("I15", "%v of branch %v was asked for with two bodies", v, b)
		}
		return
	}
	now := &saying{receipt: rc}
	if err != nil {
		now.code = string(fault.Of(err).Code)
	}
	j.unusual(s, v, now)
	s.tried = s.tried || v == payment.VerbTry
	first := s.first[v]
	if first == nil {
		s.first[v] = now
	}
	cancelled := s.first[payment.VerbCancel] != nil
	switch {
	case v == payment.VerbTry && cancelled:
		if now.code == "" {
			j.fail("I14", "a Try of branch %v after its Cancel was answered with done", b)
		}
	case first != nil && *first != *now:
		j.fail("I15", "%v of branch %v was answered with %+v and then with %+v", v, b, *first, *now)
	case v != payment.VerbTry && o == tcc.Refused:
		j.fail("I11", "%v of branch %v was refused: %s", v, b, now.code)
	case cancelled && s.first[payment.VerbConfirm] != nil:
		j.fail("I12", "branch %v was confirmed and cancelled", b)
	}
}

// unusual counts the anomalies of TCC that were reached.
func (j *judge) unusual(s *said, v payment.Verb, now *saying) {
	switch {
	case s.first[v] != nil:
		j.w.seen("duplicate_" + v.String())
	case v == payment.VerbCancel && !s.tried:
		j.w.seen("empty_cancel")
	}
	if v == payment.VerbTry {
		switch now.code {
		case string(fault.TryAfterCancel):
			j.w.seen("late_try")
		case string(fault.TryTooLate):
			j.w.seen("try_after_deadline")
		}
	}
	if now.receipt.Suspense {
		j.w.seen("landed_in_suspense")
	}
}

// told checks what a caller is told under its key (I20 … I23).
func (j *judge) told(c payment.Caller, r payment.Reply, err error) {
	t := j.answers[c.Key]
	if fault.HasCode(err, fault.IdempotencyKeyReused) {
		j.w.seen("key_reused")
	}
	if err != nil || r.Payment == nil {
		return
	}
	target := r.Payment.ID
	final := ""
	switch {
	case r.Operation != nil:
		target = r.Operation.Payment
		if r.Operation.DoneAt > 0 {
			final = fmt.Sprint(r.Operation.Cause, r.Operation.Code, r.Operation.DoneAt, r.Operation.Status)
		}
	case r.Payment.SettledAt > 0:
		final = fmt.Sprint(r.Payment.SettledAt, r.Payment.SettledStatus)
	}
	if t == nil {
		j.answers[c.Key] = &answered{c.Fingerprint, target, final}
		return
	}
	j.w.seen("key_replayed")
	switch {
	case t.print != c.Fingerprint:
		j.fail("I22", "key %v was answered for two bodies", c.Key)
	case t.target != target:
		j.fail("I21", "key %v made %x and %x", c.Key, t.target, target)
	case t.final != "" && t.final != final:
		j.fail("I23", "key %v was answered with %q and then with %q", c.Key, t.final, final)
	case t.final == "":
		t.final = final
	}
}

func (j *judge) shadows(service string) (out []*shadow) {
	for _, name := range j.w.names {
		if s := j.books[name]; s != nil && strings.HasPrefix(name, service+"/") {
			out = append(out, s)
		}
	}
	return out
}

func (j *judge) eachPayment(f func(k book.Key, p *payment.Payment)) {
	for _, s := range j.shadows("payment") {
		var list []*payment.Payment
		s.payment().EachPayment(func(p *payment.Payment) { list = append(list, p) })
		slices.SortFunc(list, func(a, b *payment.Payment) int { return a.ID.Compare(b.ID) })
		for _, p := range list {
			f(book.Key{Tenant: p.Tenant, ID: p.ID}, p)
		}
	}
}

// check holds every book to its own invariants, and all books together to those between them.
func (j *judge) check(end bool) {
	for _, s := range j.shadows("balance") {
		for _, v := range balance.Check(s.balance()) {
			j.fail(v.Invariant, "%s %v: %s", s.name, v.Key, v.Message)
		}
		if end {
			for _, v := range s.audit.Compare(s.balance()) {
				j.fail(v.Invariant, "%s %v: %s", s.name, v.Key, v.Message)
			}
		}
	}
	for _, s := range j.shadows("points") {
		for _, f := range s.points().Check() {
			j.found(s, f.Invariant, f.Violations)
		}
	}
	for _, s := range j.shadows("code") {
		for _, f := range s.code().Check() {
			j.found(s, f.Invariant, f.Violations)
		}
	}
	j.together(end)
}

func (j *judge) found(s *shadow, invariant string, violations []string) {
	for _, v := range violations {
		j.fail(invariant, "%s %s", s.name, v)
	}
}
