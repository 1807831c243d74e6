package book

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// BenchmarkCore is what one command costs without goroutines, a clock or I/O.
func BenchmarkCore(b *testing.B) {
	c, log := NewCore("toy/00", 0, newToy()), NewMemLog()
	c.TakeOver(start)
	accounts, ids := benchIDs(), id.NewSource(nil)
	for _, x := range accounts {
		c.Submit(start, toyOpen{toyKey(x), 1 << 40}, func(any, error) {})
	}
	done := func(any, error) {}
	b.ReportAllocs()
	for i := range b.N {
		now := start + clock.Micros(i)
		c.Submit(now, toyMove{ID: ids.New(now, 0), From: accounts[i%64], To: accounts[(i+1)%64], Amount: 1}, done)
		if i%256 == 255 {
			if err := Commit(context.Background(), c, log); err != nil {
				b.Fatal(err)
			}
			for _, a := range c.Answers() {
				a.Tell()
			}
			log.books["toy/00"] = log.books["toy/00"][len(log.books["toy/00"])-1:]
		}
		if i%4096 == 4095 {
			c.Saved(c.Snapshot())
			c.Evict(Limits{Rows: 4096, Passing: 4096}, now)
		}
	}
}

func benchIDs() (out []id.ID) {
	for i := range 64 {
		out = append(out, id.Compose(start, 0, [9]byte{byte(i)}))
	}
	return out
}

// BenchmarkSubmit is the whole way through the runner, with a journal and tables in memory.
func BenchmarkSubmit(b *testing.B) {
	r := newRig(b)
	r.limits.Rows = 20_000
	benchCallers(b, r, 1)
}

// BenchmarkBook is the same on real databases: every command is durable before it is answered, the tables follow.
func BenchmarkBook(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		config := storetest.SQLite(b)
		state := config("toy")
		state.Durability = 1
		benchCallers(b, sqlRig(b, storetest.Open(b, config("journal")), storetest.Open(b, state)), 8)
	})
	b.Run("postgres", func(b *testing.B) {
		config := storetest.Postgres(b)
		state := config("toy")
		state.Durability = 1
		benchCallers(b, sqlRig(b, storetest.Open(b, config("journal")), storetest.Open(b, state)), 8)
	})
}

// benchCallers has 256 callers move money in so many books.
func benchCallers(b *testing.B, r *rig, volumes int) {
	p := r.process()
	p.clk = clock.NewSystem()
	for v := range volumes {
		if _, err := p.open(v, newToy()); err != nil {
			b.Fatal(err)
		}
	}
	ctx := context.Background()
	accounts := benchIDs()
	for _, bk := range p.books {
		for _, x := range accounts {
			if _, err := bk.Do(ctx, toyOpen{toyKey(x), 1 << 40}); err != nil {
				b.Fatal(err)
			}
		}
	}
	const callers = 256
	done := make(chan error, callers)
	commits := p.writer.Stats().Commits
	b.ReportAllocs()
	b.ResetTimer()
	for c := range callers {
		go func() {
			bk := p.books[c%volumes]
			for i := c; i < b.N; i += callers {
				now := p.clk.Now()
				m := toyMove{ID: r.ids.New(now, 0), From: accounts[(i+c)%64], To: accounts[(i+c+1)%64], Amount: 1, Key: r.ids.New(now, 0)}
				if _, err := bk.Do(ctx, m); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
	b.ReportMetric(float64(b.N)/float64(p.writer.Stats().Commits-commits), "commands/commit")
	if err := p.saver.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/float64(p.saver.Stats().Rows), "commands/row")
}

// BenchmarkNewKey is what it costs to know that a caller's key is new, after 400 days of 20,000 keys each: with a filter for
// each day, and with the days joined into months (docs/decisions/0012).
func BenchmarkNewKey(b *testing.B) {
	const days, perDay = 400, 20_000
	last := Day(start)
	for _, layout := range []string{"days", "months"} {
		k, r := NewKeys("toy_keys"), rand.New(rand.NewPCG(1, 2))
		fresh := func() (x id.ID) {
			binary.BigEndian.PutUint64(x[:], r.Uint64())
			binary.BigEndian.PutUint64(x[8:], r.Uint64())
			return x
		}
		s, bytes := k.of(toyTenant), 0
		for day := last - days + 1; day <= last; day++ {
			f, n := s.day(day).filter, perDay
			if first, end := monthOf(day); layout == "months" && day <= last-openDays {
				m := s.month(first)
				if m.filter.Len() == 0 {
					m.filter = store.NewFullFilter(perDay * int(min(end, last-openDays)-max(first, last-days+1)+1))
				}
				f, m.last = m.filter, day
				s.days = s.days[1:]
			}
			for range n {
				f.Add(fresh())
			}
		}
		for _, seg := range append(slices.Clone(s.days), s.months...) {
			bytes += len(seg.filter.Bytes())
		}
		b.Run(layout, func(b *testing.B) {
			through, asked := 0, 0
			for b.Loop() {
				for range 100 {
					if n := len(k.candidates(toyKey(fresh()))); n > 0 {
						through, asked = through+1, asked+n
					}
				}
			}
			total := 100 * float64(b.N)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/total, "ns/key")
			b.ReportMetric(float64(through)/total, "reads/key")
			b.ReportMetric(float64(asked)/total, "days-asked/key")
			b.ReportMetric(float64(len(s.days)+len(s.months)), "filters")
			b.ReportMetric(float64(bytes)/(days*perDay), "bytes/stored-key")
		})
	}
}
