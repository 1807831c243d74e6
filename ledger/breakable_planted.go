//go:build planted

package ledger

import (
	"github.com/koban-pay/koban/internal/planted"
)

// The twins of breakable.go: each is as it is there unless its bug is planted.

func heeded(receives bool) bool { return receives || planted.Bug != planted.SuspendedPays }

func spendable(a *Account) int64 {
	if planted.Bug == planted.HoldNotCounted {
		return a.Posted()
	}
	return a.Available()
}

func overdrawn(a *Account) bool {
	return a.Available() < 0 && !a.MayGoNegative && planted.Bug != planted.HoldNotCounted
}

func stillHeld(opened, posted, released int64) int64 {
	if planted.Bug == planted.HoldLeaks {
		return opened - released
	}
	return opened - posted - released
}
