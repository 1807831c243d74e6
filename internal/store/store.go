package store

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/koban-pay/koban/internal/clock"
)

// Engine is the kind of database.
type Engine uint8

// The engines.
const (
	SQLite Engine = iota + 1
	Postgres
)

// Durability says what a commit promises.
type Durability uint8

// The durabilities.
const (
	Full    Durability = iota // a commit that was acknowledged survives a loss of power
	Relaxed                   // the last commits may be lost, in order; what stays is whole
)

// Config says which database to open, and how. Either Path or URL is set.
type Config struct {
	Path       string // of an SQLite file; it is created with mode 0600 if there is none
	URL        string // of a PostgreSQL database: postgres://…
	Schema     string // of PostgreSQL, created if there is none; "" means public
	Durability Durability
	ReadOnly   bool
	Readers    int         // connections for reading; 0 means a sensible number
	Clock      clock.Clock // paces retries; nil means the system's
}

// DB is an open database. It is safe for concurrent use.
type DB struct{ engine Engine }

// Open opens a database.
func Open(ctx context.Context, c Config) (*DB, error) { panic("skeleton") }

// Engine returns which kind of database it is.
func (db *DB) Engine() Engine { return db.engine }

// Write runs fn in a transaction and commits it. fn runs again, whole, when the database asks for that (conflict, lock),
// so it must have no effect but on the transaction. An error of fn rolls back and is returned as it is.
func (db *DB) Write(ctx context.Context, fn func(*sql.Tx) error) error { panic("skeleton") }

// Read runs fn in a transaction that reads one snapshot.
func (db *DB) Read(ctx context.Context, fn func(*sql.Tx) error) error { panic("skeleton") }

// Migrate brings the schema up to the files NNNN_*.sql in files.
func (db *DB) Migrate(ctx context.Context, files fs.FS) error { panic("skeleton") }

// Checkpoint moves what is in SQLite's write-ahead log into the database file. For PostgreSQL it does nothing.
func (db *DB) Checkpoint(ctx context.Context) error { panic("skeleton") }

// Close closes the database.
func (db *DB) Close() error { panic("skeleton") }
