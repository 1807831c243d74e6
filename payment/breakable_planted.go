//go:build planted

package payment

import (
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/tcc"
)

// The twins of breakable.go: each is as it is there unless its bug is planted.

func refusesDecided(v Verb, o tcc.Outcome) bool {
	return v != VerbTry && o == tcc.Refused && planted.Bug != planted.DecisionFlips
}

func believed(v Verb, o tcc.Outcome) tcc.Outcome {
	switch {
	case planted.Bug == planted.UnknownIsRefused && v == VerbTry && o == tcc.Unknown:
		return tcc.Refused
	case planted.Bug == planted.UnknownIsDone && v != VerbTry && o == tcc.Unknown:
		return tcc.Done
	}
	return o
}

func overgiven(s *Source) bool {
	free := planted.Bug == planted.RefundUncounted || planted.Bug == planted.RefundRoundedUp
	return s.Refunded+s.Refunding > s.Captured && !free
}

func changed(was, to Decision) bool {
	free := planted.Bug == planted.DecisionFlips || planted.Bug == planted.GiveUpDecided
	return (was == Confirm || was == Cancel) && to != was && !free
}

// ahead goes on with what the answers will lead to, while they are still being written.
func ahead(r *Run, answers []Answer, n int, then func(*Run)) bool {
	if planted.Bug != planted.SecondPhaseEarly || n != 0 {
		return false
	}
	p := *r.p
	p.ownParts()
	for _, a := range answers {
		p.part(a.Number).move(a)
	}
	p.Standing = advance(&p)
	r.p = &p
	r.d.host.Submit(r.key.ID, Report{Tenant: r.key.Tenant, ID: r.key.ID, Answers: answers}, func(Reply, error) {})
	then(r)
	return true
}

func sameBody[F comparable](kept, sent F) bool {
	return kept == sent || planted.Bug == planted.KeyOtherBody
}

func noteRefused(c *StartRefund, out *book.Decision) {
	if planted.Bug == planted.NoteOfRefused && c.Note != nil {
		out.Note(callerNoteOf(c.Tenant, c.ID, c.Note))
	}
}

func heard() *fault.Error {
	if planted.Bug == planted.WakesIgnored {
		return fault.Overloaded.New("")
	}
	return nil
}

func mayGiveUp(d Decision) bool { return d == Undecided || planted.Bug == planted.GiveUpDecided }

func verbOwed(v Verb, x *Part) Verb {
	if planted.Bug == planted.HalfCancelled && v == VerbConfirm && x.Code != "" {
		return VerbCancel
	}
	return v
}

func mayRefuse(v Verb) bool { return v == VerbTry || planted.Bug == planted.DecisionFlips }

func mayTurn(d Decision) bool {
	return d == Undecided || planted.Bug == planted.DecisionFlips && d == Confirm
}

func again(x *Part) *Part {
	if planted.Bug != planted.AddOnRetry || len(x.Answers) == 0 {
		return x
	}
	more := *x
	more.Answers, more.Amount.Minor, more.Funding = nil, x.Amount.Minor+1, slices.Clone(x.Funding)
	more.Funding[0].Amount.Minor++
	return &more
}

func probes() bool { return planted.Bug != planted.BreakerSticks }

func queuedUntil(p *Payment) clock.Micros {
	if planted.Bug == planted.DeferredForgotten {
		return 0
	}
	return p.DeferredUntil
}

func swept(p *Payment) bool { return planted.Bug != planted.SweepSkips || p.DeferredUntil > 0 }

func givable(s *Source, i int, minor int64) int64 {
	switch {
	case planted.Bug == planted.RefundUncounted:
		return min(minor, s.Captured-s.Refunded)
	case planted.Bug == planted.RefundRoundedUp && i == 0:
		return minor
	}
	return min(minor, s.Captured-s.Refunded-s.Refunding)
}

func left(charge *Payment) (n int64) {
	for _, s := range charge.Sources {
		n += s.Captured - s.Refunded - s.Refunding
		if planted.Bug == planted.RefundUncounted {
			n += s.Refunding
		}
	}
	if planted.Bug == planted.RefundRoundedUp {
		n += n % 2
	}
	return n
}
