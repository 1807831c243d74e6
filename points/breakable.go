//go:build !planted

package points

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// The rules that a planted bug can break, each a sentence of its own; their twins are in
// breakable_planted.go.

// oneHold: a branch holds once (I12).
func oneHold(*Branch) {}

// promised: points that were held can be taken, whenever their lot expires (I15).
func promised(*Branch, clock.Micros) *fault.Error { return nil }

// returning: points return to the lots that they were taken of (P4).
func returning(parts []Part, _ int64) []Part { return parts }

// expiring: what is held does not expire (P5).
func expiring(l *Lot) int64 { return l.free() }

// usable: what has expired cannot be spent.
func usable(l *Lot, now clock.Micros) bool { return !gone(l.ExpiresAt, now) }
