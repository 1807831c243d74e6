package disk

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// unsynced is a platform that does not sync: its commits are written, and no more.
const unsynced = "does-not-sync"

// syncLess turns every sync of this process into nothing that succeeds, once the platform is ready. It could not be asked
// for: a platform refuses to start with a journal that does not sync.
func syncLess(*platform.Config) func() error { return ignoreSyncs }

// ignoreSyncs has the kernel answer every fsync and fdatasync of this process with success, and do nothing (seccomp(2)).
func ignoreSyncs() error {
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load}, // the number of the system call
		{Code: equal, Jt: 1, K: unix.SYS_FSYNC},
		{Code: equal, Jf: 1, K: unix.SYS_FDATASYNC},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO}, // with error 0
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // both calls are about the same thread; the second then takes in all others
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// hasty is a platform that answers before it commits.
const hasty = "answers-before-it-commits"

// late is how long after its answer the hasty platform commits.
const late = 20 * time.Millisecond

// answerFirst has the journal say of a batch that it is durable when it was merely taken. It goes on when the disk has failed.
func answerFirst(c *platform.Config) func() error {
	c.Fatal = func(error) {}
	h := &early{taken: make(chan journal.Batch, 1<<20)}
	c.Watch = func(log book.Log) book.Log {
		h.Log = log
		go h.commit()
		return h
	}
	return func() error { h.lies.Store(true); return nil }
}

type early struct {
	book.Log
	lies  atomic.Bool
	taken chan journal.Batch
}

func (h *early) commit() {
	for b := range h.taken {
		<-clock.NewSystem().After(late)
		for waits := true; waits; { // what came meanwhile goes with it
			if _, err := h.Log.Write(context.Background(), b); err != nil {
				return // what is not in the journal yet is lost
			}
			select {
			case b = <-h.taken:
			default:
				waits = false
			}
		}
	}
}

// Write implements book.Log.
func (h *early) Write(ctx context.Context, b journal.Batch) (journal.Fate, error) {
	if !h.lies.Load() {
		return h.Log.Write(ctx, b)
	}
	h.taken <- b
	return journal.Fate{Fenced: make([]bool, len(b.Blocks)), Stale: make([]bool, len(b.Check))}, nil
}
