package book

import (
	"context"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// Due times are state (rule B7): each row says when it wants to be looked at. The keeper finds what is due, in memory
// and in the tables, and submits the machine's command for it.

const (
	keepEvery  = 20 * time.Millisecond  // how often the keeper looks while blocks come, or something is due soon
	keepIdle   = 250 * time.Millisecond // the same while nothing happens
	keepAhead  = 2 * clock.Minute       // how far ahead of now due times are known
	keepScan   = 1000                   // rows per scan, so that a start with a million due rows is paced
	keepMany   = 10 * keepScan          // due rows in memory before a scan goes on
	keepAtOnce = 256                    // due commands per book and round
)

// keep runs what is due in the saver's books, until ctx ends.
func (s *Saver) keep(ctx context.Context) {
	for idle := false; ; {
		if !s.rest(ctx, idle) {
			return
		}
		if s.paused.Load() {
			continue
		}
		idle = true
		for _, b := range s.list() {
			for _, t := range b.core.tables {
				if t.base().timed {
					b.scanDue(ctx, t)
				}
			}
			b.runDue(ctx)
			b.yieldRows()
			idle = idle && !b.dueBefore(b.clk.Now().Add(keepIdle))
		}
	}
}

// rest waits before the keeper looks again; false if ctx has ended. An idle keeper is woken by the next
// block: what comes to be due soon comes with one.
func (s *Saver) rest(ctx context.Context, idle bool) bool {
	if idle {
		select {
		case <-ctx.Done():
			return false
		case <-s.stir:
		case <-clock.Pause(keepIdle - keepEvery):
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-clock.Pause(keepEvery):
		return true
	}
}

// dueBefore says whether something is known to be due before t, or is still looked for.
func (b *Book) dueBefore(t clock.Micros) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, table := range b.core.tables {
		h := &table.base().due
		if next := h.next(); table.base().timed && (!h.scanned || next > 0 && next < t) {
			return true
		}
	}
	return false
}

// PauseTimers stops or restarts due times, for tests that show that another layer heals alone.
func (s *Saver) PauseTimers(paused bool) { s.paused.Store(paused) }

// scanDue goes on finding the rows of the tables that are due soon. First the horizon is raised, so that what changes or
// is not saved yet is noted in memory; then everything that was saved before that is found by reading.
func (b *Book) scanDue(ctx context.Context, t Table) {
	b.mu.Lock()
	h, now := &t.base().due, b.clk.Now()
	if h.scanned && h.horizon < now+keepAhead/2 {
		h.scanned, h.cursor = false, DueRow{At: h.horizon}
	}
	if !h.scanned && h.horizon < now+keepAhead/2 {
		b.core.Ahead(t, now+keepAhead)
	}
	skip, after, until := h.scanned || len(h.items) > keepMany, h.cursor, h.horizon
	b.mu.Unlock()
	if skip {
		return
	}
	rows, err := b.state.DueBefore(ctx, b.volume, t, after, until, keepScan)
	if ctx.Err() == nil {
		b.went(TimerScan, err)
	}
	if err != nil {
		return // tried again in the next round
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range rows {
		b.core.AddDue(t, r.Key, r.At)
		h.cursor = r
	}
	h.scanned = len(rows) < keepScan && until == h.horizon
}

// runDue submits the commands of rows whose time has come.
func (b *Book) runDue(ctx context.Context) {
	b.mu.Lock()
	var cmds []any
	var wants []Want
	if !b.closed && b.core.Ended() == nil {
		cmds, wants = b.core.Due(b.clk.Now(), keepAtOnce)
	}
	var f *fetch
	if len(wants) > 0 {
		f = b.want(wants)
	}
	b.mu.Unlock()
	for _, cmd := range cmds {
		b.Go(ctx, cmd, func(reply any, err error) {
			if b.onExpiry != nil {
				b.saver.work.Go(func() { b.onExpiry(cmd, reply, err) })
			}
		})
	}
	if f != nil {
		_ = f.wait(ctx, nil) // if it failed, the rows are wanted again in the next round
	}
}
