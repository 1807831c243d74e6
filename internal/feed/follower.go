package feed

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/journal"
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
	seq, heard uint64       // the last block taken in, and the last one heard of
	hash       journal.Hash // of block seq
	from       uint64       // the first block that is not queued
	prev       journal.Hash // of block from-1
	behind     bool         // blocks have to be read from the journal
}

// begin sets a volume to what the sequencing book says. What comes after is to be read from the journal.
func (f *follower) begin(volume int, p Position) {
	t := &f.tracks[volume]
	t.seq, t.hash, t.from, t.prev, t.behind = p.Seq, p.Hash, p.Seq+1, p.Hash, true
	t.heard = max(t.heard, p.Seq)
}

// hear takes in a block that has just become durable and reports whether there is something to do. Blocks that were not
// heard, or come too fast, are found in the journal.
func (f *follower) hear(volume int, head journal.Head, counts []book.PublicCount) bool {
	t := &f.tracks[volume]
	t.heard = max(t.heard, head.Seq)
	switch {
	case t.behind:
		return false // it will be read
	case head.Seq <= t.seq && (head.Seq < t.seq || head.Hash == t.hash):
		return false // it was read
	case head.Seq != t.seq+1, len(f.queue) >= maxQueued:
		t.behind = true
		return true
	}
	return f.take(volume, head.Seq, head.Hash, counts)
}

// read takes in a block that was read from the journal.
func (f *follower) read(volume int, b *journal.Block, counts []book.PublicCount) error {
	if t := &f.tracks[volume]; b.Seq != t.seq+1 || b.Prev != t.hash {
		return fault.DataDamaged.New("block %d of %s does not follow block %d (%x) that was followed before it", b.Seq, b.Book,
			t.seq, t.hash[:4])
	}
	f.take(volume, b.Seq, b.Hash, counts)
	return nil
}

// take queues the next block. Blocks without public events only move the position: they go with the next one that has
// some, or when there are many of them.
func (f *follower) take(volume int, seq uint64, hash journal.Hash, counts []book.PublicCount) bool {
	t := &f.tracks[volume]
	t.seq, t.hash = seq, hash
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
