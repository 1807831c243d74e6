package platform

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// journalFile is the record's file in the data folder.
const (
	journalName = "journal"
	journalFile = journalName + ".db"
)

// feedSuffix makes the name of a feed of the name of its service.
const feedSuffix = ".feed"

// place says where the databases of a platform are.
type place struct {
	data     string // the data folder
	key      string // the file of the root key; "" means root.key in the data folder
	url      string // of PostgreSQL; "" keeps everything in the data folder
	readOnly bool
	clock    clock.Clock
	fatal    func(error)                        // is told when a disk has failed in a way that no write has told; nil where nothing is written
	edit     func(name string, c *store.Config) // of every database, the record's is called journal; for tests that let the store fail
}

// journal opens the database of the record.
func (p place) journal(ctx context.Context) (*store.DB, error) {
	c := store.Config{URL: p.url, Schema: journalName, Durability: store.Full, ReadOnly: p.readOnly, Clock: p.clock, Broken: p.fatal}
	if p.url == "" {
		c.Path, c.Schema = filepath.Join(p.data, journalFile), ""
	}
	if p.edit != nil {
		p.edit(journalName, &c)
	}
	return store.Open(ctx, c)
}

// tables says where one service's tables are kept, or one feed's.
func (p place) tables(name string) store.Config {
	c := store.Config{
		URL: p.url, Schema: strings.ReplaceAll(name, ".", "_"), Durability: store.Relaxed, ReadOnly: p.readOnly,
		Clock: p.clock, Broken: p.fatal,
	}
	if p.url == "" {
		c.Path, c.Schema = filepath.Join(p.data, "state", name+".db"), ""
	}
	if p.edit != nil {
		p.edit(name, &c)
	}
	return c
}

// one refuses two stores: a folder with books of its own and a PostgreSQL that is named beside it, by an environment
// that was forgotten perhaps. Which of them is meant, nobody but the operator knows.
func (p place) one() error {
	if p.url == "" {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(p.data, journalFile)); err != nil {
		return nil //nolint:nilerr // there are no books there
	}
	return fmt.Errorf("platform: there are books in %s (%s), and the store %s is named too, by --store or KOBAN_STORE: leave out "+
		"the store to use the folder, or name a folder without books", p.data, journalFile, p.where())
}

// where says in a line which PostgreSQL it is, and never with which password.
func (p place) where() string {
	out := "PostgreSQL"
	if u, err := url.Parse(p.url); err == nil && u.Host != "" {
		out += " at " + u.Host + ", database " + strings.TrimPrefix(u.Path, "/")
	}
	return out
}

// state opens the database of one service's tables, or of one feed's.
func (p place) state(ctx context.Context, name string) (*store.DB, error) {
	return store.OpenCurrent(ctx, p.tables(name))
}

// engine returns the word of platform.json for the kind of store.
func (p place) engine() string {
	if p.url == "" {
		return store.SQLite.String()
	}
	return store.Postgres.String()
}

// Books says in a line where the books are, and never with which password.
func (a *App) Books() string {
	if a.StoreURL == "" {
		return a.Data + " (SQLite)"
	}
	return place{url: a.StoreURL}.where()
}

// prepare makes the folders. They are for their owner alone. What is in them is believed, so nobody else may
// have put it there; the data folder itself is looked at with the machine.
func (p place) prepare() error {
	if err := p.one(); err != nil {
		return err
	}
	state := filepath.Join(p.data, "state")
	for _, dir := range []string{p.data, state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("platform: make the data folder: %w", err)
		}
	}
	info, err := os.Lstat(state)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder itself: put one there, or mount it", state)
	}
	if err == nil {
		err = store.CheckOwner(state, info)
	}
	if err != nil {
		return fmt.Errorf("platform: the data folder: %w", err)
	}
	return nil
}

// lockName is the purpose of the lock on a store.
const lockName = "koban"

// locks are held for as long as the process lives.
type locks struct {
	held  []*store.Lock
	leave func() error // gives up the connections to the store; nil if there are none
}

// lock takes the data folder, and the store if that is elsewhere, with the connections that it takes to
// write there. While another process holds one of them, it returns a *store.HeldError, or waits.
//
// Errors: those of store.LockDir, store.LockStore and store.Reserve.
func (p place) lock(ctx context.Context, wait bool) (locks, error) {
	dir, err := store.LockDir(ctx, p.data, wait, p.clock)
	if err != nil {
		return locks{}, err
	}
	l := locks{held: []*store.Lock{dir}}
	if p.url != "" {
		err = l.lockStore(ctx, p.url, wait)
	}
	if err != nil {
		return locks{}, errors.Join(err, l.release())
	}
	return l, nil
}

// lockStore takes the store. A process that waits for it has its connections already: it takes over at
// once, and it finds out at its start, not then, if they are too few.
func (l *locks) lockStore(ctx context.Context, url string, wait bool) error {
	remote, err := store.LockStore(ctx, url, lockName, false)
	var held *store.HeldError
	waits := wait && errors.As(err, &held)
	if err != nil && !waits {
		return err
	}
	if !waits {
		l.held = append(l.held, remote)
	}
	if l.leave, err = store.Reserve(ctx, url, nil); err != nil || !waits {
		return err
	}
	if remote, err = store.LockStore(ctx, url, lockName, true); err == nil {
		l.held = append(l.held, remote)
	}
	return err
}

// check returns a *store.MovedError if another process could take one of the locks without our knowing.
func (l locks) check() error {
	for _, one := range l.held {
		if err := one.Check(); err != nil {
			return err
		}
	}
	return nil
}

// lost receives once if another process has one of the locks.
func (l locks) lost() <-chan error {
	for _, one := range l.held {
		if one.Lost() != nil {
			return one.Lost()
		}
	}
	return nil
}

func (l locks) release() error {
	var errs []error
	if l.leave != nil {
		errs = append(errs, l.leave())
	}
	for _, one := range slices.Backward(l.held) {
		errs = append(errs, one.Release())
	}
	return errors.Join(errs...)
}

// openJournal opens the record and the platform's constants.
func openJournal(ctx context.Context, p place) (*journal.Journal, *store.DB, error) {
	db, err := p.journal(ctx)
	if err != nil {
		return nil, nil, err
	}
	j, err := journal.Open(ctx, db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return j, db, nil
}

// all runs every function at the same time, waits for all of them, and returns their errors.
func all(funcs ...func() error) error {
	errs := make([]error, len(funcs))
	var wait sync.WaitGroup
	for i, f := range funcs {
		wait.Go(func() { errs[i] = f() })
	}
	wait.Wait()
	return errors.Join(errs...)
}
