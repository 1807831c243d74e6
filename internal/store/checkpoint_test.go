package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// reading opens a transaction that sees the database as it is now, and needs the log for it.
func reading(t *testing.T, db *DB) (end func()) {
	t.Helper()
	tx, err := db.read.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

// patientConnector makes connections that wait for as long as it takes, where they wait at all. With never, they also wait
// where they were told not to.
type patientConnector struct {
	driver.Connector
	never bool
}

func (p patientConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := patientConn{conn.(liteConn), p.never}
	_, err = c.ExecContext(ctx, "PRAGMA busy_timeout(3600000)", nil)
	return c, err
}

type patientConn struct {
	liteConn
	never bool
}

func (p patientConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	text = strings.Replace(text, "busy_timeout(5000)", "busy_timeout(3600000)", 1)
	if p.never {
		text = strings.Replace(text, "busy_timeout(0)", "busy_timeout(3600000)", 1)
	}
	return p.liteConn.ExecContext(ctx, text, args)
}

// A reader that takes its time lets the log grow. Nobody who commits waits for it, and once it has gone the log is started
// over, and cut where something was erased.
func TestCommitsDoNotWaitForReaders(t *testing.T) {
	for name, erase := range map[string]bool{"a long log": false, "erased": true} {
		t.Run(name, func(t *testing.T) {
			clk := clock.NewManual(clock.Second)
			db := openLite(t, Config{CheckpointEvery: -1, LogPages: 300, Clock: clk,
				Wrap: func(c driver.Connector) driver.Connector { return patientConnector{c, false} }})
			fill(t, db, megabyte)
			end := reading(t, db)
			for range 2 {
				fill(t, db, megabyte)
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
				fill(t, db, megabyte)
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
			if n := logSize(t, db); erase && n != 0 {
				t.Errorf("the log has %d bytes after something was erased", n)
			}
			fill(t, db, "INSERT INTO t (a) VALUES (2)")
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
	db := openLite(t, Config{CheckpointEvery: -1, LogPages: 300,
		Wrap: func(c driver.Connector) driver.Connector { return patientConnector{c, true} }})
	fill(t, db, megabyte)
	end := reading(t, db)
	fill(t, db, megabyte)
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
	fill(t, db, megabyte)
}

// A reader of another process does not keep a process from starting, and what the log held is on disk then.
func TestADatabaseIsOpenedBesideAReader(t *testing.T) {
	db := openLite(t, Config{CheckpointEvery: -1})
	fill(t, db, megabyte)
	end := reading(t, db)
	fill(t, db, megabyte)
	again, err := Open(context.Background(), Config{Path: db.config.Path, CheckpointEvery: -1})
	if err != nil {
		t.Fatalf("opened beside a reader: %v", err)
	}
	var n int
	err = again.Read(context.Background(), func(tx *sql.Tx) error { return tx.QueryRow("SELECT COUNT(*) FROM t").Scan(&n) })
	if err != nil || n != 2 {
		t.Errorf("it has %d rows, %v; want 2", n, err)
	}
	fill(t, again, megabyte)
	end()
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
