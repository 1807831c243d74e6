package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// SetApart takes the current database of those that were swapped at c out of use, whole and unchanged, and
// returns where it stands from then on. On SQLite that is a folder beside the file, lost-1, lost-2 and so on;
// on PostgreSQL a schema whose name ends with _lost_1 and so on. No other process may write to the database.
// That there is none is no error: the place is then "".
//
// Errors: those of Open; what the file system or the server says. If it fails, the database stands in one of
// the places.
func SetApart(ctx context.Context, c Config) (place string, err error) {
	if c.URL != "" {
		return setSchemaApart(ctx, c)
	}
	f, err := familyOf(c)
	if err != nil || !f.there {
		return "", err
	}
	at := c
	at.Path = f.current()
	db, err := Open(ctx, at) // moves its log into the file, so that the file alone is all there is
	if err != nil {
		return "", err
	}
	if err := db.Close(); err != nil {
		return "", err
	}
	if _, err := os.Lstat(at.Path + "-wal"); err == nil { // the last who closes a database removes its log
		return "", fmt.Errorf("store: %s is in use by another process, such as a koban verify: end that, and try "+
			"again", at.Path)
	}
	for n := 1; ; n++ {
		dir := filepath.Join(f.dir, "lost-"+strconv.Itoa(n))
		place := filepath.Join(dir, filepath.Base(at.Path))
		if _, err := os.Lstat(place); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("store: set %s apart: %w", at.Path, err)
		}
		if err := errors.Join(os.Rename(at.Path, place), syncDir(dir), syncDir(f.dir)); err != nil {
			return "", fmt.Errorf("store: set %s apart: %w", at.Path, err)
		}
		return place, nil
	}
}

// setSchemaApart renames a schema.
func setSchemaApart(ctx context.Context, c Config) (place string, err error) {
	c.Readers = 1
	db, err := Open(ctx, c)
	if err != nil {
		return "", err
	}
	err = db.Write(ctx, func(tx *sql.Tx) error {
		for n := 1; ; n++ {
			place = c.Schema + "_lost_" + strconv.Itoa(n)
			var taken bool
			const ask = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"
			if err := tx.QueryRowContext(ctx, ask, place).Scan(&taken); err != nil {
				return err
			}
			if !taken {
				from, to := pgx.Identifier{c.Schema}.Sanitize(), pgx.Identifier{place}.Sanitize()
				_, err := tx.ExecContext(ctx, "ALTER SCHEMA "+from+" RENAME TO "+to)
				return err
			}
		}
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return "", fmt.Errorf("store: set schema %s apart: %w", c.Schema, err)
	}
	return "schema " + place, nil
}
