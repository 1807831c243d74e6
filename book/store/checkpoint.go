package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/clock"
)

// defaultLogPages is Config.LogPages where that is zero: 64 MiB.
const defaultLogPages = 16 << 10

// Checkpoint moves what is in SQLite's write-ahead log into the database file, beside commits. If the log has grown long,
// or holds what was erased, it is also started over: commits wait for that as they wait for one another, for what was
// committed during the checkpoint to be moved and synced, and never for a reader. While a reader needs the log, it grows;
// Log says so. The log keeps its length on disk and is written over, which makes later syncs cheaper. For PostgreSQL it does
// nothing.
//
// Errors: what Classify calls DiskFull or Busy harms nothing, the log only grows, and the next checkpoint tries again. What
// it calls Broken is told to Config.Broken too, and every later Write returns it.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.engine != SQLite || db.write == nil {
		return nil
	}
	erased := db.log.erased.Load()
	state, err := db.checkpoint(ctx, db.sweep, "PASSIVE", patient)
	if err != nil {
		return err
	}
	mode := "RESTART"
	switch {
	case erased > 0:
		mode = "TRUNCATE"
	case state.log < db.config.LogPages:
		db.log.note(state, db.clock.Now(), false)
		return nil
	}
	state, err = db.checkpoint(ctx, db.write, mode, atOnce)
	if err != nil {
		return err
	}
	if !state.busy && erased > 0 {
		db.log.erased.CompareAndSwap(erased, 0) // unless something was erased meanwhile
	}
	db.log.note(state, db.clock.Now(), state.busy)
	return nil
}

// Erased says that something was deleted that must not stay behind in SQLite's log: soon, and beside commits, all of the log
// is moved into the file and cut to nothing. While a reader needs the log, that waits; Log says so. At the latest it happens
// when the database is opened again. PostgreSQL gives bytes up when it vacuums a table.
func (db *DB) Erased() {
	if db.engine != SQLite || db.write == nil {
		return
	}
	db.log.erased.Add(1)
	db.maintain.kick()
}

// Scrub moves all of SQLite's log into the file and cuts it to nothing, and waits for it: for databases that nobody else
// uses. For PostgreSQL it does nothing. Its errors are those of Checkpoint, and that a reader is in the way.
func (db *DB) Scrub(ctx context.Context) error {
	if db.engine != SQLite || db.write == nil {
		return nil
	}
	state, err := db.checkpoint(ctx, db.write, "TRUNCATE", patient)
	if err == nil && state.busy {
		return fmt.Errorf("store: %s: a long reader holds up the checkpoint: end it, or try again", db.config.Path)
	}
	return err
}

// settleLog makes sure, when a database is opened, that what is in its log is on disk: after a sync that failed, the log may
// hold frames that are in memory only, and a later sync says nothing of them. All of it is moved into the file, and synced.
// Where a reader of another process is in the way, it is written once more to where it stands, and synced.
func (db *DB) settleLog(ctx context.Context, path string) error {
	state, err := db.checkpoint(ctx, db.write, "TRUNCATE", atOnce)
	if err != nil || !state.busy {
		return err
	}
	tx, err := db.write.BeginTx(ctx, nil) // nobody else writes to the log meanwhile
	if err == nil {
		err = errors.Join(rewrite(path+"-wal"), tx.Rollback())
	}
	if err != nil {
		return fmt.Errorf("store: make the log of %s durable: %w", path, err)
	}
	return nil
}

// rewrite writes what is in a file to where it stands, and syncs it.
func rewrite(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
	part := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := f.ReadAt(part, at)
		if _, err := f.WriteAt(part[:n], at); err != nil {
			return err
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// How long a checkpoint waits for readers and for other processes that write.
const (
	atOnce  = 0
	patient = busyTimeout
)

// logBook keeps what Log tells.
type logBook struct {
	pages  atomic.Int64
	held   atomic.Int64 // since when a reader has been in the way of starting the log over, in clock.Micros; 0: none is
	erased atomic.Int64 // how often something was erased that may still be in the log
}

func (b *logBook) note(s logState, now clock.Micros, held bool) {
	b.pages.Store(int64(max(s.log, 0)))
	if !held {
		b.held.Store(0)
	} else {
		b.held.CompareAndSwap(0, max(1, int64(now)))
	}
}

// LogStats is how SQLite's log stands since the last checkpoint.
type LogStats struct {
	Bytes  int64         // in the log
	Held   time.Duration // for how long a reader has kept the log from being started over, though it is due; 0: none does
	Erased bool          // the log may still hold what was erased
}

// pageBytes is the size of SQLite's pages.
const pageBytes = 4096

// Log returns how SQLite's log stands; zero for PostgreSQL.
func (db *DB) Log() LogStats {
	s := LogStats{Bytes: db.log.pages.Load() * pageBytes, Erased: db.log.erased.Load() > 0}
	if since := db.log.held.Load(); since != 0 {
		s.Held = max(1, db.clock.Now().Sub(clock.Micros(since)))
	}
	return s
}

type logState struct {
	busy        bool // a reader or another checkpoint was in the way; not all is moved
	log, backed int  // pages in the log, and how many of them are in the file too
}

// checkpoint runs one checkpoint, on a connection of pool that waits for nobody longer than patience.
func (db *DB) checkpoint(ctx context.Context, pool *sql.DB, mode string, patience time.Duration) (s logState, err error) {
	db.moving.Lock()
	defer db.moving.Unlock()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return s, fmt.Errorf("store: checkpoint %s: %w", db.config.Path, err)
	}
	if patience != busyTimeout {
		err = setPatience(ctx, conn, patience)
	}
	if err == nil {
		err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&s.busy, &s.log, &s.backed)
	}
	if patience != busyTimeout {
		err = errors.Join(err, setPatience(context.WithoutCancel(ctx), conn, busyTimeout))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		err = fmt.Errorf("store: checkpoint %s: %w", db.config.Path, err)
		if Classify(err) == Broken {
			db.end(err)
		}
	}
	return s, err
}

func setPatience(ctx context.Context, conn *sql.Conn, d time.Duration) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", d.Milliseconds()))
	return err
}

// end ends the use of a database whose disk has failed. An fsync that failed must not be tried again:
// the kernel may have dropped what it could not write, and says of the next one that it succeeded (Rebello et al., Can
// Applications Recover from fsync Failures?, USENIX ATC 2020). SQLite would then start its log over although what it holds is
// not in the file. That is so for the record, and no less for tables that can be rebuilt: what they lost would show in no
// error, and people and queries would be told what is not true. Whoever opens the database again starts from the log, all of
// which is moved into the file and synced before anything is built on it; tables that do not fit the record are rebuilt.
func (db *DB) end(err error) {
	if !db.broken.CompareAndSwap(nil, &err) {
		return
	}
	if db.config.Broken != nil && db.opened { // without it, Open returns the error
		db.config.Broken(err)
	}
}

// maintainer checkpoints some time after something was written.
type maintainer struct {
	wake chan struct{}
	quit context.CancelFunc
	done sync.WaitGroup
}

func startMaintainer(db *DB) *maintainer {
	ctx, quit := context.WithCancel(context.Background())
	m := &maintainer{wake: make(chan struct{}, 1), quit: quit}
	m.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.wake:
			}
			select {
			case <-ctx.Done():
				return
			case <-db.clock.After(db.config.CheckpointEvery):
			}
			switch Classify(db.Checkpoint(ctx)) {
			case DiskFull, Busy: // the log grows meanwhile
				m.kick()
			}
			if db.log.held.Load() != 0 {
				m.kick()
			}
		}
	})
	return m
}

// kick tells the maintainer that something was written.
func (m *maintainer) kick() {
	if m == nil {
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *maintainer) stop() {
	if m == nil {
		return
	}
	m.quit()
	m.done.Wait()
}
