package book

import (
	"context"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// warm lists the segments of the key indexes and fills their filters aside; until that is done, a key that is not in
// memory costs a read.
func (b *Book) warm(ctx context.Context) error {
	for _, t := range b.core.tables {
		k, ok := t.(*Keys)
		if !ok {
			continue
		}
		found, err := b.state.Segments(ctx, b.volume, k)
		if err != nil {
			return fault.Unavailable.New("the key index of book %s cannot be read", b.name).Because(err)
		}
		b.mu.Lock()
		k.list(found)
		b.mu.Unlock()
		b.writer.beside(func() { b.fill(k, found) })
	}
	return nil
}

const fillBatch = 5000

func (b *Book) fill(k *Keys, found []Segment) {
	ctx := b.writer.life
	for i := len(found) - 1; i >= 0; i-- {
		var after id.ID
		for last := false; !last; {
			ids, err := b.state.SegmentKeys(ctx, b.volume, k, found[i], after, fillBatch)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				<-clock.Pause(fillRetry)
				continue
			}
			last = len(ids) < fillBatch
			b.mu.Lock()
			k.fill(found[i], ids, last)
			b.mu.Unlock()
			if !last {
				after = ids[len(ids)-1]
			}
		}
	}
}

const fillRetry = 200 * time.Millisecond
