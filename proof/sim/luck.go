package sim

import (
	"github.com/koban-pay/koban/internal/clock"
)

// misfortune is what happens to one append or one call.
type misfortune uint8

const (
	fine misfortune = iota
	diesBefore
	diesAfter
	lost   // it was done, and nobody hears so
	failed // it was not done, and nobody knows so
	left   // callers hang up who wait just now
)

var misfortunes = [...]string{"fine", "dies before", "dies after", "answer lost", "failed", "callers hang up"}

func (m misfortune) String() string { return misfortunes[m] }

type stepKind uint8

const (
	stepAppend stepKind = iota
	stepCall
	stepSave
)

// chance is true so many times in a thousand.
func (w *World) chance(thousandths int) bool {
	return thousandths > 0 && w.rnd.IntN(1000) < thousandths
}

// draw returns a time from 0 to most.
func (w *World) draw(most clock.Micros) clock.Micros {
	if most <= 0 {
		return 0
	}
	return clock.Micros(w.rnd.Int64N(int64(most) + 1))
}

// luck says what happens to an append, a save or a call: what a crash walk has planned, or what the mix draws. offers
// counts how often the same was tried before.
func (w *World) luck(kind stepKind, offers int) misfortune {
	if w.plans != nil {
		if offers > 0 {
			return fine
		}
		w.steps++
		if w.plans[w.steps] == left {
			w.leftAt = w.now
			return fine
		}
		return w.plans[w.steps]
	}
	if offers > 10 {
		return fine
	}
	m, n := &w.mix, w.rnd.IntN(1000)
	for _, f := range m.shares(kind) {
		if n -= f.share; n < 0 {
			return f.m
		}
	}
	return fine
}

// share is how many of a thousand steps meet a misfortune.
type share struct {
	m     misfortune
	share int
}

func (m *mix) shares(kind stepKind) []share {
	switch kind {
	case stepAppend:
		return []share{{failed, m.failWrite}, {lost, m.loseWrite}, {diesBefore, m.crashBefore}, {diesAfter, m.crashAfter}}
	case stepSave:
		return []share{{failed, m.failSave}, {lost, m.failSave}, {diesBefore, m.crashBefore}, {diesAfter, m.crashAfter}}
	default:
		return []share{{diesBefore, m.crashCall}, {diesAfter, m.crashCall}}
	}
}
