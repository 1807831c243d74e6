package store

import (
	"context"
	"fmt"
)

// Check says whether an open database is still what was opened: a file that stands where it stood; a server
// that answers, has the schema, and keeps what it acknowledges. What is gone for good is told to
// Config.Broken too.
//
// Errors: a *MovedError if the file or the schema is gone; an *UnsafeError if the server's settings were
// changed; what Classify says of others. Opened for reading only, or closed for good, there is nothing to
// check.
func (db *DB) Check(ctx context.Context) error {
	if db.write == nil {
		return nil
	}
	if err := db.broken.Load(); err != nil {
		return *err
	}
	if db.engine == SQLite {
		err := db.pin.check()
		if err != nil {
			db.end(err)
		}
		return err
	}
	if db.config.Durability == Full {
		if err := db.checkPostgres(ctx); err != nil {
			return err
		}
	}
	var there bool
	const ask = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"
	if err := db.write.QueryRowContext(ctx, ask, db.config.Schema).Scan(&there); err != nil {
		return fmt.Errorf("store: look for schema %s: %w", db.config.Schema, err)
	}
	if !there {
		err := &MovedError{Path: "schema " + db.config.Schema, Derived: db.config.Durability == Relaxed}
		db.end(err)
		return err
	}
	return nil
}

// UnsafeError says that a server would lose what it acknowledges.
type UnsafeError struct{ Setting, Value, Change string }

// Error says what is wrong, and what to do.
func (e *UnsafeError) Error() string {
	return fmt.Sprintf("store: this PostgreSQL would lose acknowledged payments (%s is %s): %s", e.Setting, e.Value, e.Change)
}
