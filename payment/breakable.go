//go:build !planted

package payment

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// The rules that a planted bug can break, each a sentence of its own; their twins are in
// breakable_planted.go.

// refusesDecided: after a decision there is no refusal (I16).
func refusesDecided(v Verb, o tcc.Outcome) bool { return v != VerbTry && o == tcc.Refused }

// believed: an unknown outcome is neither a refusal nor done (I11).
func believed(_ Verb, o tcc.Outcome) tcc.Outcome { return o }

// overgiven: no source gets more back than was captured of it (PAY3).
func overgiven(s *Source) bool { return s.Refunded+s.Refunding > s.Captured }

// changed: a decision never changes (PAY1).
func changed(was, to Decision) bool { return (was == Confirm || was == Cancel) && to != was }

// ahead: the second phase begins when its decision is durable (I16).
func ahead(*Run, []Answer, int, func(*Run)) bool { return false }

// sameBody: one key stands for one body (I21).
func sameBody[F comparable](kept, sent F) bool { return kept == sent }

// noteRefused: nothing is kept of what was refused.
func noteRefused(*StartRefund, *book.Decision) {}

// heard: what time decides is decided when its time has come (I19).
func heard() *fault.Error { return nil }

// mayGiveUp: only what is undecided is given up (I16).
func mayGiveUp(d Decision) bool { return d == Undecided }

// verbOwed: what was decided is owed to every part alike (I11).
func verbOwed(v Verb, _ *Part) Verb { return v }

// mayRefuse: only a Try can be refused (I16).
func mayRefuse(v Verb) bool { return v == VerbTry }

// mayTurn: a refusal turns round only what is undecided (I16).
func mayTurn(d Decision) bool { return d == Undecided }

// again: a request that is made again says the same (I12).
func again(x *Part) *Part { return x }

// probes: an open breaker lets a probe through when its time has come.
func probes() bool { return true }

// queuedUntil: what waits in the queue is due (I19).
func queuedUntil(p *Payment) clock.Micros { return p.DeferredUntil }

// swept: the sweep drives all that is unfinished (I19).
func swept(*Payment) bool { return true }

// givable: a source gives back what is captured of it and neither given back nor promised (PAY3).
func givable(s *Source, _ int, minor int64) int64 {
	return min(minor, s.Captured-s.Refunded-s.Refunding)
}

// left returns what can still be given back of a charge, beside what refunds under way will give back.
func left(charge *Payment) (n int64) {
	for _, s := range charge.Sources {
		n += s.Captured - s.Refunded - s.Refunding
	}
	return n
}
