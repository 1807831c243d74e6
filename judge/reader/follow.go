package reader

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/judge"
)

// pageBlocks is how many blocks of one book are read at once: with all books side by side they must fit into memory.
const pageBlocks = 32

// Follower reads the blocks of all books for a judge, side by side in the order of their times.
type Follower struct {
	Journal *journal.Journal
	Judge   *judge.Judge
	// Pace is called between pages, and lets others go first; nil: nobody. Its error ends the reading.
	Pace func(context.Context) error
	// Read is told how many blocks were read; nil: nobody.
	Read func(blocks int)

	// Most is after how many blocks Advance stops, short of where it was to go; 0: not before.
	Most int
	// Ahead says that the next pages are read while the last ones are judged.
	Ahead bool

	ahead map[string][]*journal.Block // read and not judged yet
	next  map[string]chan page        // being read
	slots chan struct{}               // for those who read
}

// readers is how many pages are read ahead at the same time: each reader's connection has a cache of its own.
const readers = 2

// page is what was read of a book.
type page struct {
	blocks []*journal.Block
	err    error
}

// Advance has the judge fed up to the given blocks, by book, and no further. Of a book that is damaged no more is fed; damaged is
// told why.
//
// Errors: what the store returns, and that of Pace.
func (f *Follower) Advance(ctx context.Context, to map[string]uint64, damaged func(book string, err error) error) error {
	if f.ahead == nil {
		f.ahead = map[string][]*journal.Block{}
	}
	var books []string
	for name, seq := range to {
		if f.Judge.Head(name).Seq < seq {
			books = append(books, name)
		}
	}
	slices.Sort(books)
	for n := 0; len(books) > 0 && (f.Most == 0 || n < f.Most); n++ {
		next := -1
		for i := 0; i < len(books); i++ {
			ok, err := f.refill(ctx, books[i], damaged)
			if err != nil {
				return err
			}
			if !ok {
				books = slices.Delete(books, i, i+1)
				i--
				continue
			}
			if next < 0 || f.ahead[books[i]][0].At < f.ahead[books[next]][0].At {
				next = i
			}
		}
		if next < 0 {
			return nil
		}
		name := books[next]
		b := f.ahead[name][0]
		f.ahead[name] = f.ahead[name][1:]
		f.Judge.Block(b)
		if b.Seq >= to[name] {
			books = slices.Delete(books, next, next+1)
		}
	}
	f.Judge.Tidy()
	return nil
}

// refill reads the next page of a book unless a block of it is at hand, and reports whether one is.
func (f *Follower) refill(ctx context.Context, name string, damaged func(string, error) error) (bool, error) {
	if len(f.ahead[name]) > 0 {
		return true, nil
	}
	f.Judge.Tidy()
	if f.Pace != nil {
		if err := f.Pace(ctx); err != nil {
			return false, err
		}
	}
	p := f.read(ctx, name, f.Judge.Head(name).Seq+1)
	if fault.HasCode(p.err, fault.DataDamaged) {
		return false, damaged(name, p.err)
	}
	f.ahead[name] = p.blocks
	if f.Read != nil {
		f.Read(len(p.blocks))
	}
	return len(p.blocks) > 0, p.err
}

// read returns a page of a book, and has the one behind it read.
func (f *Follower) read(ctx context.Context, name string, from uint64) (p page) {
	if c := f.next[name]; c != nil {
		p = <-c
		delete(f.next, name)
	} else {
		p.blocks, p.err = f.Journal.Read(ctx, name, from, pageBlocks)
	}
	if !f.Ahead || p.err != nil || len(p.blocks) < pageBlocks || large(p.blocks) {
		return p
	}
	if f.next == nil {
		f.next, f.slots = map[string]chan page{}, make(chan struct{}, readers)
	}
	c, behind := make(chan page, 1), p.blocks[len(p.blocks)-1].Seq+1
	f.next[name] = c
	go func() {
		var p page
		f.slots <- struct{}{}
		p.blocks, p.err = f.Journal.Read(ctx, name, behind, pageBlocks)
		<-f.slots
		c <- p
	}()
	return p
}

// large reports whether blocks take so much memory that no more are read ahead.
func large(blocks []*journal.Block) bool {
	n := 0
	for _, b := range blocks {
		n += b.Size()
	}
	return n > 1<<20
}
