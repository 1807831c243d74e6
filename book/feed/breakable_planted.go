//go:build planted

package feed

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/planted"
)

// The twins of breakable.go: each is as it is there unless its bug is planted.

func countsOf(list []Block, i int) []book.PublicCount {
	if planted.Bug == planted.FeedSkips && i > 0 && i == len(list)-1 {
		return nil
	}
	return list[i].Counts
}

func again(seq, at uint64) bool { return planted.Bug == planted.FeedTwice && seq <= at }

// follow leaves the position where it was.
func follow(b *Block, at Position) {
	if planted.Bug == planted.PositionBehind {
		b.Seq, b.Hash = at.Seq, at.Hash
	}
}
