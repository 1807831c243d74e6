package sim

import (
	"container/heap"

	"github.com/koban-pay/koban/internal/clock"
)

// agenda is what will happen, in the order of time and, within one instant, of asking.
type agenda struct {
	now   clock.Micros
	n     uint64
	items items
}

type item struct {
	at  clock.Micros
	n   uint64
	run func()
}

// after plans run at d from now; what is planned at one instant runs in the order it was planned.
func (a *agenda) after(d clock.Micros, run func()) {
	a.n++
	heap.Push(&a.items, item{a.now + max(d, 0), a.n, run})
}

// step runs the next item that is due until the given time, and reports whether there was one.
func (a *agenda) step(until clock.Micros) bool {
	if len(a.items) == 0 || a.items[0].at > until {
		return false
	}
	next := heap.Pop(&a.items).(item)
	a.now = next.at
	next.run()
	return true
}

type items []item

func (s items) Len() int { return len(s) }
func (s items) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].n < s[j].n
}
func (s items) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *items) Push(x any)   { *s = append(*s, x.(item)) }
func (s *items) Pop() any {
	old := *s
	x := old[len(old)-1]
	old[len(old)-1] = item{}
	*s = old[:len(old)-1]
	return x
}
