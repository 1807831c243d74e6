package feed

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/id"
)

// BenchmarkAdvance measures what the sequencing book itself costs per block of a volume: deciding, applying, encoding and
// hashing, for commands of so many blocks with a run of 20 events each.
func BenchmarkAdvance(b *testing.B) {
	for _, blocks := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("blocks=%d", blocks), func(b *testing.B) {
			log, state := book.NewMemLog(), book.NewMemState()
			core := book.NewCore(BookName("shop"), 0, NewMachine())
			const volumes = 8
			var at [volumes]Position
			b.ReportAllocs()
			for n := 0; n < b.N; n += blocks {
				c := Advance{Blocks: make([]Block, blocks)}
				for i := range c.Blocks {
					p := &at[i%volumes]
					next := Position{Seq: p.Seq + 1, Hash: [32]byte{byte(p.Seq), byte(i)}}
					c.Blocks[i] = Block{
						Volume: i % volumes, From: next.Seq, Prev: p.Hash, Seq: next.Seq, Hash: next.Hash,
						Counts: []book.PublicCount{{Tenant: id.Tenant(1 + i%2), N: 20}},
					}
					*p = next
				}
				for {
					wants := core.Submit(0, c, func(_ any, err error) {
						if err != nil {
							b.Fatal(err)
						}
					})
					if wants == nil {
						break
					}
					rows, _, err := state.Load(context.Background(), BookName("shop"), 0, wants)
					if err != nil {
						b.Fatal(err)
					}
					for i, w := range wants {
						core.Install(w, rows[i])
					}
				}
				if err := book.Commit(context.Background(), core, log); err != nil {
					b.Fatal(err)
				}
				if n/blocks%100 == 99 {
					if err := book.SaveNow(context.Background(), core, state); err != nil {
						b.Fatal(err)
					}
					core.Evict(book.Limits{Rows: 1024, Passing: 1024}, 0)
				}
			}
		})
	}
}

// BenchmarkCommands measures commands of a service on SQLite, 256 at once, without and with a feed that follows.
func BenchmarkCommands(b *testing.B) {
	for _, withFeed := range []bool{false, true} {
		b.Run(fmt.Sprintf("feed=%v", withFeed), func(b *testing.B) {
			config := storetest.SQLite(b)
			w := stored(b, storetest.Open(b, config("journal")), storetest.Open(b, store.Config{Path: config("feed").Path, Durability: store.Relaxed}))
			p := w.start(b, withFeed)
			var wait sync.WaitGroup
			b.ResetTimer()
			for worker := range 256 {
				wait.Add(1)
				go func() {
					defer wait.Done()
					for i := worker; i < b.N; i += 256 {
						p.say(i%volumes, said{id.Tenant(1 + i%3), false, "twenty bytes of words"})
					}
				}()
			}
			wait.Wait()
		})
	}
}
