package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
)

func openOne(t *testing.T, c store.Config) (db *store.DB, path string) {
	t.Helper()
	c.Path = filepath.Join(t.TempDir(), "one.db")
	db, err := store.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	insert(t, db, "CREATE TABLE t (a BIGINT, b BYTEA)")
	return db, c.Path
}

const someMegabyte = "INSERT INTO t (a, b) VALUES (1, zeroblob(1048576))"

func insert(t *testing.T, db *store.DB, statement string) {
	t.Helper()
	err := db.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(statement)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// pinning reads the database as it is now, and needs the log for it until end is called.
func pinning(t *testing.T, db *store.DB) (end func()) {
	t.Helper()
	began, over, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		result <- db.Read(context.Background(), func(tx *sql.Tx) error {
			var n int
			err := tx.QueryRow("SELECT COUNT(*) FROM t").Scan(&n)
			close(began)
			<-over
			return err
		})
	}()
	<-began
	return func() {
		close(over)
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

// A reader that takes its time lets the log grow. Nobody who commits waits for it, and once it has gone the log is started
// over, and cut where something was erased.
func TestCommitsDoNotWaitForReaders(t *testing.T) {
	for name, erase := range map[string]bool{"a long log": false, "erased": true} {
		t.Run(name, func(t *testing.T) {
			clk := clock.NewManual(clock.Second)
			db, path := openOne(t, store.Config{
				CheckpointEvery: -1, LogPages: 300, Clock: clk,
				Wrap: storetest.Patient(false),
			})
			insert(t, db, someMegabyte)
			end := pinning(t, db)
			for range 2 {
				insert(t, db, someMegabyte)
			}
			if erase {
				db.Erased()
			}
			for range 3 {
				over := make(chan error, 1)
				go func() { over <- db.Checkpoint(context.Background()) }()
				select {
				case err := <-over:
					if err != nil {
						t.Fatal(err)
					}
				case <-clock.Pause(10 * time.Second):
					end()
					t.Fatal("the checkpoint waits for the reader, and whoever commits for the checkpoint")
				}
				insert(t, db, someMegabyte)
				clk.Advance(time.Second)
			}
			if s := db.Log(); s.Held != 3*time.Second || s.Bytes < 3<<20 || s.Erased != erase {
				t.Errorf("beside a reader for three seconds: %+v", s)
			}
			end()
			if err := db.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
			if s := db.Log(); s.Held != 0 || s.Erased {
				t.Errorf("after the reader has gone: %+v", s)
			}
			if n := size(t, path+"-wal"); erase && n != 0 {
				t.Errorf("the log has %d bytes after something was erased", n)
			}
			insert(t, db, "INSERT INTO t (a) VALUES (2)")
			if err := db.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
			if s := db.Log(); s.Bytes > 1<<20 {
				t.Errorf("the log was not started over: %+v", s)
			}
		})
	}
}

// The control: a checkpoint that waits for readers holds up whoever commits, until the reader has gone.
func TestCommitsWaitForReadersOfAPatientCheckpoint(t *testing.T) {
	db, _ := openOne(t, store.Config{CheckpointEvery: -1, LogPages: 300, Wrap: storetest.Patient(true)})
	insert(t, db, someMegabyte)
	end := pinning(t, db)
	insert(t, db, someMegabyte)
	var checked sync.WaitGroup
	checked.Go(func() {
		if err := db.Checkpoint(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for stuck := false; !stuck; { // until the checkpoint has come to where it waits
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		err := db.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO t (a) VALUES (1)")
			return err
		})
		cancel()
		stuck = err != nil
	}
	end()
	checked.Wait()
	insert(t, db, someMegabyte)
}

// A reader of another process does not keep a process from starting, and what the log held is on disk then.
func TestADatabaseIsOpenedBesideAReader(t *testing.T) {
	db, path := openOne(t, store.Config{CheckpointEvery: -1})
	insert(t, db, someMegabyte)
	end := pinning(t, db)
	insert(t, db, someMegabyte)
	again, err := store.Open(context.Background(), store.Config{Path: path, CheckpointEvery: -1})
	if err != nil {
		t.Fatalf("opened beside a reader: %v", err)
	}
	var n int
	err = again.Read(context.Background(), func(tx *sql.Tx) error { return tx.QueryRow("SELECT COUNT(*) FROM t").Scan(&n) })
	if err != nil || n != 2 {
		t.Errorf("it has %d rows, %v; want 2", n, err)
	}
	insert(t, again, someMegabyte)
	end()
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
