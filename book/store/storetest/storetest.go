package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/koban-pay/koban/book/store"
)

// Each runs fn once on SQLite and once on PostgreSQL. open returns the database of that name, new and empty the first
// time; opening a name again gives a second, independent handle on the same database. Handles are closed when the test
// ends.
func Each(t *testing.T, fn func(t *testing.T, open func(name string) *store.DB)) {
	EachConfig(t, func(t *testing.T, config func(name string) store.Config) {
		fn(t, func(name string) *store.DB { return Open(t, config(name)) })
	})
}

// EachConfig is Each for tests that change how a database is opened: config returns what to pass to Open.
func EachConfig(t *testing.T, fn func(t *testing.T, config func(name string) store.Config)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

// SQLite returns a function that names databases in a directory of the test.
func SQLite(t testing.TB) func(name string) store.Config {
	dir := t.TempDir()
	return func(name string) store.Config { return store.Config{Path: filepath.Join(dir, name+".db")} }
}

// Postgres returns a function that names schemas in a database made for the test.
func Postgres(t testing.TB) func(name string) store.Config {
	t.Helper()
	url := database(t)
	return func(name string) store.Config { return store.Config{URL: url, Schema: name} }
}

// Open opens a database, and closes it when the test ends.
func Open(t testing.TB, c store.Config) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("open the database: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}
