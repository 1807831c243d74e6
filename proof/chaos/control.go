package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// Controls are test binaries that run a platform which may lie. The real binary has no such switch. What a control is
// stands in its environment.
const (
	childVariable = "KOBAN_CHAOS_CHILD"
	dataVariable  = "KOBAN_CHAOS_DATA"
	storeVariable = "KOBAN_CHAOS_STORE"
	honest        = "commits-before-it-answers"
	liar          = "answers-before-it-commits"
)

// Control returns a program that is this test binary as a platform: one that answers before it commits, if it lies, and
// otherwise one that does not. The binary's TestMain has to call Child. store is of PostgreSQL; "" keeps the books in the
// data folder.
func Control(lies bool, data, store string) (Program, error) {
	self, err := os.Executable()
	if err != nil {
		return Program{}, fmt.Errorf("our own binary: %w", err)
	}
	word := honest
	if lies {
		word = liar
	}
	return Program{
		Path: self, Args: []string{"-test.run=^$"}, Data: data, Store: store, Lies: lies,
		Env: []string{childVariable + "=" + word, dataVariable + "=" + data, storeVariable + "=" + store},
	}, nil
}

// Child runs the platform of a Control, if this process was started as one, and then ends the process. Otherwise it
// returns at once.
func Child() {
	word := os.Getenv(childVariable)
	if word == "" {
		return
	}
	if err := child(word == liar, os.Getenv(dataVariable), os.Getenv(storeVariable)); err != nil {
		fatal(err)
	}
	os.Exit(0)
}

// fatal ends a control as the real binary ends.
func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	var held *store.HeldError
	if errors.As(err, &held) {
		os.Exit(heldElsewhere)
	}
	os.Exit(2)
}

// child runs a platform. If it lies, then once it is ready its journal says that a batch is durable when it was merely
// taken.
func child(lies bool, dir, url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var h *hasty
	platform, err := platform.Start(ctx, platform.Config{
		Data: dir, StoreURL: url, Standby: url != "", Listen: "127.0.0.1:0", Tenant: "demo", Fatal: fatal,
		Watch: func(log book.Log) book.Log { h = early(ctx, log, lies); return h },
		Log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	h.lies.Store(lies)
	<-ctx.Done()
	<-h.done // the journal is going to be closed
	return platform.Close(context.Background())
}

// hasty answers first and commits later.
type hasty struct {
	book.Log
	lies  atomic.Bool
	taken chan journal.Batch
	done  chan struct{} // closed when nothing is committed late any more
}

// late is how long after its answer a batch is committed.
const late = 20 * time.Millisecond

func early(ctx context.Context, log book.Log, lies bool) *hasty {
	h := &hasty{Log: log, taken: make(chan journal.Batch, 1<<20), done: make(chan struct{})}
	if lies {
		go h.commit(ctx)
	} else {
		close(h.done)
	}
	return h
}

// commit writes what was taken, until ctx ends; what is not written by then is lost, too.
func (h *hasty) commit(ctx context.Context) {
	defer close(h.done)
	for {
		var w journal.Batch
		select {
		case <-ctx.Done():
			return
		case w = <-h.taken:
		}
		<-clock.NewSystem().After(late)
		for waits := true; waits; { // what came meanwhile goes with it
			fate, err := h.Log.Write(ctx, w)
			if err != nil {
				return
			}
			if slices.Contains(fate.Fenced, true) {
				fatal(&store.HeldError{What: "the store", Holder: "another process"})
			}
			select {
			case w = <-h.taken:
			default:
				waits = false
			}
		}
	}
}

// Write implements book.Log.
func (h *hasty) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	if !h.lies.Load() {
		return h.Log.Write(ctx, w)
	}
	h.taken <- w
	return journal.Fate{Fenced: make([]bool, len(w.Blocks)), Stale: make([]bool, len(w.Check))}, nil
}
