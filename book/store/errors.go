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
		return classifyPostgres(pg)
	}
	return classifyNetwork(err)
}

// classifySQLite goes by extended result codes (sqlite.org/rescode.html).
func classifySQLite(code int) Class {
	switch code {
	case sqlite3.SQLITE_IOERR_NOMEM:
		return Busy
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
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM:
		return Busy
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT: // too many files are open; the caller has gone
		return Lost
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

// states are the SQLSTATEs that mean something to a caller (PostgreSQL manual, appendix A); one of two
// letters stands for all of its class that are not named. What is in none is Other: a mistake of ours, and
// the process ends. So whatever passes by itself, or when somebody looks after the server, has to be here.
var states = map[string]Class{
	"08":    Lost,     // connection exceptions
	"23505": Unique,   // unique_violation
	"23":    Check,    // the other constraints
	"25006": ReadOnly, // read_only_sql_transaction
	"25P03": Lost,     // idle_in_transaction_session_timeout
	"25P04": Lost,     // transaction_timeout
	"28":    Lost,     // invalid authorization: the server does not let us in
	"3D000": Lost,     // invalid_catalog_name: the database is not there, being restored
	"42501": ReadOnly, // insufficient_privilege: somebody took a right away
	"40001": Busy,     // serialization_failure
	"40P01": Busy,     // deadlock_detected
	"40002": Check,    // transaction_integrity_constraint_violation
	"40":    Lost,     // 40003: nobody knows whether the statement was completed
	"53100": DiskFull, // disk_full
	"53200": Busy,     // out_of_memory: rolled back
	"53300": Busy,     // too_many_connections
	"53400": Busy,     // configuration_limit_exceeded: rolled back
	"53":    Lost,     // other resources that have run out
	"55P03": Busy,     // lock_not_available
	"55006": Busy,     // object_in_use
	"55000": Lost,     // object_not_in_prerequisite_state: of a server that is being set up
	"57P04": Lost,     // database_dropped
	"57":    Lost,     // 57014 cancelled, 57P01 shut down, 57P02 crashed, 57P03 starting, 57P05 idle for too long
	"58030": Broken,   // io_error
	"58P01": Broken,   // undefined_file
	"58P02": Broken,   // duplicate_file
	"58":    Lost,     // other errors of the system around the server
	"XX001": Broken,   // data_corrupted
	"XX002": Broken,   // index_corrupted
}

// classifyPostgres goes by SQLSTATE. An internal error is of the server: where it closes the connection
// too, as a distributed one does whose other part is shutting down, nothing is known but that.
func classifyPostgres(pg *pgconn.PgError) Class {
	if c, ok := states[pg.Code]; ok {
		return c
	}
	if len(pg.Code) >= 2 {
		if c, ok := states[pg.Code[:2]]; ok {
			return c
		}
	}
	if pg.Code == "XX000" && (fatal(pg) || strings.Contains(pg.Message, "shut down")) {
		return Lost
	}
	if fatal(pg) {
		return Lost
	}
	return Other
}

// fatal says whether the server has ended the session with an error.
func fatal(pg *pgconn.PgError) bool {
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
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
