package book

import (
	"container/heap"

	"github.com/koban-pay/koban/internal/clock"
)

// dueAt says that a row wants to be looked at. A row in memory has one entry at most, which moves and goes with its due
// time: what ended would be read back when its time comes, only to say that it wants nothing any more. An entry whose
// row is not in memory stands for what the table has.
type dueAt struct {
	at    clock.Micros
	key   Key
	place int // in the heap
}

// dueHeap orders what is due soon by time. What is due after the horizon is found in the tables when the horizon moves,
// so that memory does not grow with what is due some day.
type dueHeap struct {
	items   dueItems
	horizon clock.Micros // every row in memory and not yet saved that is due before this is in the heap

	// The keeper's place in its scan of the table.
	cursor  DueRow // the last row it found
	scanned bool   // every row in the table that is due before the horizon is in the heap
}

func (h *dueHeap) push(d *dueAt) { heap.Push(&h.items, d) }

// move sets the time of an entry.
func (h *dueHeap) move(d *dueAt, at clock.Micros) {
	d.at = at
	heap.Fix(&h.items, d.place)
}

// remove takes an entry out.
func (h *dueHeap) remove(d *dueAt) { heap.Remove(&h.items, d.place) }

// pop takes the earliest entry that is due at now; nil if there is none.
func (h *dueHeap) pop(now clock.Micros) *dueAt {
	if len(h.items) == 0 || h.items[0].at > now {
		return nil
	}
	return heap.Pop(&h.items).(*dueAt)
}

// next returns the time of the earliest entry, 0 if there is none.
func (h *dueHeap) next() clock.Micros {
	if len(h.items) == 0 {
		return 0
	}
	return h.items[0].at
}

type dueItems []*dueAt

func (d dueItems) Len() int { return len(d) }
func (d dueItems) Less(i, j int) bool {
	if d[i].at != d[j].at {
		return d[i].at < d[j].at
	}
	return d[i].key.ID.Compare(d[j].key.ID) < 0
}

func (d dueItems) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

func (d *dueItems) Push(x any) {
	item := x.(*dueAt)
	item.place = len(*d)
	*d = append(*d, item)
}

func (d *dueItems) Pop() any {
	old := *d
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return x
}
