package sim

import "github.com/koban-pay/koban/internal/clock"

// breaker keeps calls from a participant that has been failing: the rules of payment's. It counts payments, not calls.
type breaker struct {
	recent [20]bool // whether the last payments' first calls failed
	at     int
	failed int
	open   bool
	until  clock.Micros // open: when it lets proofs through
	round  int          // an answer of an earlier round is not counted
	trial  bool
	left   int // proofs that may still be tried
	good   int
}

const (
	breakerFailures = 10
	breakerRest     = 3 * clock.Second
	breakerProofs   = 2
)

// permit is the leave to make one call.
type permit struct {
	round  int
	counts bool
}

func (b *breaker) allow(now clock.Micros, first bool) (permit, bool) {
	if !b.open {
		return permit{b.round, first}, true
	}
	if !b.trial && now >= b.until {
		b.trial, b.left, b.good = true, breakerProofs, 0
		b.round++
	}
	if !b.trial || b.left == 0 {
		return permit{}, false
	}
	b.left--
	return permit{b.round, true}, true
}

// record counts a call, and reports whether the breaker has opened or closed by it.
func (b *breaker) record(now clock.Micros, p permit, answered bool) (opened, closed bool) {
	switch {
	case p.round != b.round || !answered && !p.counts:
	case !b.open:
		if b.recent[b.at] {
			b.failed--
		}
		if b.recent[b.at] = !answered; !answered {
			b.failed++
		}
		b.at = (b.at + 1) % len(b.recent)
		if opened = b.failed >= breakerFailures; opened {
			b.rest(now)
		}
	case !answered:
		b.rest(now)
	default:
		if b.good++; b.good == breakerProofs {
			*b = breaker{round: b.round + 1}
			return false, true
		}
	}
	return opened, false
}

func (b *breaker) rest(now clock.Micros) {
	b.open, b.trial, b.until = true, false, now+breakerRest
	b.round++
}
