//go:build !planted

package feed

import (
	"github.com/koban-pay/koban/book"
)

// The rules that a planted bug can break, each a sentence of its own; their twins are in breakable_planted.go.

// countsOf: every event that is announced has a number.
func countsOf(list []Block, i int) []book.PublicCount { return list[i].Counts }

// again: what was followed is not numbered twice (I25).
func again(_, _ uint64) bool { return false }

// follow: the position moves with what was numbered (I25).
func follow(*Block, Position) {}
