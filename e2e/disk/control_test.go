package disk

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"

	"github.com/koban-pay/koban/internal/app"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/journal"
)

// unsynced is a platform whose journal is at synchronous=NORMAL: a commit is written, and not synced.
const unsynced = "does-not-sync"

// syncLess turns the sync of the journal's one writing connection off. A platform refuses to start with it off, so that
// happens once it is ready, in the goroutine that writes.
func syncLess(c *app.Config) func() {
	w := &careless{}
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		if w.conn == nil && strings.Contains(dsn, "/journal.db?") && strings.Contains(dsn, "mode=rw") {
			w.conn = conn // the first one is the writer
		}
		return nil
	})
	c.Watch = func(log book.Log) book.Log { w.Log = log; return w }
	return func() { w.lies.Store(true) }
}

type careless struct {
	book.Log
	conn sqlite.ExecQuerierContext
	lies atomic.Bool
	off  bool
}

// Write implements book.Log.
func (w *careless) Write(ctx context.Context, b journal.Batch) (journal.Fate, error) {
	if w.lies.Load() && !w.off {
		if _, err := w.conn.ExecContext(ctx, "PRAGMA synchronous = NORMAL", nil); err != nil {
			return journal.Fate{}, err
		}
		if level, err := levelOf(ctx, w.conn); err != nil || level != 1 {
			return journal.Fate{}, fmt.Errorf("the control syncs all the same: synchronous is %d, %w", level, err)
		}
		w.off = true
	}
	return w.Log.Write(ctx, b)
}

func levelOf(ctx context.Context, conn sqlite.ExecQuerierContext) (int64, error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA synchronous", nil)
	if err != nil {
		return -1, err
	}
	defer rows.Close()
	level := make([]driver.Value, 1)
	if err := rows.Next(level); err != nil {
		return -1, err
	}
	n, _ := level[0].(int64)
	return n, nil
}

// hasty is a platform that answers before it commits.
const hasty = "answers-before-it-commits"

// late is how long after its answer the hasty platform commits.
const late = 20 * time.Millisecond

// answerFirst has the journal say of a batch that it is durable when it was merely taken.
func answerFirst(c *app.Config) func() {
	h := &early{taken: make(chan journal.Batch, 1<<20)}
	c.Watch = func(log book.Log) book.Log {
		h.Log = log
		go h.commit()
		return h
	}
	return func() { h.lies.Store(true) }
}

type early struct {
	book.Log
	lies  atomic.Bool
	taken chan journal.Batch
}

func (h *early) commit() {
	for b := range h.taken {
		<-clock.Pause(late)
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
