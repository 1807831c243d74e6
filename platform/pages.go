package platform

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// A file of SQLite can be broken inside and be served for a long time: after a copy by hand, or by a disk that changes bits. The
// watchman compares what the rows say; this looks at how they are stored. It reads every file whole, beside everything else:
// at once if the process before did not end in order, and then every day.

// FileDamaged is what /healthz calls a platform one of whose files is broken in how it is stored.
const FileDamaged = "file_damaged"

// pagesEvery is how often the files are looked at.
const pagesEvery = 24 * time.Hour

// pages is what the last look at the files has found.
type pages struct {
	mu     sync.Mutex
	broken map[string]string // by database
	looks  int64
}

// watchPages looks at the files until the process stops.
func (a *App) watchPages(context.Context) error {
	if a.place.url != "" {
		return nil
	}
	life, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	a.onStop(func(context.Context) error { stop(); <-done; return nil })
	wait := a.firstLook()
	go func() {
		defer close(done)
		for {
			select {
			case <-life.Done():
				return
			case <-clock.Pause(wait):
			}
			a.lookAtPages(life)
			wait = pagesEvery
		}
	}()
	return nil
}

// firstLook returns how long after the start the files are looked at: at once where the process before did not end in order.
func (a *App) firstLook() time.Duration {
	if a.unclean {
		return 0
	}
	return pagesEvery
}

// lookAtPages looks at every file once.
func (a *App) lookAtPages(ctx context.Context) {
	databases := a.databases()
	for _, name := range slices.Sorted(maps.Keys(databases)) {
		broken, err := databases[name].QuickCheck(ctx)
		if err != nil && store.Classify(err) != store.Other { // it is in other hands: what reads it says so
			continue
		}
		if err != nil && ctx.Err() == nil {
			broken = []string{err.Error()}
		}
		a.pages.found(name, broken)
		if len(broken) > 0 {
			a.Log.Error("a file is broken in how it is stored", "database", name, "found", broken,
				"next", "payments go on; stop the platform, keep a copy, and restore: the journal from a backup, tables by removing their file")
		}
	}
	a.pages.mu.Lock()
	defer a.pages.mu.Unlock()
	a.pages.looks++
}

func (p *pages) found(name string, broken []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(broken) == 0 {
		delete(p.broken, name)
		return
	}
	if p.broken == nil {
		p.broken = map[string]string{}
	}
	p.broken[name] = broken[0]
}

// wrong says whether a file is broken.
func (p *pages) wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.broken) == 0 {
		return nil
	}
	return []string{FileDamaged}
}

var (
	damagedDesc = describe("store_files_damaged", "Files that are broken in how they are stored, at the last look. Must be 0.")
	looksDesc   = describe("store_files_looks_total", "Times that all files were looked at for that.")
)

func (p *pages) collect(total, now func(*prometheus.Desc, int64, ...string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now(damagedDesc, int64(len(p.broken)))
	total(looksDesc, p.looks)
}
