package feed

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
)

// Bounds of the follower.
const (
	maxQueued = 8192 // blocks that wait to be numbered; what comes then is read from the journal later
	maxSilent = 256  // blocks without public events that a position may stay behind
	maxBlocks = 512  // per command
	maxCounts = 4096 // per command, unless its first block has more
)

// follower knows how far each volume was heard and what is still to be numbered. It has no goroutine and does no I/O.
type follower struct {
	tracks []track
	queue  []Block
}

// track is one volume's journal as far as it was taken in.
type track struct {
	at     Position     // the last block taken in
	heard  Position     // the last block heard of
	from   uint64       // the first block that is not queued
	prev   journal.Hash // of block from-1
	behind bool         // blocks have to be read from the journal
}

// begin sets a volume to what the sequencing book says. What comes after is to be read from the journal.
func (f *follower) begin(volume int, p Position) {
	t := &f.tracks[volume]
	t.at, t.from, t.prev, t.behind = p, p.Seq+1, p.Hash, true
	if t.heard.Seq <= p.Seq {
		t.heard = p
	}
}

// hear takes in a block that has just become durable and reports whether there is something to do. Blocks that were not
// heard, or come too fast, are found in the journal.
func (f *follower) hear(volume int, head journal.Head, counts []book.PublicCount) bool {
	t := &f.tracks[volume]
	if t.heard.Seq <= head.Seq {
		t.heard = Position{head.Seq, head.Hash}
	}
	switch {
	case t.behind:
		return false // it will be read
	case head.Seq < t.at.Seq, t.heard == t.at:
		return false // it was read
	case head.Seq != t.at.Seq+1, len(f.queue) >= maxQueued:
		t.behind = true
		return true
	}
	return f.take(volume, head.Seq, head.Hash, counts)
}

// read takes in a block that was read from the journal.
func (f *follower) read(volume int, b *journal.Block, counts []book.PublicCount) error {
	switch t := &f.tracks[volume]; {
	case b.Seq != t.at.Seq+1 || b.Prev != t.at.Hash:
		return fault.DataDamaged.New("block %d of %s does not follow block %d (%x) that was followed before it", b.Seq, b.Book,
			t.at.Seq, t.at.Hash[:4])
	case b.Seq == t.heard.Seq && b.Hash != t.heard.Hash:
		return fault.DataDamaged.New("block %d of %s (%x) is not the one that was durable (%x)", b.Seq, b.Book, b.Hash[:4],
			t.heard.Hash[:4])
	}
	f.take(volume, b.Seq, b.Hash, counts)
	return nil
}

// caughtUp ends the reading of a volume at the end of its journal, unless more was heard of meanwhile.
func (f *follower) caughtUp(volume int) bool {
	t := &f.tracks[volume]
	t.behind = t.heard.Seq > t.at.Seq
	return !t.behind
}

// take queues the next block. Blocks without public events only move the position: they go with the next one that has
// some, or when there are many of them.
func (f *follower) take(volume int, seq uint64, hash journal.Hash, counts []book.PublicCount) bool {
	t := &f.tracks[volume]
	t.at = Position{seq, hash}
	if len(counts) == 0 && seq-t.from+1 < maxSilent {
		return false
	}
	f.queue = append(f.queue, Block{Volume: volume, From: t.from, Prev: t.prev, Seq: seq, Hash: hash, Counts: counts})
	t.from, t.prev = seq+1, hash
	return true
}

// next returns the blocks of the next command; they stay queued until drop.
func (f *follower) next() []Block {
	n, counts := 0, 0
	for n < len(f.queue) && n < maxBlocks {
		if counts += len(f.queue[n].Counts); n > 0 && counts > maxCounts {
			break
		}
		n++
	}
	return append([]Block(nil), f.queue[:n]...)
}

// drop takes the first n blocks off the queue: they are numbered.
func (f *follower) drop(n int) {
	if f.queue = f.queue[n:]; len(f.queue) == 0 {
		f.queue = nil
	}
}
