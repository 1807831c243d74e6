package sim

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// said is what a participant has answered to the verbs of one branch.
type said struct {
	first [5]*saying      // by verb
	last  [5]clock.Micros // when it was answered last, by verb
	tried bool            // a Try came in
}

// held reports whether a Try was done, and nothing followed it.
func (s *said) held() bool {
	t := s.first[payment.VerbTry]
	return t != nil && t.code == "" && s.first[payment.VerbConfirm] == nil && s.first[payment.VerbCancel] == nil
}

type saying struct {
	code    string // "" for done
	receipt tcc.Receipt
}

// answered is what callers were told under one key.
type answered struct {
	print     [16]byte
	target    id.ID  // of the payment or operation
	final     string // the facts of the final answer, "" before
	operation bool   // it was a capture, a void or a refund that was declined
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
func (j *judge) answered(b tcc.Branch, v payment.Verb, rc tcc.Receipt, err error) {
	s := j.branch(b)
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
	j.unusual(b, s, v, now)
	s.tried = s.tried || v == payment.VerbTry
	first := s.first[v]
	if first == nil {
		s.first[v] = now
	}
	// A Cancel whose answer nobody has heard counts as well.
	cancelled := s.first[payment.VerbCancel] != nil || now.code == string(fault.TryAfterCancel) && j.parts()[book.Key(b)] == letGo
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
func (j *judge) unusual(b tcc.Branch, s *said, v payment.Verb, now *saying) {
	if v == payment.VerbCancel && s.last[v] == j.w.now { // by one block
		j.w.seen("two_cancels_at_once")
	}
	s.last[v] = j.w.now
	if v == payment.VerbTry && now.code != "" && s.first[v] == nil && j.othersHold(b) {
		j.w.seen("last_part_refused")
	}
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

// othersHold reports whether other parts of the same payment are held.
func (j *judge) othersHold(b tcc.Branch) bool {
	for n := uint8(1); n <= 4; n++ {
		x := b.ID.Facet(n)
		if s := j.branches[tcc.Branch{Tenant: b.Tenant, ID: x}]; x != b.ID && s != nil && s.held() {
			return true
		}
	}
	return false
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
		final = settled(r.Payment)
	}
	if t == nil {
		j.answers[c.Key] = &answered{c.Fingerprint, target, final, r.Operation != nil}
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
