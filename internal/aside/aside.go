package aside

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// lanes are threads of low priority, each with a goroutine that works off what is handed to it.
//
// Go's scheduler knows no priorities: a goroutine that is busy for milliseconds keeps its processor, though the one
// goroutine that all others wait for is ready to run. The kernel's scheduler does know them. So a lane has a thread, and a
// processor of Go's beyond those that the machine has, and the kernel decides who runs.
type lanes struct {
	mu     sync.Mutex
	open   atomic.Int32
	tasks  chan *task
	direct chan struct{} // held while something runs that has no lane
}

type task struct {
	f    func()
	done chan struct{}
}

func newLanes(cores int) *lanes {
	return &lanes{tasks: make(chan *task), direct: make(chan struct{}, max(1, cores/2))}
}

var process = newLanes(runtime.GOMAXPROCS(0))

// coresPerLane is how many cores there are to a lane. A lane that waits for a core keeps a processor of Go's from others.
const coresPerLane = 4

// Open opens a lane for every four cores of the machine, one at the least, and gives Go as many processors more. It returns
// how many it has opened: none if it was called before, or where a thread cannot have a priority of its own. Call it when
// the process starts.
func Open() int {
	n := process.add(max(1, runtime.GOMAXPROCS(0)/coresPerLane))
	if n > 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
	}
	return n
}

// Run calls f on a lane, when one is free, and returns when f has. Where there are no lanes it does what Soon does.
func Run(f func()) { process.run(f) }

// Soon calls f with the priority of everything else, because somebody waits for it, and returns when f has. Half as many
// run at a time as there are cores.
func Soon(f func()) { process.soon(f) }

func (l *lanes) add(n int) (added int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.Load() > 0 {
		return 0
	}
	for range n {
		ready := make(chan error)
		go l.work(ready)
		if <-ready == nil {
			added++
		}
	}
	l.open.Store(int32(added))
	return added
}

// work works off tasks, on a thread that is used for nothing else any more.
func (l *lanes) work(ready chan<- error) {
	runtime.LockOSThread()
	err := lower()
	ready <- err
	if err != nil {
		return // the thread ends with the goroutine
	}
	for t := range l.tasks {
		t.f()
		close(t.done)
	}
}

func (l *lanes) run(f func()) {
	if l.open.Load() == 0 {
		l.soon(f)
		return
	}
	t := &task{f, make(chan struct{})}
	l.tasks <- t
	<-t.done
}

func (l *lanes) soon(f func()) {
	l.direct <- struct{}{}
	defer func() { <-l.direct }()
	f()
}
