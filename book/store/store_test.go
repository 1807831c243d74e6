package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
)

var bg = context.Background()

func migrate(t testing.TB, db *store.DB, dir string) {
	t.Helper()
	if err := db.Migrate(bg, os.DirFS(filepath.Join("testdata", dir))); err != nil {
		t.Fatalf("migrate to %s: %v", dir, err)
	}
}

func put(db *store.DB, name string, value any) error {
	return db.Write(bg, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO things (name, value) VALUES ($1, $2)", name, value)
		return err
	})
}

func count(t testing.TB, db *store.DB) (n int) {
	t.Helper()
	err := db.Read(bg, func(tx *sql.Tx) error { return tx.QueryRow("SELECT COUNT(*) FROM things").Scan(&n) })
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	return n
}

func TestWriteCommitsAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		db := open("one")
		migrate(t, db, "schema")
		if err := put(db, "a", 1); err != nil {
			t.Fatal(err)
		}
		refusal := errors.New("no")
		err := db.Write(bg, func(tx *sql.Tx) error {
			if _, err := tx.Exec("INSERT INTO things (name, value) VALUES ($1, $2)", "b", 2); err != nil {
				return err
			}
			return refusal
		})
		if !errors.Is(err, refusal) {
			t.Errorf("the error of the function came back as %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = db.Write(bg, func(tx *sql.Tx) error {
				_, _ = tx.Exec("INSERT INTO things (name, value) VALUES ($1, $2)", "c", 3)
				panic("in the middle")
			})
		}()
		if n := count(t, db); n != 1 {
			t.Errorf("%d rows, want the 1 that was committed", n)
		}
		if n := count(t, open("one")); n != 1 {
			t.Errorf("another handle sees %d rows, want 1", n)
		}
	})
}

func TestReadSeesOneSnapshot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		db := open("one")
		migrate(t, db, "schema")
		err := db.Read(bg, func(tx *sql.Tx) error {
			for want := range 3 { // the first pass fixes the snapshot, rows come in between
				var n int
				if err := tx.QueryRow("SELECT COUNT(*) FROM things").Scan(&n); err != nil {
					return err
				}
				if n != 0 {
					t.Errorf("pass %d sees %d rows, want 0", want, n)
				}
				if err := put(db, fmt.Sprint(want), want); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Read(bg, func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO things (name, value) VALUES ($1, $2)", "x", 1)
			return err
		})
		if got := store.Classify(err); got != store.ReadOnly {
			t.Errorf("writing inside Read: %v (%v), want it refused as read only", err, got)
		}
	})
}

func TestErrorsAreClassifiedAlike(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		db := open("one")
		migrate(t, db, "schema")
		if err := put(db, "a", 1); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what  string
			name  string
			value any
			want  store.Class
		}{
			{"the same key", "a", 1, store.Unique},
			{"a value out of range", "b", 1001, store.Check},
			{"no value", "b", nil, store.Check},
		} {
			if err := put(db, c.name, c.value); store.Classify(err) != c.want {
				t.Errorf("%s: %v is %v, want %v", c.what, err, store.Classify(err), c.want)
			}
		}
		err := db.Write(bg, func(tx *sql.Tx) error { _, err := tx.Exec("SELECT nothing FROM nowhere"); return err })
		if err == nil || store.Classify(err) != store.Other {
			t.Errorf("a statement that is wrong: %v is %v, want other", err, store.Classify(err))
		}
	})
}

// Two transactions that read each other's row and then write: PostgreSQL refuses one under deadlock, SQLite queues them.
func TestWriteRunsAgainWhenAsked(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		conf := config("one")
		conf.Durability = store.Relaxed // a record has one connection for writing, where writers queue
		db := storetest.Open(t, conf)
		migrate(t, db, "schema")
		for _, name := range []string{"a", "b"} {
			if err := put(db, name, 0); err != nil {
				t.Fatal(err)
			}
		}
		const writers, rounds = 4, 20
		var all sync.WaitGroup
		errs := make(chan error, writers*rounds)
		for w := range writers {
			all.Go(func() {
				order := []string{"a", "b"}
				if w%2 == 1 {
					order = []string{"b", "a"}
				}
				for range rounds {
					errs <- db.Write(bg, func(tx *sql.Tx) error {
						for _, name := range order {
							if _, err := tx.Exec("UPDATE things SET value = value + 1 WHERE name = $1", name); err != nil {
								return err
							}
						}
						return nil
					})
				}
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Errorf("a write was not run again: %v", err)
			}
		}
		var total int
		err := db.Read(bg, func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT CAST(SUM(value) AS BIGINT) FROM things").Scan(&total)
		})
		if err != nil || total != 2*writers*rounds {
			t.Errorf("sum is %d (%v), want %d: an update was lost or done twice", total, err, 2*writers*rounds)
		}
	})
}

func TestBusyIsTriedAgainAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		runs int
	}{
		{"conflict", &pgconn.PgError{Code: "40001"}, 3},
		{"lost", storetest.Cut, 1},
	} {
		storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
			var f storetest.Faults
			conf := config("one")
			conf.Wrap = f.Wrap
			db := storetest.Open(t, conf)
			migrate(t, db, "schema")
			f.Commit(1, storetest.Fail, c.err)
			f.Commit(2, storetest.Fail, c.err)
			runs := 0
			err := db.Write(bg, func(tx *sql.Tx) error {
				runs++
				_, err := tx.Exec("INSERT INTO things (name, value) VALUES ($1, $2)", "a", 1)
				return err
			})
			if runs != c.runs || (err == nil) != (c.runs == 3) {
				t.Errorf("%s: ran %d times and returned %v, want %d times", c.name, runs, err, c.runs)
			}
		})
	}
}

func TestMigrate(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		db := storetest.Open(t, config("one"))
		migrate(t, db, "schema")
		migrate(t, db, "schema")
		if err := put(db, "a", 1); err != nil {
			t.Fatal(err)
		}
		refused(t, db.Migrate(bg, os.DirFS("testdata/changed")), "0001_first.sql is not what was applied")
		migrate(t, db, "newer")
		if n := count(t, db); n != 1 {
			t.Errorf("%d rows after migrating, want 1", n)
		}
		refused(t, db.Migrate(bg, os.DirFS("testdata/schema")), "from a newer version")

		look := config("one")
		look.ReadOnly = true
		reader := storetest.Open(t, look)
		migrate(t, reader, "newer")
		if err := put(reader, "b", 1); err == nil {
			t.Error("a database opened for reading took a write")
		}

		old := config("two")
		migrate(t, storetest.Open(t, old), "schema")
		old.ReadOnly = true
		refused(t, storetest.Open(t, old).Migrate(bg, os.DirFS("testdata/newer")), "older than this version")
	})
}

// SQLite's directory has one owner (LockDir); processes on one PostgreSQL may well start together.
func TestTwoMigrateAtOnce(t *testing.T) {
	config := storetest.Postgres(t)
	var all sync.WaitGroup
	for _, db := range []*store.DB{storetest.Open(t, config("one")), storetest.Open(t, config("one"))} {
		all.Go(func() {
			if err := db.Migrate(bg, os.DirFS("testdata/newer")); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	all.Wait()
	migrate(t, storetest.Open(t, config("one")), "newer")
}

// refused fails the test unless err says why.
func refused(t *testing.T, err error, why string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want it refused: %s", err, why)
	}
}
