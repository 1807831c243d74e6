//go:build planted

package points

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
)

// The twins of breakable.go: each is as it is there unless its bug is planted.

// oneHold lets a second hold take the place of the first, whose points stay set aside.
func oneHold(b *Branch) {
	if planted.Bug == planted.TryHoldsTwice {
		*b = Branch{}
	}
}

func promised(b *Branch, now clock.Micros) *fault.Error {
	if planted.Bug == planted.ExpiryStopsConfirm && gone(b.Lots[0].ExpiresAt, now) {
		return fault.InsufficientFunds.New("")
	}
	return nil
}

func returning(parts []Part, amount int64) []Part {
	if planted.Bug == planted.RefundOneLot {
		parts[0].Amount = amount
		return parts[:1]
	}
	return parts
}

func expiring(l *Lot) int64 {
	if planted.Bug == planted.ExpiryTakesHeld {
		return l.Left
	}
	return l.free()
}

func usable(l *Lot, now clock.Micros) bool {
	return !gone(l.ExpiresAt, now) || planted.Bug == planted.ExpiredSpent
}
