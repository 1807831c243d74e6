package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/app"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/journal"
)

// A test binary that finds one of these words in the environment variable is a platform in the data folder that
// dataVariable names. The real binary has no such switch.
const (
	childVariable = "KOBAN_CHAOS_CHILD"
	dataVariable  = "KOBAN_CHAOS_DATA"
	honest        = "commits-before-it-answers"
	liar          = "answers-before-it-commits"
)

func TestMain(m *testing.M) {
	if word := os.Getenv(childVariable); word != "" {
		if err := child(word == liar, os.Getenv(dataVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// child runs a platform. If it lies, then once it is ready its journal says that a batch is durable when it was merely
// taken.
func child(lies bool, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var h *hasty
	platform, err := app.Start(ctx, app.Config{
		Data: dir, Listen: "127.0.0.1:0", Tenant: "demo",
		Watch: func(log book.Log) book.Log { h = early(log); return h },
		Log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	h.lies.Store(lies)
	<-ctx.Done()
	return platform.Close(context.Background())
}

// hasty answers first and commits later.
type hasty struct {
	book.Log
	lies  atomic.Bool
	taken chan journal.Batch
}

// late is how long after its answer a batch is committed.
const late = 20 * time.Millisecond

func early(log book.Log) *hasty {
	h := &hasty{Log: log, taken: make(chan journal.Batch, 1<<20)}
	go func() {
		for w := range h.taken {
			<-clock.NewSystem().After(late)
			for waits := true; waits; { // what came meanwhile goes with it
				if _, err := h.Log.Write(context.Background(), w); err != nil {
					return // the journal is closed; what is not in it yet is lost, too
				}
				select {
				case w = <-h.taken:
				default:
					waits = false
				}
			}
		}
	}()
	return h
}

// Write implements book.Log.
func (h *hasty) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	if !h.lies.Load() {
		return h.Log.Write(ctx, w)
	}
	h.taken <- w
	return journal.Fate{Fenced: make([]bool, len(w.Blocks)), Stale: make([]bool, len(w.Check))}, nil
}

// TestControlAnswersBeforeCommitLoses runs the same clients, kills and judge against a platform that answers before it
// has committed, and against the same one that does not. A judge that finds no loss in the first would find none
// anywhere; one that finds something in the second would find it everywhere.
func TestControlAnswersBeforeCommitLoses(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	control := func(word string) *Summary {
		dir := t.TempDir()
		return play(t, Config{Kills: 3, Random: true, Program: Program{
			Path: self, Args: []string{"-test.run=^$"},
			Env: []string{childVariable + "=" + word, dataVariable + "=" + dir}, Data: dir,
		}})
	}
	if s := control(liar); s.Count[Lost] == 0 {
		t.Errorf("the platform answered before it committed, and the judge has found no loss: %v", s.Count)
	}
	if s := control(honest); !s.Right() {
		t.Errorf("the platform committed before it answered, and the judge has found: %v", s.Count)
	}
}
