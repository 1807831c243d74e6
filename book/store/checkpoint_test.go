package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/koban-pay/koban/internal/clock"
)

func openLite(t *testing.T, c Config) *DB {
	t.Helper()
	c.Path = filepath.Join(t.TempDir(), "one.db")
	db, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	fill(t, db, "CREATE TABLE t (a BIGINT, b BYTEA)")
	return db
}

func fill(t *testing.T, db *DB, statements ...string) {
	t.Helper()
	err := db.Write(context.Background(), func(tx *sql.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func logSize(t *testing.T, db *DB) int64 {
	t.Helper()
	info, err := os.Stat(db.config.Path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

const megabyte = "INSERT INTO t (a, b) VALUES (1, zeroblob(1048576))"

func TestCheckpointsBoundTheLog(t *testing.T) {
	db := openLite(t, Config{CheckpointEvery: -1})
	for range 20 {
		fill(t, db, megabyte)
	}
	if n := logSize(t, db); n < 20<<20 {
		t.Fatalf("the log has %d bytes after 20 MiB: something emptied it in the middle of commits", n)
	}
	before := logSize(t, db)
	for range 20 {
		if err := db.Checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
		fill(t, db, megabyte)
	}
	if n := logSize(t, db); n != before {
		t.Errorf("the log grew from %d to %d bytes although it was moved into the file each time", before, n)
	}
	if err := db.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := logSize(t, db); n != 0 {
		t.Errorf("the log has %d bytes after it was cut", n)
	}
}

// Commits that never pause keep the log from starting over, until a checkpoint makes them wait once.
func TestALongLogIsStartedOver(t *testing.T) {
	db := openLite(t, Config{CheckpointEvery: -1})
	for range 66 { // more than defaultLogPages
		fill(t, db, megabyte)
	}
	reader, err := db.read.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	fill(t, db, megabyte) // the reader does not see it, so a passive checkpoint cannot finish
	state, err := db.checkpoint(context.Background(), db.sweep, "PASSIVE", patient)
	if err != nil || state.log < defaultLogPages || state.backed == state.log {
		t.Fatalf("a checkpoint beside a reader: %+v %v", state, err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	fill(t, db, "INSERT INTO t (a) VALUES (2)")
	state, err = db.checkpoint(context.Background(), db.sweep, "PASSIVE", patient)
	if err != nil || state.log >= defaultLogPages {
		t.Errorf("after a commit the log has %d pages (%v), want it started over", state.log, err)
	}
}

func TestScrubBesideCheckpoints(t *testing.T) {
	db := openLite(t, Config{CheckpointEvery: -1})
	quit := make(chan struct{})
	var passive sync.WaitGroup
	passive.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			if err := db.Checkpoint(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		fill(t, db, megabyte)
		if err := db.Scrub(context.Background()); err != nil {
			t.Error(err)
		}
		if n := logSize(t, db); n != 0 {
			t.Errorf("the log has %d bytes after it was cut", n)
		}
	}
	close(quit)
	passive.Wait()
}

func TestCheckpointsRunByThemselves(t *testing.T) {
	clk := clock.NewManual(0)
	db := openLite(t, Config{Clock: clk})
	for i := 0; ; i++ {
		fill(t, db, fmt.Sprintf("INSERT INTO t (a) VALUES (%d)", i))
		clk.Advance(db.config.CheckpointEvery)
		// What is in the file, without its log, is what was checkpointed.
		data, err := os.ReadFile(db.config.Path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 4096 {
			return // the table's page is in it; the test runs out of time if that never happens
		}
	}
}
