package platform

import (
	"context"
	"errors"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// How often a process asks its store whether it is still there and as it must be, and how long it waits for
// the answer. The tables of services are asked for less often where each costs a query: what is wrong with
// them loses nothing.
const (
	pulseEvery = time.Second
	pulseLimit = 2 * time.Second
	pulseDeep  = 5 // rounds
)

// feel asks the store again and again, also while nobody writes. What it finds is what /readyz says; what
// is gone for good ends the process (store.Config.Broken).
func (a *App) feel(ctx context.Context, record *store.DB) {
	for round := 1; ; round++ {
		err := a.askStore(ctx, record, round%pulseDeep == 0)
		if ctx.Err() != nil {
			return
		}
		was := a.store.Swap(&err)
		switch {
		case err != nil && (was == nil || *was == nil):
			a.Log.Error("the store is not as it must be; nothing new is taken until it is", "error", err)
		case err == nil && was != nil && *was != nil:
			a.Log.Warn("the store is as it must be again")
		}
		select {
		case <-ctx.Done():
			return
		case <-clock.Pause(pulseEvery):
		}
	}
}

// askStore looks at everything that the process has open.
func (a *App) askStore(ctx context.Context, record *store.DB, deep bool) error {
	ctx, cancel := context.WithTimeout(ctx, pulseLimit)
	defer cancel()
	if err := a.held.check(); err != nil {
		a.fatal(err)
		return err
	}
	if err := record.Check(ctx); err != nil {
		return err
	}
	if a.StoreURL != "" && !deep {
		return nil
	}
	for _, s := range a.shelves {
		for _, t := range []*tables{s.own, s.news} {
			if err := t.db.Check(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// probeStore fails if the store does not answer, or is not what it was.
func (a *App) probeStore(context.Context) error {
	if err := a.store.Load(); err != nil {
		return *err
	}
	return nil
}

// unsafe returns why what is acknowledged now might be lost; nil if it would not.
func (a *App) unsafe() error {
	err := a.probeStore(context.Background())
	var setting *store.UnsafeError
	if errors.As(err, &setting) {
		return setting
	}
	return nil
}

// cause says what is wrong in words for whoever asks, who may be a stranger: no addresses, no names of
// servers.
func cause(err error) string {
	var setting *store.UnsafeError
	var f *fault.Error
	switch store.Classify(err) {
	case store.DiskFull:
		return "the disk of the store is full"
	case store.ReadOnly:
		return "the store does not take writes"
	case store.Lost, store.Busy:
		return "the store does not answer"
	case store.Broken:
		return "the store has failed"
	}
	switch {
	case errors.As(err, &setting):
		return "the store would lose what it acknowledges: " + setting.Setting + " is " + setting.Value
	case errors.As(err, &f):
		return f.Message
	}
	return "the log says why"
}
