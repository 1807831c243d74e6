package book

import (
	"context"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// Due times are state (rule B7): each row says when it wants to be looked at. The keeper finds what is due, in memory
// and in the tables, and submits the machine's command for it.

const (
	keepEvery  = 20 * time.Millisecond // how often the keeper looks
	keepAhead  = 2 * clock.Minute      // how far ahead of now rows in the tables are known
	keepScan   = 1000                  // rows per scan, so that a start with a million due rows is paced
	keepAtOnce = 256                   // due commands per book and round
)

// keep runs what is due in the saver's books, until ctx ends.
func (s *Saver) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.Pause(keepEvery):
		}
		if s.paused.Load() {
			continue
		}
		for _, b := range s.list() {
			b.scanDue(ctx)
			b.runDue(ctx)
		}
	}
}

// PauseTimers stops or restarts due times, for tests that show that another layer heals alone.
func (s *Saver) PauseTimers(paused bool) { s.paused.Store(paused) }

// scanDue makes sure that every row in the tables that is due soon is known.
func (b *Book) scanDue(ctx context.Context) {
	now := b.clk.Now()
	for _, t := range b.core.tables {
		base := t.base()
		if !base.timed {
			continue
		}
		b.mu.Lock()
		horizon := base.due.horizon
		b.mu.Unlock()
		if horizon > now+keepAhead/2 {
			continue
		}
		until := now + keepAhead
		rows, err := b.state.DueBefore(ctx, b.volume, t, until, keepScan)
		if err != nil {
			continue // tried again in the next round
		}
		if len(rows) == keepScan {
			until = rows[len(rows)-1].At
		}
		b.mu.Lock()
		for _, r := range rows {
			if r.At >= horizon {
				b.core.AddDue(t, r.Key, r.At)
			}
		}
		base.due.horizon = max(horizon, until)
		b.mu.Unlock()
	}
}

// runDue submits the commands of rows whose time has come.
func (b *Book) runDue(ctx context.Context) {
	for range keepAtOnce {
		b.mu.Lock()
		if b.core.Fenced() {
			b.mu.Unlock()
			return
		}
		cmd, wants := b.core.Due(b.clk.Now())
		b.mu.Unlock()
		switch {
		case wants != nil:
			if b.fetch(ctx, wants) != nil {
				return
			}
		case cmd != nil:
			b.Go(ctx, cmd, func(reply any, err error) {
				if b.onExpiry != nil {
					go b.onExpiry(cmd, reply, err)
				}
			})
		default:
			return
		}
	}
}
