package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

// openSQLite opens the file with one connection for writing, so that writers queue in this process, and some for reading.
func (db *DB) openSQLite(ctx context.Context) error {
	db.engine = SQLite
	path, err := filepath.Abs(db.config.Path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := prepareFile(path, db.config.ReadOnly); err != nil {
		return err
	}
	if !db.config.ReadOnly {
		if db.write, err = db.sqlitePool(path, "rw", writerShares, db.writePragmas()); err != nil {
			return err
		}
		db.write.SetMaxOpenConns(1)
		if err := checkSQLite(ctx, db.write, path, db.config.Durability); err != nil {
			return err
		}
		if err := db.settleLog(ctx, path); err != nil {
			return err
		}
		if db.pin, err = pin(path, path+"-wal"); err != nil {
			return err
		}
		db.pin.derived = db.config.Durability == Relaxed
	}
	if db.read, err = db.sqlitePool(path, "ro", readerShares, readPragmas); err != nil {
		return err
	}
	db.read.SetMaxOpenConns(db.config.Readers)
	db.read.SetMaxIdleConns(db.config.Readers)
	if err := db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("store: open %s: %w", path, err)
	}
	if db.config.ReadOnly {
		return nil
	}
	if db.sweep, err = db.sqlitePool(path, "rw", 0, db.writePragmas()); err != nil {
		return err
	}
	db.sweep.SetMaxOpenConns(1)
	if db.config.CheckpointEvery > 0 {
		db.maintain = startMaintainer(db)
	}
	return nil
}

// busyTimeout is how long a connection waits for other processes, before whoever uses it tries again.
const busyTimeout = 5 * time.Second

// Settings of a connection. busy_timeout is busyTimeout, for others' processes (a verifier) only. The log is emptied by Checkpoint and
// not in the middle of a commit, hence wal_autocheckpoint = 0. Nothing is mapped into memory: a disk that fails under
// mmap ends the process with a signal instead of an error.
var (
	readPragmas = []string{"busy_timeout(5000)", "query_only(1)", "temp_store(memory)"}
	basePragmas = []string{
		"busy_timeout(5000)", "journal_mode(wal)", "wal_autocheckpoint(0)",
		"temp_store(memory)", "foreign_keys(1)",
	}
)

func (db *DB) writePragmas() []string {
	if db.config.Durability == Full {
		// What is erased from the record's side notes must not stay behind in free pages.
		return append([]string{"synchronous(full)", "secure_delete(1)"}, basePragmas...)
	}
	return append([]string{"synchronous(normal)"}, basePragmas...)
}

func (db *DB) sqlitePool(path, mode string, shares int64, pragmas []string) (*sql.DB, error) {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	if mode == "rw" {
		q.Set("_txlock", "immediate")
	}
	base, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return sql.OpenDB(db.wrap(cachingConnector{base, shares})), nil
}

func (db *DB) wrap(c driver.Connector) driver.Connector {
	if db.config.Wrap != nil {
		return db.config.Wrap(c)
	}
	return c
}

// prepareFile creates the file if there is none, with mode 0600, which SQLite gives to its log too; of one that is there
// it requires that mode. It never opens a file that exists: closing it again would drop the locks of every connection
// that this process has to it (POSIX advisory locks, sqlite.org/howtocorrupt.html section 2.2).
func prepareFile(path string, readOnly bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !readOnly:
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("store: create the database: %w", err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("store: create the database: %w", err)
		}
		return syncDir(filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("store: %w", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("store: %s is a symbolic link: put the file itself there, or choose another directory",
			path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("store: %s is not a file", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("store: others can get at %s (mode %04o): chmod 600 it", path, info.Mode().Perm())
	case readOnly:
		return nil
	}
	if err := CheckOwner(path, info); err != nil {
		return err
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if err := unix.Access(p, unix.W_OK); err != nil {
			return fmt.Errorf("store: cannot write %s: %w: give this user the right to, or choose another directory", p, err)
		}
	}
	return nil
}

// checkSQLite asks the connection for what counts, instead of trusting what was requested of it.
func checkSQLite(ctx context.Context, pool *sql.DB, path string, d Durability) error {
	var mode string
	if err := pool.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("store: open %s: %w", path, err)
	}
	if mode != "wal" {
		return fmt.Errorf("store: %s cannot have a write-ahead log (journal mode %s): put it on a local file system", path, mode)
	}
	var level int
	if err := pool.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil {
		return fmt.Errorf("store: open %s: %w", path, err)
	}
	if d == Full && level < 2 {
		return fmt.Errorf("store: %s would lose acknowledged commits (synchronous is %d): it must be FULL (2)", path, level)
	}
	return nil
}
