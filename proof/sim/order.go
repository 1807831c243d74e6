package sim

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// inOrder does n pieces of work on so many threads (0: one per processor), and hands what came of each on in the order of
// the pieces, until take has enough. Each piece stays on one goroutine: nothing inside it depends on the others.
func inOrder[T any](n, threads int, work func(i int) T, take func(T) bool) {
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	var (
		mu    sync.Mutex
		ready = make(map[int]T) // done, and not yet taken
		taken int
		next  atomic.Int64
		full  atomic.Bool
		group sync.WaitGroup
	)
	hand := func(i int, x T) {
		mu.Lock()
		defer mu.Unlock()
		ready[i] = x
		for !full.Load() {
			x, ok := ready[taken]
			if !ok {
				return
			}
			delete(ready, taken)
			taken++
			if !take(x) {
				full.Store(true)
			}
		}
	}
	for range min(threads, n) {
		group.Go(func() {
			for !full.Load() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				hand(i, work(i))
			}
		})
	}
	group.Wait()
}
