package book

import (
	"context"
	"errors"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// The filters of the key indexes are looked after aside. At the start, those of the last days are filled and those of the
// months loaded; until that is done, a key that is not in memory costs a read. Then, whenever a block of a new day is
// saved, days that are over are joined into their months.
//
// A day is over once the tables stand for a block of a later day: no block is older than the one before (rule B7), so no
// key is filed under it any more, and all that are stand in the tables.

// warm lists the segments of the key indexes, and starts to look after their filters.
func (b *Book) warm(ctx context.Context) error {
	day := int64(0)
	for _, k := range b.indexes() {
		found, p, err := b.state.Segments(ctx, b.name, b.volume, k)
		if err != nil {
			return fault.Unavailable.New("the key index of book %s cannot be read", b.name).Because(err)
		}
		b.mu.Lock()
		k.list(found, Day(p.At)-openDays)
		b.mu.Unlock()
		day = max(day, Day(p.At))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tendOn(day)
	return nil
}

func (b *Book) indexes() (out []*Keys) {
	for _, t := range b.core.tables {
		if k, ok := t.(*Keys); ok {
			out = append(out, k)
		}
	}
	return out
}

// tendOn has the filters looked after, as of a day that a block was saved on. Callers hold the lock.
func (b *Book) tendOn(day int64) {
	if day <= b.tended {
		return
	}
	b.tended = day
	if !b.tending {
		b.tending = b.writer.beside(b.tend)
	}
}

// tend does what there is to do about the filters, until no new day has come meanwhile.
func (b *Book) tend() {
	for day := int64(0); ; {
		b.mu.Lock()
		if day == b.tended || b.closed || b.core.Ended() != nil {
			b.tending = false
			b.mu.Unlock()
			return
		}
		day = b.tended
		b.mu.Unlock()
		for _, k := range b.indexes() {
			if err := b.tendIndex(k, day-openDays); err != nil {
				break // what is not joined stays as it is, and right; the next day tries again
			}
		}
	}
}

func (b *Book) tendIndex(k *Keys, over int64) error {
	b.mu.Lock()
	todo := k.todo(over)
	b.mu.Unlock()
	for _, s := range todo {
		work := b.join
		switch {
		case s.Kept:
			work = b.reload
		case s.First > over:
			work = b.fill
		}
		if err := work(k, s); err != nil {
			return err
		}
	}
	return nil
}

// fill adds the keys that the store has of a day to its filter.
func (b *Book) fill(k *Keys, day Segment) error {
	return b.eachKeys(k, day, func(ids []id.ID, _ Position, last bool) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		k.fill(day, ids, last)
		return nil
	})
}

// reload takes the filter of a month that the tables have; if that does not fit, it is made again.
func (b *Book) reload(k *Keys, month Segment) error {
	var kept KeptFilter
	err := b.insist(func(ctx context.Context) (err error) {
		kept, err = b.state.Filter(ctx, b.volume, k, month)
		return err
	})
	if err != nil {
		return err
	}
	f, ok := kept.open(b.label(k, month))
	if !ok {
		month.Kept = false
		return b.join(k, month)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k.joined(month, f)
	return nil
}

// join makes the filter of a month up to a day that is over. Those of its days stay in use until it is done.
func (b *Book) join(k *Keys, s Segment) error {
	_, end := monthOf(s.First)
	f, from, err := b.joinBase(k, s, s.Last == end)
	if err != nil {
		return err
	}
	for day := from; day <= s.Last; day++ {
		err := b.eachKeys(k, Segment{Tenant: s.Tenant, First: day, Last: day}, func(ids []id.ID, at Position, _ bool) error {
			if Day(at.At) <= day {
				return errEmptied
			}
			for _, x := range ids {
				f.Add(x)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.mu.Lock()
	k.joined(s, f)
	b.mu.Unlock()
	if s.Last == end {
		return b.keep(k, s, f)
	}
	return nil
}

// errEmptied says that the tables stand for a day that is not over: another process rebuilds them.
var errEmptied = errors.New("book: the tables are being rebuilt by another process")

// joinBase returns the filter that keys are to be added to, aside, and the first day whose keys it lacks. The filter of a
// month that goes on has room for twice its keys, and grows a few times; that of a whole month is as large as it must be.
func (b *Book) joinBase(k *Keys, s Segment, whole bool) (f *store.Filter, from int64, err error) {
	b.mu.Lock()
	base, last := k.joinable(s)
	b.mu.Unlock()
	if base != nil && !whole {
		n, err := b.countKeys(k, Segment{Tenant: s.Tenant, First: last + 1, Last: s.Last})
		if err != nil {
			return nil, 0, err
		}
		if n <= base.Spare() {
			return base.Clone(), last + 1, nil
		}
	}
	n, err := b.countKeys(k, s)
	if !whole {
		n *= 2
	}
	return store.NewFullFilter(n), s.First, err
}

func (b *Book) countKeys(k *Keys, s Segment) (n int, err error) {
	err = b.insist(func(ctx context.Context) error {
		n, err = b.state.CountKeys(ctx, b.volume, k, s)
		return err
	})
	return n, err
}

// keep writes the filter of a whole month into the tables, once.
func (b *Book) keep(k *Keys, month Segment, f *store.Filter) error {
	if kept, ok := b.label(k, month).seal(f); ok {
		err := b.insist(func(ctx context.Context) error { return b.state.KeepFilter(ctx, b.volume, k, month, kept) })
		if err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k.of(month.Tenant).month(month.First).kept = true
	return nil
}

const fillBatch = 5000

// eachKeys calls f with the keys that the store has of a day, batch by batch, and with where the tables stood then.
func (b *Book) eachKeys(k *Keys, day Segment, f func(ids []id.ID, at Position, last bool) error) error {
	var after id.ID
	for last := false; !last; {
		var ids []id.ID
		var at Position
		err := b.insist(func(ctx context.Context) (err error) {
			ids, at, err = b.state.SegmentKeys(ctx, b.name, b.volume, k, day, after, fillBatch)
			return err
		})
		if err != nil {
			return err
		}
		last = len(ids) < fillBatch
		if err := f(ids, at, last); err != nil {
			return err
		}
		if !last {
			after = ids[len(ids)-1]
		}
	}
	return nil
}

const fillRetry = 200 * time.Millisecond

// insist calls f until it succeeds. It gives up when the book or its writer ends.
func (b *Book) insist(f func(context.Context) error) error {
	ctx := b.writer.life
	for {
		b.mu.Lock()
		gone := b.closed || b.core.Ended() != nil
		b.mu.Unlock()
		if gone || ctx.Err() != nil {
			return fault.ShuttingDown.New("")
		}
		err := f(ctx)
		if ctx.Err() == nil {
			b.went(IndexTended, err)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-clock.Pause(fillRetry):
		}
	}
}
