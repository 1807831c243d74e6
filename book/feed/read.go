package feed

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Bounds of Read.
const (
	MaxLimit = 1000
	MaxWait  = 30 * time.Second

	maxReaders = 10_000 // that wait at once
)

// Event is one public event of a tenant. Book, Seq and Index say where it stands in the record; they are for the platform,
// not for the tenant, whom they would tell how busy the others are.
type Event struct {
	N     uint64
	At    clock.Micros // of the block
	Book  string
	Seq   uint64
	Index int
	Type  uint32
	Body  []byte
}

// Read returns up to limit (1 to MaxLimit) events of a tenant with numbers above after, in order, and the number to read
// after next. If there are none yet it waits for the first one, up to wait (at most MaxWait), and then returns none.
//
// Errors: fault.InvalidRequest for a limit or wait out of bounds; fault.InvalidCursor if after is beyond the last number
// that was given: whoever waited there would miss all that comes until then; fault.Overloaded if too many wait already; fault.Timeout
// if ctx ends first; fault.ShuttingDown after Close; the reason why the feed stopped, once all that was numbered before is
// read; fault.DataDamaged if the record is.
func (f *Feed) Read(ctx context.Context, tenant id.Tenant, after uint64, limit int, wait time.Duration) ([]Event, uint64, error) {
	switch {
	case limit < 1 || limit > MaxLimit:
		return nil, 0, fault.InvalidRequest.New("limit is 1 to %d", MaxLimit).WithParam("limit")
	case wait < 0 || wait > MaxWait:
		return nil, 0, fault.InvalidRequest.New("wait is 0 to %d seconds", MaxWait/time.Second).WithParam("wait")
	}
	last, err := f.await(ctx, tenant, after, wait)
	if err == nil && last < after {
		err = fault.InvalidCursor.New("after is %d, and the last number of this feed is %d; if you have read further, the platform "+
			"was restored from an older copy: read again from a number that you know to be right", after, last).WithParam("after")
	}
	if err != nil || last <= after {
		return nil, after, err
	}
	found, err := f.look(ctx, Look{Tenant: tenant, After: after, To: min(last, after+uint64(limit))})
	if err != nil {
		return nil, after, err
	}
	events, err := f.collect(ctx, tenant, after, limit, found.Parts)
	if err != nil {
		return nil, after, err
	}
	return events, after + uint64(len(events)), nil
}

func (f *Feed) look(ctx context.Context, l Look) (Found, error) {
	reply, err := f.book.Do(ctx, l)
	if err != nil {
		return Found{}, err
	}
	return reply.(Found), nil
}

// await returns the tenant's last number, as soon as it is above after or wait has passed; at once if it is below.
func (f *Feed) await(ctx context.Context, tenant id.Tenant, after uint64, wait time.Duration) (uint64, error) {
	news := f.news(tenant) // asked for before looking, so that nothing comes between
	found, err := f.look(ctx, Look{Tenant: tenant})
	if err != nil || found.Last != after {
		return found.Last, err
	}
	if err := f.Err(); err != nil || wait == 0 {
		return found.Last, err
	}
	expired := make(chan struct{})
	defer f.c.Pace.AfterFunc(wait, func() { close(expired) })()
	defer f.readers.Add(-1)
	if f.readers.Add(1) > maxReaders {
		return 0, fault.Overloaded.New("too many readers wait for events")
	}
	for {
		over := false
		select {
		case <-news:
		case <-expired:
			over = true
		case <-f.done:
			over = true
		case <-ctx.Done():
			return 0, fault.Timeout.New("").Because(ctx.Err())
		}
		news = f.news(tenant)
		found, err := f.look(ctx, Look{Tenant: tenant})
		switch {
		case err != nil || found.Last > after:
			return found.Last, err
		case over:
			return found.Last, f.Err()
		}
	}
}

// news returns a channel that is closed when the tenant has new numbers.
func (f *Feed) news(tenant id.Tenant) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := f.waiting[tenant]
	if ch == nil {
		ch = make(chan struct{})
		f.waiting[tenant] = ch
	}
	return ch
}

// A page is read a few blocks at a time: a block may hold much that is not the tenant's.
const (
	partsAtOnce = 32
	maxApart    = 2 // blocks between two wanted ones that are read along
)

// collect takes the events with the numbers after+1 … after+limit out of the blocks that hold them.
func (f *Feed) collect(ctx context.Context, tenant id.Tenant, after uint64, limit int, parts []Part) ([]Event, error) {
	var out []Event
	for some := range slices.Chunk(parts, partsAtOnce) {
		blocks, err := f.blocks(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, p := range some {
			events, err := f.pick(blocks[spot{p.Volume, p.Seq}], tenant, p)
			if err != nil {
				return nil, err
			}
			for _, e := range events {
				if e.N > after && len(out) < limit {
					e.Body = bytes.Clone(e.Body) // so that the rest of the block can go
					out = append(out, e)
				}
			}
		}
	}
	return out, nil
}

// spot names a block.
type spot struct {
	volume int
	seq    uint64
}

// blocks reads the blocks of some parts, neighbours together.
func (f *Feed) blocks(ctx context.Context, parts []Part) (map[spot]*journal.Block, error) {
	spots := make([]spot, len(parts))
	out := make(map[spot]*journal.Block, len(parts))
	for i, p := range parts {
		spots[i] = spot{p.Volume, p.Seq}
		out[spots[i]] = nil
	}
	slices.SortFunc(spots, func(a, b spot) int {
		if a.volume != b.volume {
			return a.volume - b.volume
		}
		return int(int64(a.seq - b.seq))
	})
	for len(spots) > 0 {
		n := 1
		for n < len(spots) && spots[n].volume == spots[0].volume && spots[n].seq-spots[n-1].seq <= 1+maxApart {
			n++
		}
		if err := f.stretch(ctx, spots[0].volume, spots[0].seq, spots[n-1].seq, out); err != nil {
			return nil, err
		}
		spots = spots[n:]
	}
	return out, nil
}

// stretch reads blocks from … to of a volume and keeps those that out asks for.
func (f *Feed) stretch(ctx context.Context, volume int, from, to uint64, out map[spot]*journal.Block) error {
	name := book.Name(f.c.Service, volume)
	for from <= to {
		blocks, err := f.c.Log.Read(ctx, name, from, int(to-from+1))
		if err != nil {
			return err
		}
		if len(blocks) == 0 {
			return fault.DataDamaged.New("%s: block %d holds numbered events, and its journal does not have it", name, from)
		}
		for _, b := range blocks {
			if _, ok := out[spot{volume, b.Seq}]; ok {
				out[spot{volume, b.Seq}] = b
			}
		}
		from = blocks[len(blocks)-1].Seq + 1
	}
	return nil
}

// pick returns the tenant's events of a part, numbered.
func (f *Feed) pick(b *journal.Block, tenant id.Tenant, p Part) ([]Event, error) {
	out := make([]Event, 0, p.Count)
	seen := uint64(0)
	for i, e := range b.Events {
		owner, ok, err := f.public(b, i, e)
		if err != nil {
			return nil, err
		}
		if !ok || owner != tenant {
			continue
		}
		if seen++; seen <= p.Skip {
			continue
		}
		out = append(out, Event{N: p.First + uint64(len(out)), At: b.At, Book: b.Book, Seq: b.Seq, Index: i, Type: e.Type, Body: e.Body})
		if uint64(len(out)) == p.Count {
			return out, nil
		}
	}
	return nil, fault.DataDamaged.New("%s: block %d holds %d public events of tenant %d, and %d have numbers", b.Book, b.Seq, seen,
		tenant, p.Skip+p.Count)
}
