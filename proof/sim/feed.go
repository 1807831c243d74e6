package sim

import (
	"math"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// feedSide is the public feed of payments in a world: a book that follows the volumes of payment (rule B9), and callers that
// read it. It hears of a block late, and finds in its own book how far it has followed.
type feedSide struct{ quiet }

const followed = "payment"

func (feedSide) name() string { return followed + ".feed" }

func (feedSide) volumes(int) int { return 1 }

func (feedSide) machine(int, int) book.Machine { return feed.NewMachine() }

func (feedSide) opened(h *host) { h.w.after(0, func() { follow(h) }) }

func (f feedSide) landed(w *World, b *journal.Block) {
	if strings.HasPrefix(b.Book, followed+"/") {
		w.after(w.delay(), func() {
			if h := w.route[book.Name(f.name(), 0)]; h != nil { // whoever opens it later reads on by itself
				follow(h)
			}
		})
	}
}

// follow reads on in the journal of every volume from where the feed's own book says that it stands.
func follow(h *host) {
	w := h.w
	if h.dead || h.following {
		return
	}
	h.following = true
	over := func(err error) {
		h.following = false
		switch {
		case fault.HasCode(err, fault.DataDamaged):
			w.judge.fail("I25", "the feed stops: %v", err)
		case err != nil && !h.dead:
			w.after(w.delay()+100*clock.Millisecond, func() { follow(h) })
		}
	}
	h.submit(feed.Where{Volumes: w.volumes}, func(r any, err error) {
		if err != nil {
			over(err)
			return
		}
		var blocks []feed.Block
		for v, at := range r.([]feed.Position) {
			blocks = append(blocks, w.since(v, at)...)
		}
		if len(blocks) == 0 {
			over(nil)
			return
		}
		h.submit(feed.Advance{Blocks: blocks}, func(_ any, err error) {
			if w.chance(w.mix.twice) { // whoever reads a journal may be told twice
				w.seen("duplicate_block")
				h.submit(feed.Advance{Blocks: blocks}, func(any, error) {})
			}
			over(err)
			if err == nil {
				follow(h)
			}
		})
	})
}

// since returns the blocks of a volume that follow a position.
func (w *World) since(volume int, at feed.Position) (out []feed.Block) {
	name := book.Name(followed, volume)
	blocks, _ := w.disk.log.Read(w.ctx, name, at.Seq+1, 64)
	for _, b := range blocks {
		out = append(out, feed.Block{Volume: volume, From: b.Seq, Prev: b.Prev, Seq: b.Seq, Hash: b.Hash, Counts: w.judge.public(b)})
	}
	return out
}

// public counts the events of a block that its service announces.
func (j *judge) public(b *journal.Block) (counts []book.PublicCount) {
	s := j.books[b.Book]
next:
	for _, e := range b.Events {
		if e.Type < book.FirstEventType {
			continue
		}
		ev, err := s.honest.Decode(e.Type, e.Body)
		if err != nil {
			j.fail("I24", "%s block %d: %v", b.Book, b.Seq, err)
			return nil
		}
		t, ok := s.honest.Public(ev)
		if !ok {
			continue
		}
		for i := range counts {
			if counts[i].Tenant == t {
				counts[i].N++
				continue next
			}
		}
		counts = append(counts, book.PublicCount{Tenant: t, N: 1})
	}
	return counts
}

// day lets callers read the feed from where they stand, as GET /v1/feeds/payment does.
func (f feedSide) day(w *World, payments int) {
	seen := make(map[id.Tenant]uint64)
	for range payments * w.mix.reads / 4000 {
		w.after(w.draw(w.mix.pace*clock.Micros(payments)), func() {
			t := id.Tenant(1 + w.rnd.IntN(tenants))
			after := seen[t]
			w.ask(book.Name(f.name(), 0), func(h *host, back reply) {
				h.submit(feed.Look{Tenant: t, After: after, To: math.MaxInt64}, back)
			}, func(r any, err error) {
				if found, ok := r.(feed.Found); ok && err == nil {
					w.seen("read_feed")
					w.judge.page(t, after, found)
					seen[t] = max(seen[t], found.Last)
				}
			})
		})
	}
}

// page judges a page of the feed: numbers without a gap, and none that is taken back (I25).
func (j *judge) page(t id.Tenant, after uint64, f feed.Found) {
	j.reads++
	if f.Last < after {
		j.fail("I25", "tenant %d was shown number %d, and then %d as the last", t, after, f.Last)
	}
	next := after + 1
	for _, p := range f.Parts {
		if end := p.First + p.Count; p.First <= next && end > next {
			next = end
		} else {
			j.fail("I25", "tenant %d was shown numbers from %d on where %d comes next", t, p.First, next)
		}
	}
	if next != f.Last+1 && f.Last > after {
		j.fail("I25", "tenant %d was shown numbers up to %d of %d", t, next-1, f.Last)
	}
}

// settled requires that every public event has its number.
func (f feedSide) settled(w *World) {
	h := w.route[book.Name(f.name(), 0)]
	counts := make(map[id.Tenant]int)
	for v := range w.volumes {
		blocks, _ := w.disk.log.Read(w.ctx, book.Name(followed, v), 1, math.MaxInt)
		for _, b := range blocks {
			for _, c := range w.judge.public(b) {
				counts[c.Tenant] += c.N
			}
		}
	}
	for t := id.Tenant(1); t <= tenants; t++ {
		if got := w.judge.look(h.name, feed.Look{Tenant: t}); !got.same(lookOf(feed.Found{Last: uint64(counts[t])}, nil)) {
			w.judge.fail("I25", "tenant %d has %d public events, and the feed has %v", t, counts[t], got)
		}
	}
}
