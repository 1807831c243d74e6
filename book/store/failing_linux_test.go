package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/clock"
)

// Devices that can take the place of a file's disk.
const (
	unsyncable = "/dev/null" // takes what is written, and fails to sync
	full       = "/dev/full" // has no room
)

// divert lets whatever this process has open of the file at path lead to a device, and returns what leads it back.
func divert(t *testing.T, path, device string) (back func()) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	was := map[int]int{} // what leads to the file, by what leads to the device now
	for _, name := range fds {
		if to, err := os.Readlink(name); err != nil || to != path {
			continue
		}
		var fd int
		if _, err := fmt.Sscan(filepath.Base(name), &fd); err != nil {
			t.Fatal(err)
		}
		if was[fd], err = unix.Dup(fd); err != nil {
			t.Fatal(err)
		}
		bad, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		redirect(t, bad, fd)
	}
	if len(was) == 0 {
		t.Fatalf("nothing has %s open", path)
	}
	return func() {
		for fd, file := range was {
			redirect(t, file, fd)
		}
	}
}

// redirect lets fd mean what from means, and closes from.
func redirect(t *testing.T, from, fd int) {
	t.Helper()
	if err := unix.Dup3(from, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(from); err != nil {
		t.Fatal(err)
	}
}

// toSweep has every connection open, and something in the log to be moved into the file.
func toSweep(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	fill(t, db, "INSERT INTO t (a) VALUES (0)")
}

// soon bounds waiting for what has to come.
const soon = 20 * time.Second

// A sync that failed must not be tried again, and nothing be built on what it left (fsyncgate).
func TestFailedSyncOfACheckpointEndsTheDatabase(t *testing.T) {
	for name, d := range map[string]Durability{"full": Full, "relaxed": Relaxed} {
		t.Run(name, func(t *testing.T) {
			told := make(chan error, 8)
			clk := clock.NewManual(0)
			db := openLite(t, Config{Clock: clk, Durability: d, Broken: func(err error) { told <- err }})
			toSweep(t, db)
			defer divert(t, db.config.Path, unsyncable)()
			limit := clock.Pause(soon)
			for ended := false; !ended; {
				clk.Advance(db.config.CheckpointEvery) // wakes the checkpoint if it waits by now
				select {
				case err := <-told:
					if ended = true; Classify(err) != Broken {
						t.Errorf("the process is to end for %v, which is %s", err, Classify(err))
					}
				case <-limit:
					t.Fatal("a checkpoint could not sync, and nobody was told")
				case <-clock.Pause(time.Millisecond):
				}
			}
			err := db.Write(context.Background(), func(tx *sql.Tx) error {
				t.Error("something was written after a sync that failed")
				return nil
			})
			if Classify(err) != Broken {
				t.Errorf("a write after a sync that failed: %v, which is %s", err, Classify(err))
			}
			if err := db.Checkpoint(context.Background()); Classify(err) != Broken {
				t.Errorf("the same checkpoint, asked for: %v", err)
			}
			if len(told) > 0 {
				t.Errorf("it was told again: %v", <-told)
			}
		})
	}
}

// A commit that cannot sync: each one of the record; of tables the first after their log was started over.
func TestFailedSyncOfACommitEndsTheDatabase(t *testing.T) {
	for name, d := range map[string]Durability{"full": Full, "relaxed": Relaxed} {
		t.Run(name, func(t *testing.T) {
			var told []error
			db := openLite(t, Config{CheckpointEvery: -1, Durability: d, Broken: func(err error) { told = append(told, err) }})
			if err := db.Scrub(context.Background()); err != nil {
				t.Fatal(err)
			}
			defer divert(t, db.config.Path+"-wal", unsyncable)()
			write := func() error {
				return db.Write(context.Background(), func(tx *sql.Tx) error {
					_, err := tx.Exec("INSERT INTO t (a) VALUES (1)")
					return err
				})
			}
			if err := write(); Classify(err) != Broken || len(told) != 1 || Classify(told[0]) != Broken {
				t.Errorf("a commit could not sync: %v, told %v", err, told)
			}
			if err := write(); Classify(err) != Broken || len(told) != 1 {
				t.Errorf("the next one: %v, told %v", err, told)
			}
		})
	}
}

// Erasing ends with a checkpoint, too.
func TestFailedSyncOfAScrubEndsTheDatabase(t *testing.T) {
	var told error
	db := openLite(t, Config{CheckpointEvery: -1, Broken: func(err error) { told = err }})
	defer divert(t, db.config.Path, unsyncable)()
	if err := db.Scrub(context.Background()); Classify(err) != Broken || told == nil {
		t.Errorf("the log was emptied into a file that cannot be synced: %v, told %v", err, told)
	}
}

// rounds counts how often the checkpoints wait for their time.
type rounds struct {
	*clock.Manual
	n atomic.Int64
}

func (r *rounds) After(d time.Duration) <-chan time.Time {
	r.n.Add(1)
	return r.Manual.After(d)
}

// A full disk harms nothing: the log grows, and is moved into the file once there is room, without anybody writing.
func TestFullDiskOnlyPutsCheckpointsOff(t *testing.T) {
	clk := &rounds{Manual: clock.NewManual(0)}
	db := openLite(t, Config{Clock: clk, Broken: func(err error) { t.Errorf("the process was to end: %v", err) }})
	toSweep(t, db)
	before := content(t, db)
	back := divert(t, db.config.Path, full)
	if err := db.Checkpoint(context.Background()); Classify(err) != DiskFull {
		t.Fatalf("a checkpoint on a full disk: %v, which is %s", err, Classify(err))
	}
	limit := clock.Pause(soon)
	wait := func(what string, until func() bool) {
		for !until() {
			clk.Advance(db.config.CheckpointEvery)
			select {
			case <-limit:
				t.Fatal("not in time: " + what)
			case <-clock.Pause(time.Millisecond):
			}
		}
	}
	wait("it is tried again", func() bool { return clk.n.Load() > 5 })
	fill(t, db, "INSERT INTO t (a) VALUES (1)")
	back()
	wait("there is room, and the log is moved into the file", func() bool { return content(t, db) != before })
}

func content(t *testing.T, db *DB) string {
	t.Helper()
	data, err := os.ReadFile(db.config.Path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
