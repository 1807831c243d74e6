package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
)

// Migrate brings the schema up to the files NNNN_*.sql in files (goose's format, one text for both engines). Files are
// only ever added: one that changed after it was applied is refused, as is a database that a newer version of the
// program has been at. Opened for reading only, Migrate changes nothing and requires the newest schema.
func (db *DB) Migrate(ctx context.Context, files fs.FS) error {
	standing, err := db.compare(ctx, files)
	if err != nil || standing == Same {
		return err
	}
	if db.config.ReadOnly {
		return fmt.Errorf("store: the schema is older than this version: start the platform once")
	}
	if db.engine == Postgres {
		migrating.Lock()
		defer migrating.Unlock()
		unlock, err := LockStore(ctx, db.config.URL, "migrate "+db.config.Schema, true)
		if err != nil {
			return err
		}
		defer func() { _ = unlock.Release() }() // it ends with its connection anyway
		if standing, err = db.compare(ctx, files); err != nil || standing == Same {
			return err
		}
	}
	p, err := db.provider(files)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	if db.pool != nil {
		db.pool.turn.Add(1)
	}
	if err != nil {
		return fmt.Errorf("store: migrate: %w", err)
	}
	return db.recordFiles(ctx, files, p.ListSources())
}

// migrating is held by who migrates on PostgreSQL: each needs a connection beside those of the pool, for
// its lock.
var migrating sync.Mutex

// compare says how the schema stands to files. The error says why Migrate refuses.
func (db *DB) compare(ctx context.Context, files fs.FS) (Standing, error) {
	p, err := db.provider(files)
	if err != nil {
		return 0, err
	}
	applied, err := appliedFiles(ctx, db.read)
	if err != nil {
		return 0, err
	}
	return compareFiles(files, p.ListSources(), applied)
}

// provider returns what applies files.
func (db *DB) provider(files fs.FS) (*goose.Provider, error) {
	dialect, pool := goose.DialectSQLite3, db.write
	if db.engine == Postgres {
		dialect = goose.DialectPostgres
	}
	if db.config.ReadOnly {
		pool = db.read
	}
	p, err := goose.NewProvider(dialect, pool, files)
	if err != nil {
		return nil, fmt.Errorf("store: migrations: %w", err)
	}
	return p, nil
}

// Standing says how the schema of a database compares with a program's migrations.
type Standing uint8

// The standings.
const (
	Empty   Standing = iota // no migration was ever begun
	Same                    // all were applied, and no others
	Older                   // some are missing
	Changed                 // one is not what was applied under its number, or nobody noted what was
	Newer                   // some were applied that the program does not know
)

// Standing compares the schema with files, and changes nothing.
func (db *DB) Standing(ctx context.Context, files fs.FS) (Standing, error) {
	p, err := db.provider(files)
	if err != nil {
		return 0, err
	}
	applied, err := appliedFiles(ctx, db.read)
	if err != nil {
		return 0, err
	}
	if len(applied) == 0 { // a process that died in the middle of Migrate leaves tables, and no note of them
		begun, err := hasTable(ctx, db.read, goose.DefaultTablename)
		if begun {
			return Changed, err
		}
		return Empty, err
	}
	standing, err := compareFiles(files, p.ListSources(), applied)
	if standing == Changed || standing == Newer {
		return standing, nil // what Migrate says of it is the error
	}
	return standing, err
}

// A table beside goose's own holds what each applied file was.
const createFiles = `CREATE TABLE IF NOT EXISTS schema_files (version BIGINT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL)`

// appliedFiles returns the hash of each file that was applied, by version.
func appliedFiles(ctx context.Context, pool *sql.DB) (map[int64]string, error) {
	out := map[int64]string{}
	there, err := hasTable(ctx, pool, "schema_files")
	if err != nil || !there {
		return out, err
	}
	rows, err := pool.QueryContext(ctx, "SELECT version, sha256 FROM schema_files")
	if err != nil {
		return nil, fmt.Errorf("store: read schema version: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		var sum string
		if err := rows.Scan(&version, &sum); err != nil {
			return nil, fmt.Errorf("store: read schema version: %w", err)
		}
		out[version] = sum
	}
	return out, rows.Err()
}

// hasTable asks by using the table: the catalogs differ between engines.
func hasTable(ctx context.Context, pool *sql.DB, name string) (bool, error) {
	var n int
	err := pool.QueryRowContext(ctx, "SELECT 1 FROM "+name+" LIMIT 1").Scan(&n)
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows):
		return true, nil
	case isNoTable(err):
		return false, nil
	}
	return false, fmt.Errorf("store: read schema version: %w", err)
}

// compareFiles compares what was applied with files. The error says why Migrate refuses.
func compareFiles(files fs.FS, sources []*goose.Source, applied map[int64]string) (Standing, error) {
	known := map[int64]bool{}
	for _, s := range sources {
		known[s.Version] = true
	}
	for version := range applied {
		if !known[version] {
			return Newer, fmt.Errorf("store: the database has schema %d, from a newer version of koban; this one knows %d: "+
				"run the newer version", version, sources[len(sources)-1].Version)
		}
	}
	for _, s := range sources {
		sum, err := fileSum(files, s.Path)
		if err != nil {
			return 0, err
		}
		if was, ok := applied[s.Version]; ok && was != sum {
			return Changed, fmt.Errorf("store: migration %s is not what was applied to this database: "+
				"migrations are never changed, only added", s.Path)
		}
	}
	if len(applied) < len(sources) {
		return Older, nil
	}
	return Same, nil
}

// recordFiles notes the files after they were applied. If the process dies between the two, the next Migrate finds goose
// with nothing to do and notes them then.
func (db *DB) recordFiles(ctx context.Context, files fs.FS, sources []*goose.Source) error {
	return db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, createFiles); err != nil {
			return fmt.Errorf("store: note schema version: %w", err)
		}
		for _, s := range sources {
			sum, err := fileSum(files, s.Path)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO schema_files (version, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
				s.Version, sum)
			if err != nil {
				return fmt.Errorf("store: note schema version: %w", err)
			}
		}
		return nil
	})
}

// fileSum hashes a migration, whatever line ends a checkout gave it.
func fileSum(files fs.FS, path string) (string, error) {
	text, err := fs.ReadFile(files, path)
	if err != nil {
		return "", fmt.Errorf("store: migrations: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.ReplaceAll(string(text), "\r\n", "\n")))
	return hex.EncodeToString(sum[:]), nil
}
