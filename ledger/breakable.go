//go:build !planted

package ledger

// The rules that a planted bug can break, each a sentence of its own; their twins are in
// breakable_planted.go.

// heeded: a status is heeded by what comes in and what goes out.
func heeded(receives bool) bool { return true }

// spendable: what is held cannot be spent (I4).
func spendable(a *Account) int64 { return a.Available() }

// overdrawn: nothing is available below zero but where it may (I4).
func overdrawn(a *Account) bool { return a.Available() < 0 && !a.MayGoNegative }

// stillHeld: what is taken of a hold is held no more (I5).
func stillHeld(opened, posted, released int64) int64 { return opened - posted - released }
