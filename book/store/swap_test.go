package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
)

// fill makes a database with one thing in it.
func fill(t testing.TB, db *store.DB, err error, name string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	migrate(t, db, "schema")
	if err := errors.Join(put(db, name, 1), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// names returns what is in the current database.
func names(t testing.TB, c store.Config) string {
	t.Helper()
	db, err := store.OpenCurrent(bg, c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out string
	err = db.Read(bg, func(tx *sql.Tx) error { return tx.QueryRow("SELECT MAX(name) FROM things").Scan(&out) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSwapPutsTheNextInPlace(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		c := config("one")
		db, err := store.OpenCurrent(bg, c)
		fill(t, db, err, "0")
		for n := 1; n <= 11; n++ { // numbers of two digits, too
			db, err := store.OpenNext(bg, c) // an attempt that is given up
			fill(t, db, err, "given up")
			db, err = store.OpenNext(bg, c)
			fill(t, db, err, fmt.Sprint(n))
			if got := names(t, reading(c)); got != fmt.Sprint(n-1) {
				t.Errorf("before the swap there is %q, want %d", got, n-1)
			}
			if err := store.Swap(bg, c, "things"); err != nil {
				t.Fatal(err)
			}
			for _, c := range []store.Config{reading(c), c} {
				if got := names(t, c); got != fmt.Sprint(n) {
					t.Errorf("after the swap there is %q, want %d", got, n)
				}
			}
		}
		if c.Path != "" {
			if left := files(t, filepath.Dir(c.Path)); !slices.Equal(left, []string{"one.12.db"}) {
				t.Errorf("files %v are left", left)
			}
		}
	})
}

func reading(c store.Config) store.Config {
	c.ReadOnly = true
	return c
}

func files(t testing.TB, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// The names of one database are no other's: that of a feed begins as that of its service does.
func TestSwapLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	others := []string{"a.feed.db", "a.01.db", "a.1.db", "a.x.db", "a.-2.db", "ab.db", "a.db.bak", "a.2.db.old-wal"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := store.Config{Path: filepath.Join(dir, "a.db")}
	db, err := store.OpenCurrent(bg, c)
	fill(t, db, err, "old")
	db, err = store.OpenNext(bg, c)
	fill(t, db, err, "new")
	if err := store.Swap(bg, c, "things"); err != nil {
		t.Fatal(err)
	}
	want := append([]string{"a.2.db"}, others...)
	slices.Sort(want)
	if left := files(t, dir); !slices.Equal(left, want) {
		t.Errorf("there are %v, want %v", left, want)
	}
}

var errDied = errors.New("the process died here")

// The process dies before each step on files in turn. Whatever it leaves, the database is the old one or the new one,
// whole; and the next attempt succeeds.
func TestSwapSurvivesDeath(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; ; n++ {
		c := storetest.SQLite(t)("one")
		db, err := store.OpenCurrent(bg, c)
		fill(t, db, err, "old")
		db, err = store.OpenNext(bg, c) // leaves a log, as a process that died does
		if err != nil {
			t.Fatal(err)
		}
		migrate(t, db, "schema")
		leftover(t, db, c)

		mortal, steps := c, 0
		mortal.Step = func(string) error {
			if steps++; steps >= n {
				return errDied
			}
			return nil
		}
		err = build(mortal)
		if steps < n {
			if err != nil || n < 6 {
				t.Fatalf("after %d steps: %v", steps, err)
			}
			break
		}
		if !errors.Is(err, errDied) {
			t.Fatalf("step %d: %v", n, err)
		}
		got := names(t, reading(c))
		seen[got] = true
		if got != "old" && got != "new" || got != names(t, c) {
			t.Errorf("died before step %d: the database is %q", n, got)
		}
		if err := build(c); err != nil || names(t, c) != "new" {
			t.Errorf("died before step %d: the next attempt: %v, %q", n, err, names(t, c))
		}
		if left := files(t, filepath.Dir(c.Path)); len(left) != 1 {
			t.Errorf("died before step %d: in the end there are %v", n, left)
		}
	}
	if !seen["old"] || !seen["new"] {
		t.Errorf("the process died on one side of the swap only: %v", seen)
	}
}

// leftover keeps copies of the files that an open database has, and closes it.
func leftover(t testing.TB, db *store.DB, c store.Config) {
	t.Helper()
	dir, kept := filepath.Dir(c.Path), map[string][]byte{}
	for _, name := range []string{"one.next.db", "one.next.db-wal", "one.next.db-shm"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = data
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, data := range kept {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// build makes the next database and swaps it in.
func build(c store.Config) error {
	db, err := store.OpenNext(bg, c)
	if err != nil {
		return err
	}
	err = db.Migrate(bg, os.DirFS("testdata/schema"))
	if err = errors.Join(err, put(db, "new", 1), db.Scrub(bg), db.Close()); err != nil {
		return err
	}
	return store.Swap(bg, c, "things")
}

// Readers of SQLite keep the old content: in the middle of a transaction, and with a connection that was opened and has not
// read yet. The new file is written meanwhile, so that a log of it that the old file met would show.
func TestReadersKeepTheOldFile(t *testing.T) {
	c := storetest.SQLite(t)("one")
	db, err := store.OpenCurrent(bg, c)
	fill(t, db, err, "old")
	look := reading(c)
	look.Readers = 1 // one connection, so that each handle reads with the one it has
	busy, err1 := store.OpenCurrent(bg, look)
	fresh, err2 := store.OpenCurrent(bg, look)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	defer fresh.Close()
	all := func(tx *sql.Tx) (out string) {
		if err := tx.QueryRow("SELECT CAST(COUNT(*) AS TEXT) || MAX(name) FROM things").Scan(&out); err != nil {
			t.Errorf("read: %v", err)
		}
		return out
	}
	err = busy.Read(bg, func(tx *sql.Tx) error {
		if got := all(tx); got != "1old" {
			t.Errorf("before the swap: %s", got)
		}
		if err := build(c); err != nil {
			return err
		}
		db, err := store.OpenCurrent(bg, c)
		if err != nil {
			return err
		}
		defer db.Close()
		for n := range 200 { // into the log, which nobody has emptied when the old file is read
			if err := put(db, fmt.Sprint("x", n), 2); err != nil {
				return err
			}
		}
		if got := all(tx); got != "1old" {
			t.Errorf("in a transaction: %s", got)
		}
		err = fresh.Read(bg, func(tx *sql.Tx) error {
			if got := all(tx); got != "1old" {
				t.Errorf("with a connection that had not read yet: %s", got)
			}
			return nil
		})
		if n := count(t, db); n != 201 {
			t.Errorf("the new database has %d rows, want 201", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = busy.Read(bg, func(tx *sql.Tx) error {
		if got := all(tx); got != "1old" {
			t.Errorf("in the next transaction: %s", got)
		}
		return nil
	})
	if got := names(t, reading(c)); err != nil || got != "x99" {
		t.Errorf("who opens it now finds %q (%v)", got, err)
	}
}

// On PostgreSQL the swap waits until nobody is in the middle of reading.
func TestSwapWaitsForReaders(t *testing.T) {
	c := storetest.Postgres(t)("one")
	db, err := store.OpenCurrent(bg, c)
	fill(t, db, err, "old")
	reader := storetest.Open(t, reading(c))
	swapped := make(chan error, 1)
	max := func(tx *sql.Tx) (out string) {
		if err := tx.QueryRow("SELECT MAX(name) FROM things").Scan(&out); err != nil {
			t.Errorf("read: %v", err)
		}
		return out
	}
	err = reader.Read(bg, func(tx *sql.Tx) error {
		_ = max(tx)
		go func() { swapped <- build(c) }()
		waiting := false
		for wall := clock.NewSystem(); !waiting; <-wall.After(time.Millisecond) {
			err := reader.Read(bg, func(tx *sql.Tx) error {
				return tx.QueryRow("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')").Scan(&waiting)
			})
			if err != nil {
				return err
			}
		}
		if got := max(tx); got != "old" {
			t.Errorf("while the swap waits: %q", got)
		}
		select {
		case err := <-swapped:
			t.Errorf("it was swapped under a reader: %v", err)
			swapped <- err
		default:
		}
		return nil
	})
	if err := errors.Join(err, <-swapped); err != nil {
		t.Fatal(err)
	}
	err = reader.Read(bg, func(tx *sql.Tx) error {
		if got := max(tx); got != "new" {
			t.Errorf("after the swap: %q", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStanding(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		db := open("one")
		stands := func(dir string, want store.Standing) {
			t.Helper()
			got, err := db.Standing(bg, os.DirFS(filepath.Join("testdata", dir)))
			if err != nil || got != want {
				t.Errorf("against %s it is %d (%v), want %d", dir, got, err, want)
			}
		}
		do := func(text string) {
			t.Helper()
			if err := db.Write(bg, func(tx *sql.Tx) error { _, err := tx.Exec(text); return err }); err != nil {
				t.Fatal(err)
			}
		}
		stands("schema", store.Empty)
		migrate(t, db, "schema")
		stands("schema", store.Same)
		stands("newer", store.Older)
		stands("changed", store.Changed)
		migrate(t, db, "newer")
		stands("schema", store.Newer)
		stands("changed", store.Newer) // whatever else it is
		do("DELETE FROM schema_files") // the process died before it noted what it applied
		stands("newer", store.Changed)
		do("DROP TABLE schema_files")
		stands("newer", store.Changed)

		missing := func(text string) error {
			return db.Read(bg, func(tx *sql.Tx) error { _, err := tx.Exec(text); return err })
		}
		for text, want := range map[string]bool{
			"SELECT name FROM nowhere": true, "SELECT nowhere FROM things": true, "SELECT FROM FROM": false,
		} {
			if err := missing(text); store.Missing(err) != want {
				t.Errorf("%s: %v is taken for missing: %v", text, err, !want)
			}
		}
	})
}
