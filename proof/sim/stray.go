package sim

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// strayEvery is how often somebody asks a participant for the contrary of what was decided.
const strayEvery = 10 * clock.Second

// stray is a hand that meddles, or a coordinator that is wrong: it asks for a Cancel of what was confirmed, or for a Confirm of
// what was cancelled. The participant has to refuse, and nothing may change.
func (w *World) stray() {
	if len(w.town.known) == 0 {
		return
	}
	k := w.town.known[w.rnd.IntN(len(w.town.known))]
	s := w.judge.books[book.Name("payment", k.ID.Volume(w.volumes))]
	if s == nil {
		return
	}
	s.honest.(*payment.Machine).EachPayment(func(p *payment.Payment) {
		if p.ID != k.ID || p.Tenant != k.Tenant {
			return
		}
		for i := range p.Parts {
			switch x := &p.Parts[i]; {
			case x.Role != payment.Hold:
			case x.State == payment.Taken:
				w.contrary(p, x, payment.VerbCancel, "cancel_after_confirm")
			case x.State == payment.LetGo:
				w.contrary(p, x, payment.VerbConfirm, "confirm_after_cancel")
			}
		}
	})
}

// contrary asks for a verb that must be refused (I12).
func (w *World) contrary(p *payment.Payment, x *payment.Part, v payment.Verb, what string) {
	takes, branch := participantOf(x.Participant), p.Branch(x)
	h := w.reach(book.Name(takes.name(), x.Account.Volume(w.volumes)))
	if h == nil {
		return
	}
	cmd := call(p, x, v)
	h.submit(cmd, func(_ any, err error) {
		o := tcc.OutcomeOf(err)
		if o == tcc.Unknown {
			return
		}
		w.seen(what)
		w.trace("a stray %v %s %s: %s", v, takes.name(), short(branch.ID), outcome(err))
		if o == tcc.Done {
			w.judge.fail("I12", "a %v of branch %v, about which the contrary was decided, was answered with done", v, branch)
		}
	})
}
