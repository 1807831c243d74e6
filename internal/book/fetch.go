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
	done  chan struct{} // closed when err is set
	err   error
}

type wanted struct {
	table Table
	key   Key
}

func (f *fetch) wait(ctx context.Context) error {
	select {
	case <-f.done:
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
		close(f.done)
	}
}

// load reads rows aside, without holding up commands whose rows are in memory.
func (b *Book) load(ctx context.Context, wants []Want) error {
	for {
		b.mu.Lock()
		b.loads++
		saved, evicted := b.core.SavedHead().Seq, b.core.evictions()
		b.mu.Unlock()
		rows, at, err := b.state.Load(ctx, b.name, b.volume, wants)
		if err != nil {
			return unreadable(b.name, err)
		}
		b.mu.Lock()
		if ended := b.core.Ended(); ended != nil {
			b.mu.Unlock()
			return ended
		}
		if at.Head.Seq < saved || at.Head.Seq > b.core.Durable().Seq {
			b.core.Fence()
			b.release()
			return fault.Fenced.New("the tables of book %s stand at block %d, which this process did not save; open the book again",
				b.name, at.Head.Seq)
		}
		// A row may have come, changed and gone since the read began. It is in memory, and newer, unless it was evicted.
		ok := at.Head.Seq >= b.core.SavedHead().Seq || evicted == b.core.evictions()
		if ok {
			for i, w := range wants {
				b.core.Install(w, rows[i])
			}
			b.evict()
		}
		b.mu.Unlock()
		if ok {
			return nil
		}
	}
}
