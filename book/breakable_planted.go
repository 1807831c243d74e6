//go:build planted

package book

import (
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
)

// The twins of breakable.go: each is as it is there unless its bug is planted.

func (b *tableBase) isAwaited(k Key) bool {
	return len(b.awaited) > 0 && b.awaited[k] > 0 && planted.Bug != planted.AwaitedEvicted
}

func saves(i, n int) bool { return planted.Bug != planted.RowNotSaved || i == 0 || i < n-1 }

func unsaved(dirty, saving bool) bool { return (dirty || saving) && planted.Bug != planted.RowEvicted }

func mayHold(stored bool) bool { return stored && planted.Bug != planted.KeyForgotten }

func begins(events int) bool { return events == 0 || planted.Bug == planted.TwoTimes }

func notBefore(at, now clock.Micros) clock.Micros {
	if planted.Bug == planted.ClockBack {
		return now
	}
	return max(at, now)
}

func toldAtOnce() bool { return planted.Bug == planted.AnswerEarly }

func durable(seen, durable uint64) bool { return seen <= durable || planted.Bug == planted.ReadEarly }

func notesOf(c *Core) []journal.Note {
	if planted.Bug == planted.NoteLost && c.head.Seq%2 == 1 {
		return nil
	}
	return c.open.notes
}

func underWay(c *Core) bool { return c.flight != nil && planted.Bug != planted.TablesAhead }

func replays(i int) bool { return planted.Bug != planted.EventNotReplayed || i != 2 }

func nextEpoch(e uint64) uint64 {
	if planted.Bug == planted.SameEpoch && e > 0 {
		return e
	}
	return e + 1
}

func forks() bool { return planted.Bug == planted.TwoWriters }

func stale(head, read journal.Head) bool { return head != read && planted.Bug != planted.StaleRead }

func inOrder(list []*journal.Block) []*journal.Block {
	if n := len(list); planted.Bug == planted.BlocksSwapped && n > 1 {
		list[n-1], list[n-2] = list[n-2], list[n-1]
	}
	return list
}
