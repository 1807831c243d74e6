package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// BackUp writes what is in an SQLite database now into a new file, whole and at one moment, and syncs it. It is safe beside
// processes that use the database, and no commit waits for it; while it reads, the database's log grows (Log). The copy holds
// no free pages, and so nothing that was erased.
//
// Errors: that the database is not SQLite's, or the file is there already; those of reading and of the disk. A part of a file
// may be left behind.
func (db *DB) BackUp(ctx context.Context, path string) error {
	if db.engine != SQLite {
		return fmt.Errorf("store: %s is not a file of SQLite: back PostgreSQL up with its own tools", db.config.Schema)
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("store: %s is there already: name a new file", path)
	}
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("store: back up %s: %w", db.config.Path, err)
	}
	// The connection reads only: it may write to another database, but refuses even that unless told otherwise.
	err = execAll(ctx, conn, "PRAGMA query_only(0)", "PRAGMA synchronous(full)")
	if err == nil {
		_, err = conn.ExecContext(ctx, "VACUUM INTO $1", path)
	}
	err = errors.Join(err, execAll(context.WithoutCancel(ctx), conn, "PRAGMA query_only(1)"), conn.Close())
	if err == nil {
		err = errors.Join(os.Chmod(path, 0o600), syncFile(path), syncFile(filepath.Dir(path)))
	}
	if err != nil {
		return fmt.Errorf("store: back up %s: %w", db.config.Path, err)
	}
	return nil
}

func execAll(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, text := range statements {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// QuickCheck reads all of an SQLite database and says what is broken in how it is stored, at most a few lines; nothing for
// PostgreSQL, whose own tools do that. What is stored in it is not judged.
//
// Errors: those of reading.
func (db *DB) QuickCheck(ctx context.Context) (broken []string, err error) {
	if db.engine != SQLite {
		return nil, nil
	}
	rows, err := db.read.QueryContext(ctx, "PRAGMA quick_check(5)")
	if err != nil {
		return nil, fmt.Errorf("store: check %s: %w", db.config.Path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, fmt.Errorf("store: check %s: %w", db.config.Path, err)
		}
		if line != "ok" {
			broken = append(broken, line)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: check %s: %w", db.config.Path, err)
	}
	return broken, nil
}
