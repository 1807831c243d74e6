package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// restartFrames is the length of SQLite's log, in pages of 4 KiB, from which on a checkpoint also makes the next commit
// start the log over. Short of that the log starts over by itself, whenever a checkpoint finds no commit after it.
const restartFrames = 16 << 10

// Checkpoint moves what is in SQLite's write-ahead log into the database file. The most of it runs beside commits; only
// if the log has grown long do commits wait for the rest. The log keeps its length on disk and is written over, which
// makes later syncs cheaper. For PostgreSQL it does nothing.
//
// Errors: what Classify calls DiskFull or Busy harms nothing, the log only grows, and the next checkpoint tries again. What
// it calls Broken is told to Config.Broken too, and every later Write returns it.
func (db *DB) Checkpoint(ctx context.Context) error {
	if db.engine != SQLite || db.write == nil {
		return nil
	}
	state, err := db.checkpoint(ctx, db.sweep, "PASSIVE")
	if err != nil || state.log < restartFrames {
		return err
	}
	_, err = db.checkpoint(ctx, db.write, "RESTART")
	return err
}

// Scrub moves all of SQLite's log into the file and cuts it to nothing, so that what was deleted is in neither any more.
// Commits wait meanwhile. For PostgreSQL it does nothing. Its errors are those of Checkpoint, and that a reader is in the way.
func (db *DB) Scrub(ctx context.Context) error {
	if db.engine != SQLite || db.write == nil {
		return nil
	}
	return db.emptyLog(ctx)
}

// emptyLog moves all of the log into the file, syncs it, and cuts the log to nothing.
func (db *DB) emptyLog(ctx context.Context) error {
	state, err := db.checkpoint(ctx, db.write, "TRUNCATE")
	if err == nil && state.busy {
		return fmt.Errorf("store: %s: a long reader holds up the checkpoint: end it, or try again", db.config.Path)
	}
	return err
}

type logState struct {
	busy        bool // a reader or another checkpoint was in the way; not all is moved
	log, backed int  // pages in the log, and how many of them are in the file too
}

func (db *DB) checkpoint(ctx context.Context, pool *sql.DB, mode string) (s logState, err error) {
	db.moving.Lock()
	err = pool.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&s.busy, &s.log, &s.backed)
	db.moving.Unlock()
	if err != nil {
		err = fmt.Errorf("store: checkpoint %s: %w", db.config.Path, err)
		if Classify(err) == Broken {
			db.end(err)
		}
	}
	return s, err
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
	if db.config.Broken != nil && db.pin != nil { // without it, Open returns the error
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
