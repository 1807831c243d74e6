package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Class is what an error of a database means to its caller, on either engine.
type Class uint8

// The classes.
const (
	Other    Class = iota // not of the database, or not understood
	Unique                // a row with that key exists
	Check                 // a row breaks a CHECK, NOT NULL or REFERENCES of its table
	Busy                  // not done; the whole transaction may be run again (Write does)
	Lost                  // the connection broke: nobody knows whether the commit happened
	DiskFull              // no space; a commit may have happened; it goes on by itself once there is space
	ReadOnly              // the database or its file system does not take writes
	Broken                // an I/O error, damaged data or a moved file: the process must end
)

// String returns the class's word.
func (c Class) String() string {
	names := [...]string{"other", "unique", "check", "busy", "lost", "disk full", "read only", "broken"}
	if int(c) < len(names) {
		return names[c]
	}
	return names[Other]
}

// Classify says what err means. It is the only place that knows the engines' error codes.
func Classify(err error) Class {
	if err == nil {
		return Other
	}
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var moved *MovedError
	switch {
	case errors.As(err, &moved):
		return Broken
	case errors.As(err, &lite):
		return classifySQLite(lite.Code())
	case errors.As(err, &pg):
		return classifyPostgres(pg.Code)
	}
	return classifyNetwork(err)
}

// classifySQLite goes by extended result codes (sqlite.org/rescode.html).
func classifySQLite(code int) Class {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return Unique
	case sqlite3.SQLITE_IOERR_SHMSIZE:
		return DiskFull // the index of the log could not grow; nothing was written
	case sqlite3.SQLITE_READONLY_DBMOVED:
		return Broken
	}
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		return Check
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return Busy
	case sqlite3.SQLITE_FULL:
		return DiskFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return ReadOnly
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return Broken
	}
	return Other
}

// unsynced says whether err is for a sync of SQLite's that failed.
func unsynced(err error) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && (lite.Code() == sqlite3.SQLITE_IOERR_FSYNC || lite.Code() == sqlite3.SQLITE_IOERR_DIR_FSYNC)
}

// classifyPostgres goes by SQLSTATE (PostgreSQL manual, appendix A).
func classifyPostgres(state string) Class {
	switch state {
	case "23505":
		return Unique
	case "23514", "23502", "23503":
		return Check
	case "40001", "40P01", "55P03", "53300": // serialization, deadlock, lock not available, too many connections
		return Busy
	case "53100":
		return DiskFull
	case "25006":
		return ReadOnly
	case "57P01", "57P02", "57P03", "57014", "25P03", "25P04": // shut down, crashed, starting, cancelled, timed out
		return Lost
	case "58030":
		return Broken
	}
	switch {
	case strings.HasPrefix(state, "08"):
		return Lost
	case strings.HasPrefix(state, "XX00"): // XX001 data corrupted, XX002 index corrupted
		if state != "XX000" {
			return Broken
		}
	}
	return Other
}

func classifyNetwork(err error) Class {
	var dial *net.OpError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &dial), errors.As(err, &connect),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed),
		errors.Is(err, sql.ErrTxDone), // of a commit: the context ended before it
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Lost
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return DiskFull
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return ReadOnly
	}
	return Other
}

// Missing says whether err is for a table or a column that does not exist: the tables are of another version.
func Missing(err error) bool {
	var pg *pgconn.PgError
	var lite *sqlite.Error
	return isNoTable(err) || errors.As(err, &pg) && pg.Code == "42703" ||
		errors.As(err, &lite) && strings.Contains(lite.Error(), "no such column")
}

// isNoTable says whether err is for a table that does not exist. SQLite has no code of its own for it.
func isNoTable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "42P01"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && strings.Contains(lite.Error(), "no such table")
}
