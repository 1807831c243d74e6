package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// Lock is the right to be the only process on a data directory or a store. It ends with the process, however that ends.
type Lock struct {
	release func() error
	lost    chan error
	check   func() error // nil: the lock says by itself that it was lost
}

// Check returns a *MovedError if another process could take the lock of a folder now, because its file was
// removed or replaced.
func (l *Lock) Check() error {
	if l.check == nil {
		return nil
	}
	return l.check()
}

// Release gives the lock up.
func (l *Lock) Release() error { return l.release() }

// Lost receives once if another process has the lock now: a *HeldError. A lock of a folder is never lost.
func (l *Lock) Lost() <-chan error { return l.lost }

// HeldError says that another process holds the lock.
type HeldError struct {
	What   string // what is locked
	Holder string // who holds it, as far as can be told
}

// Error says what is wrong, and what to do.
func (e *HeldError) Error() string {
	return fmt.Sprintf("store: %s is in use by %s: stop it, or wait for it with --standby", e.What, e.Holder)
}

// lockPoll is how often a waiting LockDir looks again: flock can wait by itself, but then not be called off.
const lockPoll = 100 * time.Millisecond

// LockDir locks the data directory dir, which must exist, for this process. While another holds it, it returns a
// HeldError, or waits for ctx if wait is set. clk paces the waiting; nil means the system's.
func LockDir(ctx context.Context, dir string, wait bool, clk clock.Clock) (*Lock, error) {
	if clk == nil {
		clk = clock.NewSystem()
	}
	path := filepath.Join(dir, "lock")
	f, err := OpenPrivate(path, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("store: lock the data directory: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("store: lock %s: %w", path, err), f.Close())
		}
		if !wait {
			holder, _ := io.ReadAll(io.NewSectionReader(f, 0, maxSecret)) // who holds it is only for the message
			return nil, errors.Join(&HeldError{dir, orUnknown(strings.TrimSpace(string(holder)))}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-clk.After(lockPoll):
		}
	}
	me := me()
	if err := errors.Join(f.Truncate(0), writeAt(f, me)); err != nil {
		return nil, errors.Join(fmt.Errorf("store: lock %s: %w", path, err), f.Close())
	}
	held, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: lock %s: %w", path, err), f.Close())
	}
	p := &pinned{paths: []string{path}, files: []os.FileInfo{held}}
	return &Lock{release: f.Close, check: p.check}, nil // the file stays: removing it would let two processes lock two files of one name
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s+"\n"), 0)
	return err
}

// me names this process to whoever finds the lock held.
func me() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

func orUnknown(holder string) string {
	if holder == "" {
		return "another process"
	}
	return holder
}
