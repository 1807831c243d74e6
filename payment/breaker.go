package payment

import (
	"sync"

	"github.com/koban-pay/koban/internal/clock"
)

// breaker keeps calls from a participant that has been failing, so that what needs it waits without costing anything.
// It counts payments, not calls: ten tries of one payment say nothing about the others.
type breaker struct {
	now    func() clock.Micros
	turned func(open bool) // called, without the lock, when it opens or closes again

	mu     sync.Mutex
	recent [breakerCalls]bool // whether the last calls failed
	at     int                // the oldest of them
	failed int                // of them
	open   bool
	until  clock.Micros // open: when it lets proofs through
	round  uint64       // goes up with each opening, trial and closing; an answer of an earlier round is not counted
	trial  bool         // proofs are let through
	left   int          // proofs that may still be tried
	good   int          // proofs that succeeded

	doorUntil clock.Micros // open: until when the door lets in doorLeft payments more
	doorLeft  int
}

const (
	breakerCalls    = 20 // the last calls that are looked at
	breakerFailures = 10 // of them without an answer, and the breaker opens
	breakerRest     = 3 * clock.Second
	breakerProofs   = 2 // good calls that close it again
)

func newBreaker(now func() clock.Micros, turned func(open bool)) *breaker {
	return &breaker{now: now, turned: turned}
}

// permit is the leave to make one call.
type permit struct {
	round  uint64
	counts bool
}

// allow asks for leave to call. first says that this is a payment's first try of its step.
func (b *breaker) allow(first bool) (permit, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return permit{b.round, first}, true
	}
	if !probes() {
		return permit{}, false
	}
	if !b.trial && b.now() >= b.until {
		b.trial, b.left, b.good = true, breakerProofs, 0
		b.round++
	}
	if !b.trial || b.left == 0 {
		return permit{}, false
	}
	b.left--
	return permit{b.round, true}, true
}

// record says whether the participant answered the call.
func (b *breaker) record(p permit, answered bool) {
	b.mu.Lock()
	if p.round != b.round || (!answered && !p.counts) {
		b.mu.Unlock()
		return
	}
	was, again := b.open, false
	switch {
	case !b.open:
		b.count(!answered)
	case !answered:
		b.rest()
	default:
		b.good++
		if again = b.good == breakerProofs; again {
			b.recent, b.failed = [breakerCalls]bool{}, 0
			b.open, b.trial = false, false
			b.round++
		}
	}
	opened := b.open && !was
	b.mu.Unlock()
	if opened || again {
		b.turned(opened)
	}
}

func (b *breaker) count(failed bool) {
	if b.recent[b.at] {
		b.failed--
	}
	if b.recent[b.at] = failed; failed {
		b.failed++
	}
	b.at = (b.at + 1) % breakerCalls
	if b.failed >= breakerFailures {
		b.rest()
	}
}

// rest opens the breaker, or keeps it open.
func (b *breaker) rest() {
	b.open, b.trial, b.until = true, false, b.now()+breakerRest
	b.round++
}

// state returns closed, open or half-open.
func (b *breaker) state() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return "closed"
	case b.trial:
		return "half-open"
	default:
		return "open"
	}
}

// wantsProof reports whether a call is needed now to find out if the participant is back.
func (b *breaker) wantsProof() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open && b.wants(b.now())
}

// wants is wantsProof of an open breaker. Callers hold the lock.
func (b *breaker) wants(now clock.Micros) bool {
	return b.trial && b.left > 0 || !b.trial && now >= b.until
}

func (b *breaker) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}
