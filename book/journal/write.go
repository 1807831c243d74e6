package journal

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// Batch is what one commit writes: at most one sealed block per book, with its notes, and heads to be checked.
type Batch struct {
	Blocks []*Block
	Check  []Head // what is answered without an event must still be the head (rule B4)
}

// Fate says what became of a batch. The notes of a block share its fate.
type Fate struct {
	Fenced []bool // for each block: another writer's block stands in its place. Otherwise it is durable
	Stale  []bool // for each checked head: it is not the book's head any more
}

// How soon a batch whose commit failed is offered again.
const (
	firstOffer = time.Millisecond
	lastOffer  = time.Second
)

// Write appends a batch in one transaction and says what became of each part. While nobody knows what became of it, for
// the database is out of reach, full or read-only, it keeps offering the same bytes (rule B3); Trouble says so meanwhile.
//
// Errors: the context's, and then the batch is unknown; fault.DataDamaged, or an error that store.Classify calls Broken
// or Other (an fsync that failed, a file that was moved, a table that is gone), and then the process has to stop: nothing
// may be built on this journal until it was opened anew.
func (j *Journal) Write(ctx context.Context, w Batch) (Fate, error) {
	if err := w.check(); err != nil {
		return Fate{}, err
	}
	began := j.clock.Now()
	for pause := firstOffer; ; pause = min(2*pause, lastOffer) {
		fate, err := j.offer(ctx, w)
		if err == nil {
			j.stats.count(w, fate)
			j.trouble.Store(nil)
			return fate, nil
		}
		switch store.Classify(err) {
		case store.Busy, store.Lost, store.DiskFull, store.ReadOnly:
		case store.Unique:
			return Fate{}, damaged(w.Blocks[0].Book, w.Blocks[0].Seq, "it, or one of its commit, stands beyond the head: %v", err)
		default:
			return Fate{}, err
		}
		j.trouble.Store(&trouble{err, began})
		select {
		case <-ctx.Done():
			return Fate{}, errors.Join(ctx.Err(), err)
		case <-j.clock.After(pause/2 + rand.N(pause)): //nolint:gosec // when to try again is no secret
		}
	}
}

// Trouble returns why the batch that is being written could not be written so far; nil if nothing is wrong.
func (j *Journal) Trouble() error {
	return j.Stuck(0)
}

// Stuck returns Trouble if the batch has been waiting to be written for at least d, nil otherwise. It is tried again and
// again, so that whoever holds back what is new until Stuck returns nil need not try whether it could be written.
func (j *Journal) Stuck(d time.Duration) error {
	if t := j.trouble.Load(); t != nil && j.clock.Now().Sub(t.since) >= d {
		return t.err
	}
	return nil
}

// trouble is why a batch could not be written so far, and since when it is offered.
type trouble struct {
	err   error
	since clock.Micros
}

// check refuses what only a mistake of the caller's can bring about.
func (w Batch) check() error {
	for i, b := range w.Blocks {
		switch {
		case b.body == nil:
			return errors.New("journal: a block of " + b.Book + " is not sealed")
		case i > 0 && w.Blocks[i-1].Book == b.Book:
			return errors.New("journal: a batch has two blocks of " + b.Book)
		case i > 0 && w.Blocks[i-1].Book > b.Book:
			return errors.New("journal: the blocks of a batch are not in the order of their books")
		}
	}
	return nil
}

// errRaced says that not all heads were where the blocks expected them.
var errRaced = errors.New("journal: a head has moved")

// offer tries once. The usual case, every head as expected, takes two statements.
func (j *Journal) offer(ctx context.Context, w Batch) (Fate, error) {
	fate := Fate{Fenced: make([]bool, len(w.Blocks)), Stale: make([]bool, len(w.Check))}
	if len(w.Blocks) == 0 {
		// On PostgreSQL a connection for writing is ours alone, and those for reading are shared.
		return fate, j.db.Write(ctx, func(tx *sql.Tx) error { return checkHeads(ctx, tx, w.Check, fate.Stale) })
	}
	watch := clock.Stopwatch()
	err := j.db.Write(ctx, func(tx *sql.Tx) error {
		for part := range slices.Chunk(w.Blocks, maxRows) {
			if err := j.texts.begin(ctx, tx, part); err != nil {
				return err
			}
			n, err := j.texts.raise(ctx, j.db, tx, part)
			if err != nil {
				return err
			}
			if n != int64(len(part)) {
				return errRaced
			}
			if err := j.texts.insert(ctx, j.db, tx, part); err != nil {
				return err
			}
		}
		return checkHeads(ctx, tx, w.Check, fate.Stale)
	})
	if errors.Is(err, errRaced) {
		return j.sortOut(ctx, w, fate)
	}
	if err == nil {
		j.stats.took.Count(watch())
	}
	return fate, err
}

// sortOut tries once, book by book: a block that stands already is durable, one whose place is taken is fenced, and its
// neighbours are written all the same.
func (j *Journal) sortOut(ctx context.Context, w Batch, fate Fate) (Fate, error) {
	err := j.db.Write(ctx, func(tx *sql.Tx) error {
		for i := range w.Blocks {
			one := w.Blocks[i : i+1]
			if err := j.texts.begin(ctx, tx, one); err != nil {
				return err
			}
			n, err := j.texts.raise(ctx, j.db, tx, one)
			if err != nil {
				return err
			}
			if n == 1 {
				fate.Fenced[i] = false
				if err := j.texts.insert(ctx, j.db, tx, one); err != nil {
					return err
				}
				continue
			}
			head, err := headOf(ctx, tx, one[0].Book)
			if err != nil {
				return err
			}
			fate.Fenced[i] = head != one[0].Head()
		}
		return checkHeads(ctx, tx, w.Check, fate.Stale)
	})
	return fate, err
}

func checkHeads(ctx context.Context, tx *sql.Tx, heads []Head, stale []bool) error {
	if len(heads) == 0 {
		return nil
	}
	all, err := allHeads(ctx, tx)
	if err != nil {
		return err
	}
	for i, h := range heads {
		at, ok := slices.BinarySearchFunc(all, h, func(a, b Head) int { return strings.Compare(a.Book, b.Book) })
		stale[i] = !ok && h.Seq > 0 || ok && all[at] != h
	}
	return nil
}

// Stats are figures since the journal was opened.
type Stats struct {
	Commits, Blocks, Events, Bytes, Notes, Fenced int64
	MaxBlocks                                     int64 // the most blocks in one commit

	Took clock.Durations // of commits
}

type stats struct {
	commits, blocks, events, bytes, notes, fenced, maxBlocks atomic.Int64

	took clock.Histogram
}

func (s *stats) count(w Batch, f Fate) {
	if len(w.Blocks) == 0 {
		return
	}
	s.commits.Add(1)
	s.blocks.Add(int64(len(w.Blocks)))
	if n := int64(len(w.Blocks)); n > s.maxBlocks.Load() {
		s.maxBlocks.Store(n) // one writer
	}
	for i, b := range w.Blocks {
		if f.Fenced[i] {
			s.fenced.Add(1)
			continue
		}
		s.events.Add(int64(len(b.Events)))
		s.notes.Add(int64(len(b.Notes)))
		s.bytes.Add(int64(len(b.body)))
	}
}

// Stats returns the figures.
func (j *Journal) Stats() Stats {
	s := &j.stats
	return Stats{
		Commits: s.commits.Load(), Blocks: s.blocks.Load(), Events: s.events.Load(), Bytes: s.bytes.Load(),
		Notes: s.notes.Load(), Fenced: s.fenced.Load(), MaxBlocks: s.maxBlocks.Load(),
		Took: s.took.Durations(),
	}
}
