package aside

import (
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// priority returns what the kernel says of the calling thread: 20 less its nice value (getpriority(2), "C library/kernel
// differences").
func priority(t *testing.T) int {
	t.Helper()
	p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		t.Error(err)
	}
	return p
}

// TestALaneHasALowPriority asks the kernel. Everything else keeps the priority it had.
func TestALaneHasALowPriority(t *testing.T) {
	l := newLanes(2)
	before := priority(t)
	if n := l.add(1); n != 1 {
		t.Fatalf("%d lanes were opened, expected 1", n)
	}
	if n := l.add(1); n != 0 {
		t.Errorf("%d more lanes were opened the second time", n)
	}
	for range 3 {
		inside := 0
		l.run(func() { inside = priority(t) })
		if inside != max(before-niceness, 20-lowest) { // also where the whole process was started under nice
			t.Errorf("a lane has priority %d beside %d; expected %d less", inside, before, niceness)
		}
		l.soon(func() { inside = priority(t) })
		if inside != before {
			t.Errorf("what somebody waits for has priority %d, expected %d", inside, before)
		}
	}
	// Threads that were started meanwhile must not have inherited a lane's.
	var others sync.WaitGroup
	for range 50 {
		others.Go(func() {
			if p := priority(t); p != before {
				t.Errorf("a goroutine beside the lane has priority %d, expected %d", p, before)
			}
		})
	}
	others.Wait()
}

// TestFewRunAtATime counts how many run together: one on one lane, and half as many as there are cores without a lane.
func TestFewRunAtATime(t *testing.T) {
	lane, direct := newLanes(8), newLanes(8)
	lane.add(1)
	for _, c := range []struct {
		name string
		run  func(func())
		most int32
	}{{"a lane", lane.run, 1}, {"no lane", direct.run, 4}, {"soon", lane.soon, 4}} {
		var now, most, ran atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				c.run(func() {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					for range 100 {
						priority(t) // a system call, in which others can run
					}
					ran.Add(1)
					now.Add(-1)
				})
			})
		}
		all.Wait()
		if most.Load() > c.most || ran.Load() != 100 {
			t.Errorf("%s: %d ran, %d at a time; expected 100, at the most %d", c.name, ran.Load(), most.Load(), c.most)
		}
	}
}
