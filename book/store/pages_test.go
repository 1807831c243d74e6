package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// However many databases are open, with however many connections: together they have the memory of the
// process.
func TestPagesHaveOneBudget(t *testing.T) {
	was := pages
	t.Cleanup(func() { pages = was })
	pages = newPageMemory(64 << 20)
	LimitPageMemory(16 << 20)
	ctx := context.Background()
	const files, readers = 6, 3
	var dbs []*DB
	for n := range files {
		path := filepath.Join(t.TempDir(), fmt.Sprint(n, ".db"))
		db, err := Open(ctx, Config{Path: path, Readers: readers, CheckpointEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		dbs = append(dbs, db)
	}
	// used has every connection used at the same time, and returns the memory that all of them may take.
	used := func() (bytes int64) {
		var mu sync.Mutex
		var all sync.WaitGroup
		together := sync.WaitGroup{}
		together.Add(files * (readers + 1))
		ask := func(tx *sql.Tx) error {
			together.Done()
			together.Wait()
			var kib int64
			err := tx.QueryRow("PRAGMA cache_size").Scan(&kib)
			mu.Lock()
			bytes -= kib << 10 // below zero: it is KiB
			mu.Unlock()
			return err
		}
		for _, db := range dbs {
			all.Go(func() {
				if err := db.Write(ctx, ask); err != nil {
					t.Error(err)
				}
			})
			for range readers {
				all.Go(func() {
					if err := db.Read(ctx, ask); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		return bytes
	}
	used() // opens them
	if got := used(); got > pages.bytes.Load() || got < pages.bytes.Load()/2 {
		t.Errorf("%d connections may have %d bytes of pages, want most of %d", files*(readers+1), got, pages.bytes.Load())
	}
	for _, db := range dbs[1:] {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	shares := pages.shares.Load()
	if err := errors.Join(dbs[0].Close()); err != nil || shares > writerShares+readers {
		t.Errorf("one database has %d shares (%v)", shares, err)
	}
}
