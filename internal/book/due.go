package book

import (
	"container/heap"

	"github.com/koban-pay/koban/internal/clock"
)

// dueAt says that a row wanted to be looked at. Entries are never taken out early: when one comes up, the row itself
// says whether it still wants that.
type dueAt struct {
	at  clock.Micros
	key Key
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

func (h *dueHeap) push(d dueAt) { heap.Push(&h.items, d) }

// pop takes the earliest entry that is due at now.
func (h *dueHeap) pop(now clock.Micros) (dueAt, bool) {
	if len(h.items) == 0 || h.items[0].at > now {
		return dueAt{}, false
	}
	return heap.Pop(&h.items).(dueAt), true
}

// next returns the time of the earliest entry, 0 if there is none.
func (h *dueHeap) next() clock.Micros {
	if len(h.items) == 0 {
		return 0
	}
	return h.items[0].at
}

type dueItems []dueAt

func (d dueItems) Len() int { return len(d) }
func (d dueItems) Less(i, j int) bool {
	if d[i].at != d[j].at {
		return d[i].at < d[j].at
	}
	return d[i].key.ID.Compare(d[j].key.ID) < 0
}
func (d dueItems) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dueItems) Push(x any)   { *d = append(*d, x.(dueAt)) }
func (d *dueItems) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}
