package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
)

func exec(t testing.TB, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(bg, url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(bg, statement)
	if err := errors.Join(err, conn.Close(bg)); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func openRefused(t *testing.T, c store.Config, why string) {
	t.Helper()
	db, err := store.Open(bg, c)
	if err == nil {
		t.Errorf("it was opened, want it refused: %s", why)
		_ = db.Close()
		return
	}
	refused(t, err, why)
}

func TestPostgresThatLosesCommitsIsRefused(t *testing.T) {
	for _, s := range []struct{ setting, why string }{
		{"fsync=off", "fsync is off): set fsync = on"},
		{"full_page_writes=off", "full_page_writes is off): set full_page_writes = on"},
	} {
		c, err := storetest.Start("", s.setting)
		if err != nil {
			t.Fatal(err)
		}
		openRefused(t, store.Config{URL: c.URL}, s.why)
		openRefused(t, store.Config{URL: c.URL, Durability: store.Relaxed}, s.why)
		c.Stop()
	}
}

func TestPostgresSettingsOfTheDatabase(t *testing.T) {
	for _, c := range []struct{ setting, full, relaxed string }{
		{"synchronous_commit = off", "synchronous_commit is off): set synchronous_commit = on", ""},
		{"synchronous_commit = local", "synchronous_commit is local)", ""},
		{"synchronous_commit = remote_apply", "", ""},
		{"default_transaction_read_only = on", "does not take writes: connect to the primary", "does not take writes"},
		{"default_transaction_isolation = serializable", "", ""},
	} {
		conf := storetest.Postgres(t)("one")
		u, err := pgx.ParseConfig(conf.URL)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conf.URL, "ALTER DATABASE "+u.Database+" SET "+c.setting)
		for d, why := range map[store.Durability]string{store.Full: c.full, store.Relaxed: c.relaxed} {
			conf.Durability = d
			if why != "" {
				openRefused(t, conf, why)
				continue
			}
			db := storetest.Open(t, conf)
			migrate(t, db, "schema")
			var commit string
			err := db.Write(bg, func(tx *sql.Tx) error { return tx.QueryRow("SHOW synchronous_commit").Scan(&commit) })
			var isolation string
			err2 := db.Write(bg, func(tx *sql.Tx) error { return tx.QueryRow("SHOW transaction_isolation").Scan(&isolation) })
			if err2 != nil || isolation != "read committed" {
				t.Errorf("%s: writing is %s (%v)", c.setting, isolation, err2)
			}
			if err != nil || d == store.Relaxed && commit != "off" || d == store.Full && commit == "off" {
				t.Errorf("%s, durability %d: synchronous_commit is %s (%v)", c.setting, d, commit, err)
			}
		}
	}
}

func TestPostgresOutOfReach(t *testing.T) {
	openRefused(t, store.Config{URL: "postgres://koban:hunter2@127.0.0.1:1/x?connect_timeout=1"}, "reach PostgreSQL")
	openRefused(t, store.Config{URL: "postgres://koban:hun ter2@%%%"}, "cannot be read")
	for _, url := range []string{"postgres://koban:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://koban:hunter2@%%%"} {
		if _, err := store.Open(bg, store.Config{URL: url}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	openRefused(t, store.Config{}, "either a path or a URL")
	openRefused(t, store.Config{Path: "x", URL: "y"}, "either a path or a URL")
	openRefused(t, store.Config{URL: "postgres://x/y", Schema: `a"; DROP`}, "cannot be the name of a schema")
}

func TestFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.db")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	openRefused(t, store.Config{Path: open}, "others can get at "+open+" (mode 0644): chmod 600 it")
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	openRefused(t, store.Config{Path: junk}, "not a database")
	openRefused(t, store.Config{Path: dir}, "is not a file")
	openRefused(t, store.Config{Path: filepath.Join(dir, "none", "x.db")}, "create the database")
	openRefused(t, store.Config{Path: filepath.Join(dir, "none.db"), ReadOnly: true}, "no such file")
}

func TestFilesOfADatabaseArePrivate(t *testing.T) {
	dir := t.TempDir()
	db := storetest.Open(t, store.Config{Path: filepath.Join(dir, "a b?c#d.db")}) // a path is taken as it is
	migrate(t, db, "schema")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files (%v), want database, log and index", len(files), err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 || !strings.HasPrefix(f.Name(), "a b?c#d.db") {
			t.Errorf("%s has mode %04o (%v), want 0600", f.Name(), info.Mode().Perm(), err)
		}
	}
}

func TestSQLiteIsOpenedAsAskedFor(t *testing.T) {
	dir := t.TempDir()
	for d, want := range map[store.Durability]int{store.Full: 2, store.Relaxed: 1} {
		db := storetest.Open(t, store.Config{Path: filepath.Join(dir, "x.db"), Durability: d})
		var level, auto int
		err := db.Write(bg, func(tx *sql.Tx) error {
			return errors.Join(tx.QueryRow("PRAGMA synchronous").Scan(&level), tx.QueryRow("PRAGMA wal_autocheckpoint").Scan(&auto))
		})
		if err != nil || level != want || auto != 0 {
			t.Errorf("durability %d: synchronous %d, autocheckpoint %d (%v), want %d and 0", d, level, auto, err, want)
		}
	}
}

// The file, or its log, is moved away while in use: nothing may be acknowledged any more.
func TestAMovedFileIsNoticed(t *testing.T) {
	for _, suffix := range []string{"", "-wal"} {
		conf := storetest.SQLite(t)("one")
		db := storetest.Open(t, conf)
		migrate(t, db, "schema")
		if err := os.Rename(conf.Path+suffix, conf.Path+".moved"); err != nil {
			t.Fatal(err)
		}
		err := put(db, "a", 1)
		var moved *store.MovedError
		if !errors.As(err, &moved) || store.Classify(err) != store.Broken {
			t.Errorf("%s moved: %v is %v, want broken", moved.Path, err, store.Classify(err))
		}
		if err := os.WriteFile(conf.Path+suffix, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := put(db, "b", 1); !errors.As(err, &moved) {
			t.Errorf("another file stands in its place: %v, want it noticed", err)
		}
	}
}

func TestWriteFileAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "platform.json")
	for _, text := range []string{"one", "another, longer", ""} {
		if err := store.WriteFileAtomic(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		info, err2 := os.Stat(path)
		if err := errors.Join(err, err2); err != nil || string(got) != text || info.Mode().Perm() != 0o600 {
			t.Errorf("read %q with mode %04o (%v), want %q", got, info.Mode().Perm(), err, text)
		}
	}
	if err := store.WriteFileAtomic(filepath.Join(dir, "none", "x"), nil, 0o600); err == nil {
		t.Error("a file was written into a directory that does not exist")
	}
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := store.WriteFileAtomic(blocked, []byte("x"), 0o600); err == nil {
		t.Error("a directory was written over")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%d names are left (%v), want the file and the directory", len(left), err)
	}
}

func TestReadsEndWithTheirContext(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		db := open("one")
		migrate(t, db, "schema")
		ctx, cancel := context.WithCancel(bg)
		cancel()
		if err := db.Read(ctx, func(*sql.Tx) error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("read: %v", err)
		}
		if err := db.Write(ctx, func(*sql.Tx) error { t.Error("it ran"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("write: %v", err)
		}
	})
}

// A write whose context, or time limit, ends before its commit: nobody may take that for a definite no.
func TestAWriteThatIsCutOffIsUnknown(t *testing.T) {
	for _, d := range []store.Durability{store.Full, store.Relaxed} {
		storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
			clk := clock.NewManual(0)
			conf := config("one")
			conf.Clock, conf.Durability, conf.CheckpointEvery = clk, d, -1
			db := storetest.Open(t, conf)
			migrate(t, db, "schema")
			ctx, cancel := context.WithCancel(bg)
			err := db.Write(ctx, func(tx *sql.Tx) error {
				_, err := tx.Exec("INSERT INTO things (name, value) VALUES ($1, $2)", "a", 1)
				cancel()
				return err
			})
			if err == nil || store.Classify(err) != store.Lost {
				t.Errorf("the context ended: %v is %v, want lost", err, store.Classify(err))
			}
			if db.Engine() == store.SQLite {
				return // nothing to wait for
			}
			err = db.Write(bg, func(tx *sql.Tx) error {
				clk.Advance(3 * time.Minute)
				for { // until the limit has come through
					if _, err := tx.Exec("UPDATE things SET value = 1"); err != nil {
						return err
					}
				}
			})
			if store.Classify(err) != store.Lost {
				t.Errorf("the limit has passed: %v is %v, want lost", err, store.Classify(err))
			}
		})
	}
}
