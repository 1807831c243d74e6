package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// Engine is the kind of database.
type Engine uint8

// The engines.
const (
	SQLite Engine = iota + 1
	Postgres
)

// String returns the engine's name.
func (e Engine) String() string {
	switch e {
	case SQLite:
		return "sqlite"
	case Postgres:
		return "postgres"
	default:
		return "unknown"
	}
}

// Durability says what a commit promises.
type Durability uint8

// The durabilities.
const (
	Full    Durability = iota // a commit that was acknowledged survives a loss of power
	Relaxed                   // the last commits may be lost, in order; what stays is whole
)

// Config says which database to open, and how. Exactly one of Path and URL is set.
type Config struct {
	Path       string // of an SQLite file; it is created with mode 0600 if there is none
	URL        string // of a PostgreSQL database: postgres://…
	Schema     string // of PostgreSQL, created if there is none: a-z 0-9 _; "" means public
	Durability Durability
	ReadOnly   bool
	Readers    int         // SQLite: connections for reading; 0 means twice the number of cores, at least 4
	Clock      clock.Clock // paces retries and checkpoints; nil means the system's

	// CheckpointEvery is how long SQLite's log collects before it is moved into the file, once something was written.
	// 0 means a second; below 0 means only when Checkpoint is called.
	CheckpointEvery time.Duration
	// LogPages is how long SQLite's log may grow, in pages of 4 KiB, before a checkpoint starts it over. 0 means 16,384.
	LogPages int
	// Broken, if set, is told, once, when a checkpoint has failed in a way that Classify calls Broken, or a commit could not
	// sync: the process has to end. It is called by who met it, with no lock held.
	Broken func(error)
	// Wrap, if set, stands between the pool and the driver: for tests that let statements fail.
	Wrap func(driver.Connector) driver.Connector
	// Step, if set, is asked before OpenNext, OpenCurrent and Swap remove, rename or sync a file: for tests that die there.
	Step func(what string) error
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	engine   Engine
	config   Config
	clock    clock.Clock
	write    *sql.DB               // SQLite: one connection, so that writers queue here and not in the database; nil if read-only
	read     *sql.DB               // PostgreSQL: lent by the pool, as write is unless it is a record's
	pool     *pool                 // PostgreSQL: the connections of the process
	sweep    *sql.DB               // SQLite: one connection, for checkpoints beside commits
	moving   sync.Mutex            // SQLite: held by a checkpoint; a second one would be told to come back later
	opened   bool                  // Open has succeeded
	pin      *pinned               // SQLite: the files that were opened
	broken   atomic.Pointer[error] // what Config.Broken was told; nothing is written after it
	log      logBook
	maintain *maintainer
}

// Retries of a transaction that the database asked to have run again.
const (
	maxTries     = 20
	firstBackoff = 2 * time.Millisecond
	maxBackoff   = 200 * time.Millisecond
)

// A PostgreSQL transaction that writes may take this long: a connection whose other end is gone without a word must not
// hold up its caller for ever. Tables that can be rebuilt are written in larger transactions than the journal.
const (
	fullTimeout    = 10 * time.Second
	relaxedTimeout = 2 * time.Minute
)

// Open opens a database. It refuses, with a reason and what to change, what would lose acknowledged commits, what others
// can read, and what cannot be written.
func Open(ctx context.Context, c Config) (*DB, error) {
	if (c.Path == "") == (c.URL == "") {
		return nil, errors.New("store: give either a path or a URL")
	}
	if c.Clock == nil {
		c.Clock = clock.NewSystem()
	}
	if c.Readers == 0 {
		c.Readers = max(4, 2*runtime.NumCPU())
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = time.Second
	}
	if c.LogPages == 0 {
		c.LogPages = defaultLogPages
	}
	db := &DB{config: c, clock: c.Clock}
	open := db.openSQLite
	if c.URL != "" {
		open = db.openPostgres
	}
	if err := open(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.opened = true
	return db, nil
}

// Engine returns which kind of database it is.
func (db *DB) Engine() Engine { return db.engine }

// Clock returns what paces the database's retries.
func (db *DB) Clock() clock.Clock { return db.clock }

// ReadOnly says whether the database was opened for reading only.
func (db *DB) ReadOnly() bool { return db.config.ReadOnly }

// Exec runs a statement with many arguments, each an int64, a string, a []byte or nil, as tx.ExecContext does, and faster.
func (db *DB) Exec(ctx context.Context, tx *sql.Tx, text string, args []any) (sql.Result, error) {
	if db.engine == SQLite {
		return tx.ExecContext(ctx, text, &many{args})
	}
	return tx.ExecContext(ctx, text, args...)
}

// Write runs fn in a transaction and commits it. fn runs again, whole, when the database asks for that (a conflict, a
// lock), so it must have no effect but on the transaction. An error of fn rolls back and is returned as it is. What
// Classify says of the error tells what is known: after Lost, DiskFull, Broken and Other the commit may have happened. After
// what Config.Broken is told, nothing is written any more, and Write returns that.
func (db *DB) Write(ctx context.Context, fn func(*sql.Tx) error) error {
	if db.write == nil {
		return errors.New("store: the database was opened for reading only")
	}
	if err := db.broken.Load(); err != nil {
		return *err
	}
	backoff := firstBackoff
	for try := 1; ; try++ {
		err := db.run(ctx, db.write, &sql.TxOptions{Isolation: db.writeIsolation()}, fn)
		if err == nil {
			return db.written()
		}
		if try == maxTries || Classify(err) != Busy {
			if unsynced(err) { // of tables: the first commit after their log was started over is synced
				db.end(err)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-db.clock.After(rand.N(backoff) + time.Millisecond): //nolint:gosec // when to try again is no secret
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// Read runs fn in a transaction that reads one snapshot. It is not run again: readers wait for nobody.
func (db *DB) Read(ctx context.Context, fn func(*sql.Tx) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.engine == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.run(ctx, db.read, opts, fn)
}

// run runs fn in one transaction.
func (db *DB) run(ctx context.Context, pool *sql.DB, opts *sql.TxOptions, fn func(*sql.Tx) error) error {
	if db.engine == Postgres && !opts.ReadOnly {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		limit := fullTimeout
		if db.config.Durability == Relaxed {
			limit = relaxedTimeout
		}
		defer db.clock.AfterFunc(limit, cancel)()
	}
	tx, err := pool.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	done := false
	defer func() {
		if !done { // also when fn panics
			_ = tx.Rollback()
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	done = true
	if opts.ReadOnly {
		return tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

// writeIsolation is read committed on PostgreSQL, whatever the server's default: a compare-and-set that has to wait for
// another's must then see the other's result. SQLite knows only serializable.
func (db *DB) writeIsolation() sql.IsolationLevel {
	if db.engine == Postgres {
		return sql.LevelReadCommitted
	}
	return sql.LevelDefault
}

// written follows a commit.
func (db *DB) written() error {
	if db.engine != SQLite {
		return nil
	}
	db.maintain.kick()
	err := db.pin.check()
	if err != nil {
		db.end(err)
	}
	return err
}

// Close closes the database.
func (db *DB) Close() error {
	db.maintain.stop()
	var errs []error
	if db.read == db.write {
		db.read = nil
	}
	for _, pool := range []*sql.DB{db.read, db.sweep, db.write} { // the last one empties SQLite's log into the file
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if db.pool != nil {
		errs = append(errs, db.pool.leave())
		db.pool = nil
	}
	return errors.Join(errs...)
}

// pinned are the files of an open SQLite database. If one is moved or deleted under us, what we write is lost with it.
type pinned struct {
	derived bool
	paths   []string
	files   []os.FileInfo
}

func pin(paths ...string) (*pinned, error) {
	p := &pinned{paths: paths}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		p.files = append(p.files, info)
	}
	return p, nil
}

// check returns a MovedError if the paths do not lead to the opened files any more.
func (p *pinned) check() error {
	for i, path := range p.paths {
		info, err := os.Stat(path)
		if err != nil || !os.SameFile(info, p.files[i]) {
			return &MovedError{Path: path, Derived: p.derived}
		}
	}
	return nil
}

// MovedError says that a database was moved, deleted or replaced while it was open. Classify calls it Broken.
type MovedError struct {
	Path    string // of the file; or the name of a schema
	Derived bool   // it follows from the record
}

// Error says what is wrong, and what to do.
func (e *MovedError) Error() string {
	if e.Derived {
		return fmt.Sprintf("store: %s was moved, deleted or replaced while in use: start again, it is made anew from the journal", e.Path)
	}
	return fmt.Sprintf("store: %s was moved, deleted or replaced while in use; put it back and start again", e.Path)
}
