package journal_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
)

// BenchmarkAppend commits blocks of 32 books with 200 events of 120 bytes, and of fewer, as one process does under load.
func BenchmarkAppend(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, books := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/books=%d", engine, books), func(b *testing.B) {
				j := openBench(b, engine)
				appendLoop(b, j, books, 200/books)
			})
		}
	}
}

// openBench opens a journal on the disk that holds temporary files.
func openBench(b *testing.B, engine string) *journal.Journal {
	b.Helper()
	dir := b.TempDir()
	conf := store.Config{Path: dir + "/journal.db"}
	if engine == "postgres" {
		c, err := storetest.Start(os.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Stop)
		conf = store.Config{URL: c.URL, Schema: "journal"}
	}
	j, err := journal.Open(context.Background(), storetest.Open(b, conf))
	if err != nil {
		b.Fatal(err)
	}
	return j
}

func appendLoop(b *testing.B, j *journal.Journal, books, events int) {
	ctx := context.Background()
	heads := make([]journal.Head, books)
	for i := range heads {
		heads[i].Book = fmt.Sprintf("balance/%02d", i)
	}
	body := make([]byte, 120)
	blocks := make([]*journal.Block, books)
	b.ReportAllocs()
	for b.Loop() {
		for i, h := range heads {
			x := &journal.Block{Book: h.Book, Seq: h.Seq + 1, Epoch: 1, At: clock.Micros(h.Seq), Prev: h.Hash}
			for range events {
				x.Events = append(x.Events, journal.Event{Type: 7, Body: body})
			}
			journal.Seal(x)
			blocks[i], heads[i] = x, x.Head()
		}
		fate, err := j.Write(ctx, journal.Batch{Blocks: blocks})
		if err != nil {
			b.Fatal(err)
		}
		for i, f := range fate.Fenced {
			if f {
				b.Fatalf("book %d is fenced", i)
			}
		}
	}
	s := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)/s, "commits/s")
	b.ReportMetric(float64(b.N*books*events)/s, "events/s")
}
