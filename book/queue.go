package book

// queue is first in, first out. The zero queue is empty.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) push(x T) { q.items = append(q.items, x) }

func (q *queue[T]) len() int { return len(q.items) - q.head }

// pop takes the oldest item; there must be one.
func (q *queue[T]) pop() T {
	var none T
	x := q.items[q.head]
	q.items[q.head] = none
	q.head++
	if q.head > 1024 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return x
}

// sweep looks at the oldest items, at most budget of them, until enough were dropped: drop reports whether it dropped
// one; the others go to the end of the queue.
func (q *queue[T]) sweep(enough, budget int, drop func(T) bool) {
	for budget = min(budget, q.len()); enough > 0 && budget > 0; budget-- {
		x := q.pop()
		if drop(x) {
			enough--
		} else {
			q.push(x)
		}
	}
}

// sweepBudget is how many rows one eviction may look at after so many were added: in proportion, so that each row costs
// the same however many are in memory.
func sweepBudget(added int) int { return 4*added + 256 }
