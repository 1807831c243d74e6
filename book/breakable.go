//go:build !planted

package book

import (
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
)

// The rules that a planted bug can break, each a sentence of its own; their twins are in
// breakable_planted.go.

// isAwaited reports whether a row must stay for those who read it.
func (b *tableBase) isAwaited(k Key) bool { return len(b.awaited) > 0 && b.awaited[k] > 0 }

// saves: every row that changed is saved (B6).
func saves(_, _ int) bool { return true }

// unsaved: a row that is not saved stays in memory (B11).
func unsaved(dirty, saving bool) bool { return dirty || saving }

// mayHold: where tables were saved, a key that is not in memory may stand there (I21).
func mayHold(stored bool) bool { return stored }

// begins: a block has one time, so that a replay sees what was decided by (B5).
func begins(events int) bool { return events == 0 }

// notBefore: a book's time never goes back (B7).
func notBefore(at, now clock.Micros) clock.Micros { return max(at, now) }

// toldAtOnce: nothing is told before it is durable (B2).
func toldAtOnce() bool { return false }

// durable: what read only durable rows is told at once, and nothing else (B2).
func durable(seen, durable uint64) bool { return seen <= durable }

// notesOf: a note stands in the commit of its block (B14).
func notesOf(c *Core) []journal.Note { return c.open.notes }

// underWay: tables are never ahead of the journal (B6).
func underWay(c *Core) bool { return c.flight != nil }

// replays: every event is applied again (B3).
func replays(_ int) bool { return true }

// nextEpoch: every writer has an epoch of its own (B4).
func nextEpoch(e uint64) uint64 { return e + 1 }

// forks: a book has one writer (B4).
func forks() bool { return false }

// stale: whoever reads at a head that is not the last one is told so (B2).
func stale(head, read journal.Head) bool { return head != read }

// inOrder: blocks are read in their order.
func inOrder(list []*journal.Block) []*journal.Block { return list }
