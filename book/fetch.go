package book

import (
	"context"

	"github.com/koban-pay/koban/fault"
)

// fetch is one read of rows that are not in memory. Those that are asked for while a read is under way share the next
// one, so that a thousand callers of one cold account cost two reads.
type fetch struct {
	wants []Want
	asked map[wanted]bool
	done  chan struct{} // closed when err and bad are set
	err   error
	bad   map[wanted]error // rows that are damaged: whoever does not want them goes on
}

type wanted struct {
	table Table
	key   Key
}

// wait returns once the read is over, with what went wrong for the given rows.
func (f *fetch) wait(ctx context.Context, wants []Want) error {
	select {
	case <-f.done:
		for _, w := range wants {
			if err := f.bad[wanted{w.Table, w.Key}]; err != nil {
				return err
			}
		}
		return f.err
	case <-ctx.Done():
		return fault.Timeout.New("").Because(ctx.Err())
	}
}

// want adds rows to the next read and sees that it happens. Callers hold the lock.
func (b *Book) want(wants []Want) *fetch {
	f := b.fetches
	if f == nil {
		f = &fetch{asked: make(map[wanted]bool), done: make(chan struct{})}
		b.fetches = f
	}
	for _, w := range wants {
		if k := (wanted{w.Table, w.Key}); !f.asked[k] {
			f.asked[k] = true
			f.wants = append(f.wants, w)
			b.core.Await(f.wants[len(f.wants)-1:])
		}
	}
	if !b.fetching {
		b.fetching = true
		go b.fetchAll()
	}
	return f
}

// fetchAll reads until nothing more is wanted.
func (b *Book) fetchAll() {
	for {
		b.mu.Lock()
		f := b.fetches
		b.fetches = nil
		if f == nil {
			b.fetching = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		f.err = b.load(b.writer.life, f.wants)
		switch {
		case fault.HasCode(f.err, fault.DataDamaged):
			b.loadEach(f)
		case f.err != nil:
			b.giveUp(f.wants)
		}
		close(f.done)
	}
}

// loadEach reads the rows of a fetch one by one, because one of them is damaged.
func (b *Book) loadEach(f *fetch) {
	damaged := f.err
	f.err, f.bad = nil, make(map[wanted]error)
	for _, w := range f.wants {
		if err := b.load(b.writer.life, []Want{w}); err != nil {
			b.giveUp([]Want{w})
			f.bad[wanted{w.Table, w.Key}] = err
		}
	}
	if len(f.bad) > 0 {
		b.went(DamagedRow, damaged)
	}
}

// giveUp says that rows were not read: nobody awaits them any more.
func (b *Book) giveUp(wants []Want) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.core.Arrived(wants, nil)
}

// load reads rows aside, without holding up commands whose rows are in memory. However long it takes: what was asked for
// stays once it is in memory, so what the read finds is put where nothing is.
func (b *Book) load(ctx context.Context, wants []Want) error {
	b.mu.Lock()
	b.loads++
	saved := b.core.SavedHead().Seq
	b.mu.Unlock()
	rows, at, err := b.state.Load(ctx, b.name, b.volume, wants)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		return unreadable(b.name, err)
	}
	if ended := b.core.Ended(); ended != nil {
		return ended
	}
	if at.Head.Seq < saved || at.Head.Seq > b.core.Durable().Seq {
		b.core.Fence()
		b.release()
		b.mu.Lock()
		return fault.Fenced.New("the tables of book %s stand at block %d, which this process did not save; open the book again",
			b.name, at.Head.Seq)
	}
	b.core.Arrived(wants, rows)
	b.evict()
	return nil
}
