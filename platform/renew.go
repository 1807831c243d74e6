package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/judge/verify"
)

// Tables follow from the journal. So those that another version of the program made are not changed: what this version
// would have made is built beside them, and swapped in once it is whole (rule B10).

// tables are the state tables of one service, or of one feed.
type tables struct {
	verify.Service
	files fs.FS // their migrations
	db    *store.DB
	state *book.SQLState
	why   string // they have to be built anew; "" if they need not
}

// tables returns a service's tables, and those of its feed. They are not open.
func (k *kind) tables(volumes int) (own, news *tables) {
	machine := k.machine
	own = newTables(k.name, volumes, k.migrations(), func(v int) book.Machine { return machine(v, volumes) })
	return own, newTables(k.name+feedSuffix, 1, feed.Migrations(), func(int) book.Machine { return feed.NewMachine() })
}

func newTables(name string, volumes int, files fs.FS, machine func(int) book.Machine) *tables {
	t := &tables{files: files, Service: verify.Service{Name: name, Volumes: volumes, Machine: machine}}
	t.Prepare = func(ctx context.Context, db *store.DB) (*book.SQLState, error) {
		if err := db.Migrate(ctx, files); err != nil {
			return nil, fmt.Errorf("the tables of %s: %w", name, err)
		}
		return book.NewSQLState(ctx, db)
	}
	return t
}

// openTables opens tables for writing. Those that are not this program's are built anew; none are swapped before all are
// built, so that until then the program that made the old ones can still be started. On an error, close what was opened.
//
// Errors: the store's and the journal's; those of stale.
func (a *App) openTables(ctx context.Context, list []*tables) error {
	var build, swap, open []func() error
	for _, t := range list {
		build = append(build, func() error { return a.renew(ctx, t) })
		swap = append(swap, func() error { return a.swap(ctx, t) })
		open = append(open, func() (err error) {
			if t.db == nil {
				if t.db, err = a.place.state(ctx, t.Name); err != nil {
					return err
				}
			}
			t.state, err = t.Prepare(ctx, t.db)
			return err
		})
	}
	if err := all(build...); err != nil {
		for _, t := range list {
			if t.why != "" { // it would only take room
				err = errors.Join(err, store.DropNext(context.WithoutCancel(ctx), a.place.tables(t.Name)))
			}
		}
		return err
	}
	if err := all(swap...); err != nil {
		return err
	}
	return all(open...)
}

// renew opens tables, if they are this program's; if not, it leaves them closed and builds new ones beside them.
func (a *App) renew(ctx context.Context, t *tables) (err error) {
	if t.db, err = a.place.state(ctx, t.Name); err != nil {
		return err
	}
	lost, err := a.missBlocks(ctx, t)
	if err != nil {
		return err
	}
	if lost { // they are the only witnesses of what is gone
		if err := errors.Join(t.close(), a.setApart(ctx, t.Name)); err != nil {
			return err
		}
		if t.db, err = a.place.state(ctx, t.Name); err != nil {
			return err
		}
	}
	if t.why, err = t.stale(ctx, t.db); err != nil || t.why == "" {
		return err
	}
	// Who has them open still reads them after the swap, and then there is no log beside them any more.
	if err := errors.Join(t.db.Scrub(ctx), t.close()); err != nil {
		return err
	}
	watch := clock.Stopwatch()
	if err := a.buildTables(ctx, t); err != nil {
		return fmt.Errorf("build the tables of %s anew, beside the old: %w", t.Name, err)
	}
	a.Log.Info("tables were built anew", "tables", t.Name, "took", watch().Sub(0).String())
	return nil
}

// stale says why tables have to be built anew, "" if they need not.
//
// Errors: what to do about tables that a newer program has made; the store's.
func (t *tables) stale(ctx context.Context, db *store.DB) (why string, err error) {
	standing, err := db.Standing(ctx, t.files)
	switch {
	case err != nil || standing == store.Empty:
		return "", err
	case standing == store.Newer:
		return "", fmt.Errorf("the tables of %s: %w", t.Name, db.Migrate(ctx, t.files))
	}
	made, err := folds(ctx, db)
	if store.Missing(err) {
		return "they do not say which blocks they stand for", nil
	}
	if err != nil {
		return "", fmt.Errorf("the tables of %s: %w", t.Name, err)
	}
	version := int64(t.Machine(0).Version())
	if n := len(made); n > 0 && made[n-1] > version {
		return "", fmt.Errorf("the tables of %s were made by fold version %d, from a newer version of koban; this one knows %d: run the newer version",
			t.Name, made[n-1], version)
	}
	switch {
	case standing == store.Changed:
		return "their schema is another one", nil
	case standing == store.Older:
		return "their schema is older", nil
	case len(made) > 0 && made[0] < version:
		return fmt.Sprintf("they were made by fold version %d, and this is %d", made[0], version), nil
	case db.ReadOnly():
		return "", nil
	}
	return t.unread(ctx, db)
}

// unread says whether positions have a shape that this program cannot read. They are of no migration.
func (t *tables) unread(ctx context.Context, db *store.DB) (why string, err error) {
	state, err := book.NewSQLState(ctx, db)
	if err == nil {
		_, err = state.Saved(ctx, book.Name(t.Name, 0))
	}
	if store.Missing(err) {
		return "what they say of the blocks they stand for has another shape", nil
	}
	return "", err
}

// readable refuses tables that a judge would take for wrong because another version made them.
func (t *tables) readable(ctx context.Context, db *store.DB) error {
	why, err := t.stale(ctx, db)
	if err == nil && why != "" {
		err = fmt.Errorf("the tables of %s are of another version of koban (%s): start the platform once with this version, which builds them anew",
			t.Name, why)
	}
	if err != nil {
		return err
	}
	if err := db.Migrate(ctx, t.files); err != nil { // for reading: it only looks
		return fmt.Errorf("the tables of %s: %w", t.Name, err)
	}
	return nil
}

// buildTables builds tables beside the old ones, up to the head of every book.
func (a *App) buildTables(ctx context.Context, t *tables) (err error) {
	db, err := store.OpenNext(ctx, a.place.tables(t.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	state, err := t.Prepare(ctx, db)
	if err != nil {
		return err
	}
	r, err := a.replay(ctx, t)
	if err != nil {
		return err
	}
	defer r.end()
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	steps := make([]func() error, t.Volumes)
	for v := range steps {
		steps[v] = func() error {
			slots <- struct{}{}
			defer func() { <-slots }()
			return t.rebuild(ctx, v, r, state)
		}
	}
	if err := all(steps...); err != nil {
		return err
	}
	return db.Scrub(ctx)
}

// rebuild makes the rows of one volume from nothing, and sees that they stand at the head of its journal.
func (t *tables) rebuild(ctx context.Context, volume int, log book.Log, state *book.SQLState) error {
	name, m := book.Name(t.Name, volume), t.Machine(volume)
	into := stamped{state, m.Version()}
	core, err := book.Recover(ctx, name, volume, m, log, into)
	if err == nil {
		err = book.SaveNow(ctx, core, into)
	}
	if err != nil {
		return err
	}
	at, err := state.Saved(ctx, name)
	if err != nil {
		return err
	}
	head, err := log.Head(ctx, name)
	if err == nil && (at.Head.Seq != head.Seq || at.Head.Hash != head.Hash) {
		err = fault.Fenced.New("the new tables of book %s stand at block %d and its journal at block %d: another process is writing it, "+
			"stop that first", name, at.Head.Seq, head.Seq)
	}
	return err
}

// stamped says of tables that this program made them. A core would say so only with the first block it writes.
type stamped struct {
	*book.SQLState
	fold uint32
}

// Save implements book.State.
func (s stamped) Save(ctx context.Context, sets []*book.SaveSet) ([]string, error) {
	for _, set := range sets {
		set.Fold = max(set.Fold, s.fold)
	}
	return s.SQLState.Save(ctx, sets)
}

// swap puts new tables in the place of the old, if there are any.
func (a *App) swap(ctx context.Context, t *tables) error {
	if t.why == "" {
		return nil
	}
	if err := store.Swap(ctx, a.place.tables(t.Name), savedTable); err != nil {
		return fmt.Errorf("put the new tables of %s in place: %w", t.Name, err)
	}
	a.Log.Warn("the new tables are in place", "tables", t.Name)
	return nil
}

// close closes tables, if they are open.
func (t *tables) close() error {
	db := t.db
	if t.db = nil; db == nil {
		return nil
	}
	return db.Close()
}

// replaying is the journal while tables are built from it. It says how far that is.
type replaying struct {
	book.Log
	done atomic.Int64
	quit context.CancelFunc
}

// replayTold is how often one says how far it is.
const replayTold = 5 * time.Second

func (a *App) replay(ctx context.Context, t *tables) (*replaying, error) {
	r := &replaying{Log: a.log}
	var of uint64
	for v := range t.Volumes {
		head, err := a.log.Head(ctx, book.Name(t.Name, v))
		if err != nil {
			return nil, err
		}
		of += head.Seq
	}
	a.Log.Warn("tables are built anew from the journal, before anything is served", "tables", t.Name, "because", t.why, "blocks", of)
	life, quit := context.WithCancel(ctx)
	r.quit = quit
	go func() {
		for {
			select {
			case <-life.Done():
				return
			case <-clock.Pause(replayTold):
				a.Log.Warn("tables are being built", "tables", t.Name, "done", r.done.Load(), "blocks", of)
			}
		}
	}()
	return r, nil
}

// Read implements book.Log.
func (r *replaying) Read(ctx context.Context, name string, from uint64, limit int) ([]*journal.Block, error) {
	blocks, err := r.Log.Read(ctx, name, from, limit)
	r.done.Add(int64(len(blocks)))
	return blocks, err
}

func (r *replaying) end() { r.quit() }
