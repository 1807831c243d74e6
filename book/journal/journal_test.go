package journal_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

var bg = context.Background()

func open(t testing.TB, db *store.DB) *journal.Journal {
	t.Helper()
	j, err := journal.Open(bg, db)
	if err != nil {
		t.Fatalf("open the journal: %v", err)
	}
	return j
}

func write(t testing.TB, j *journal.Journal, w journal.Batch) journal.Fate {
	t.Helper()
	fate, err := j.Write(bg, w)
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	return fate
}

// grow appends n blocks to book, one a commit, and returns the head.
func grow(t testing.TB, j *journal.Journal, book string, n int) journal.Head {
	t.Helper()
	h, err := j.Head(bg, book)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		b := block(h, 1, 1+int(h.Seq)%5, book)
		if f := write(t, j, journal.Batch{Blocks: []*journal.Block{b}}); f.Fenced[0] {
			t.Fatalf("block %d of %s is fenced", b.Seq, book)
		}
		h = b.Head()
	}
	return h
}

func verify(t testing.TB, j *journal.Journal, book string, blocks uint64) {
	t.Helper()
	head, err := j.Verify(bg, book, nil)
	if err != nil || head.Seq != blocks {
		t.Errorf("book %s: verified %d blocks (%v), want %d", book, head.Seq, err, blocks)
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		j := open(t, db("journal"))
		if h, err := j.Head(bg, "points/00"); err != nil || h != (journal.Head{Book: "points/00"}) {
			t.Errorf("a book without blocks has head %v (%v)", h, err)
		}
		var want []*journal.Block
		heads := map[string]journal.Head{"balance/00": {Book: "balance/00"}, "points/00": {Book: "points/00"}}
		for i := range 5 {
			var w journal.Batch
			for _, book := range []string{"balance/00", "points/00"} {
				b := block(heads[book], 1, i+1, book)
				heads[book] = b.Head()
				w.Blocks = append(w.Blocks, b)
			}
			write(t, j, w)
			want = append(want, w.Blocks[1])
		}
		j = open(t, db("journal"))
		got, err := j.Read(bg, "points/00", 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want[1:4], got, cmpopts.IgnoreUnexported(journal.Block{})); d != "" {
			t.Errorf("read differs from written:\n%s", d)
		}
		if got, err := j.Read(bg, "points/00", 6, 10); err != nil || len(got) != 0 {
			t.Errorf("past the head: %d blocks, %v", len(got), err)
		}
		all, err := j.Heads(bg)
		if d := cmp.Diff([]journal.Head{heads["balance/00"], heads["points/00"]}, all); d != "" || err != nil {
			t.Errorf("heads (%v):\n%s", err, d)
		}
		verify(t, j, "points/00", 5)
	})
}

// More books than one statement takes, and blocks of the largest size.
func TestLargeBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		j := open(t, db("journal"))
		var w journal.Batch
		for i := range 300 {
			b := block(journal.Head{Book: fmt.Sprintf("b/%03d", i)}, 1, 1, "x")
			b.Notes = []journal.Note{{Service: "s", ID: []byte{byte(i), byte(i >> 8)}, Body: []byte("n")}}
			w.Blocks = append(w.Blocks, b)
		}
		write(t, j, w)
		big := &journal.Block{Book: "big", Seq: 1, Events: []journal.Event{{Body: make([]byte, journal.MaxBlockBytes-1000)}}}
		h := journal.Head{Book: "big"}
		for range 6 {
			big.Seq, big.Prev = h.Seq+1, h.Hash
			journal.Seal(big)
			write(t, j, journal.Batch{Blocks: []*journal.Block{big}})
			h = big.Head()
		}
		if got, err := j.Read(bg, "big", 1, 100); err != nil || len(got) == 0 || len(got) == 6 {
			t.Errorf("read %d blocks of 4 MiB at once (%v), want some of the 6", len(got), err)
		}
		verify(t, j, "big", 6)
		verify(t, j, "b/299", 1)
		if s := j.Stats(); s.Commits != 7 || s.Blocks != 306 || s.Events != 306 || s.Notes != 300 || s.MaxBlocks != 300 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// Two processes believe they write the book. One append of each number stands, the other is told so, and the books that
// share its commit are written all the same.
func TestTwoWritersAreFenced(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		old, fresh := open(t, db("journal")), open(t, db("journal"))
		a, b, c := grow(t, old, "a", 3), grow(t, old, "b", 3), grow(t, old, "c", 3)
		takeover := block(b, 2, 1, "takeover")
		write(t, fresh, journal.Batch{Blocks: []*journal.Block{takeover}})

		blocks := []*journal.Block{block(a, 1, 2, "a"), block(b, 1, 2, "b"), block(c, 1, 2, "c")}
		for _, b := range blocks {
			b.Notes = []journal.Note{{Tenant: 1, Service: "s", ID: []byte(b.Book), Body: []byte("kept")}}
		}
		fate := write(t, old, journal.Batch{
			Blocks: blocks,
			Check:  []journal.Head{a, b, takeover.Head()},
		})
		want := journal.Fate{Fenced: []bool{false, true, false}, Stale: []bool{true, true, false}}
		if d := cmp.Diff(want, fate); d != "" {
			t.Errorf("fate:\n%s", d)
		}
		for book, n := range map[string]uint64{"a": 4, "b": 4, "c": 4} {
			verify(t, old, book, n)
		}
		for i, b := range blocks {
			if body, ok, err := old.Note(bg, 1, "s", []byte(b.Book)); ok == fate.Fenced[i] || err != nil {
				t.Errorf("the note of the block of %s: %q %v %v", b.Book, body, ok, err)
			}
		}
		if got, _ := old.Read(bg, "b", 4, 1); got[0].Hash != takeover.Hash {
			t.Error("the stale writer's block stands")
		}
		if s := old.Stats(); s.Fenced != 1 {
			t.Errorf("%d blocks counted as fenced, want 1", s.Fenced)
		}
	})
}

// A block is taken only in the one place that its number and its predecessor's hash name together.
func TestNumberAndPredecessorMustAgree(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		j := open(t, db("journal"))
		h := grow(t, j, "a", 3)
		for name, prev := range map[string]journal.Head{
			"another hash":   {Book: "a", Seq: h.Seq, Hash: journal.Hash{1}},
			"a number ahead": {Book: "a", Seq: h.Seq + 1, Hash: h.Hash},
			"a number back":  {Book: "a", Seq: h.Seq - 1, Hash: h.Hash},
			"another book":   {Book: "b", Seq: h.Seq, Hash: h.Hash},
			"from the start": {Book: "a"},
		} {
			if f := write(t, j, journal.Batch{Blocks: []*journal.Block{block(prev, 1, 1, "x")}}); !f.Fenced[0] {
				t.Errorf("%s: the block was taken", name)
			}
		}
		verify(t, j, "a", 3)
	})
}

func TestAnEpochIsNeverLowered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		j := open(t, db("journal"))
		first := block(journal.Head{Book: "a"}, 5, 1, "x")
		write(t, j, journal.Batch{Blocks: []*journal.Block{first}})
		if f := write(t, j, journal.Batch{Blocks: []*journal.Block{block(first.Head(), 4, 1, "x")}}); !f.Fenced[0] {
			t.Error("a writer of an older epoch was let in")
		}
		if f := write(t, j, journal.Batch{Blocks: []*journal.Block{block(first.Head(), 5, 1, "x")}}); f.Fenced[0] {
			t.Error("the writer of this epoch was fenced")
		}
	})
}

func TestChecksAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		j := open(t, db("journal"))
		h := grow(t, j, "a", 2)
		older := h
		older.Seq--
		lower := h
		lower.Epoch--
		fate := write(t, j, journal.Batch{Check: []journal.Head{h, older, lower, {Book: "none"}, {Book: "none", Seq: 1}}})
		if d := cmp.Diff([]bool{false, true, true, false, true}, fate.Stale); d != "" {
			t.Error(d)
		}
		if s := j.Stats(); s.Commits != 2 {
			t.Errorf("checking counted as a commit: %+v", s)
		}
	})
}

func TestMistakesAreRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db func(string) *store.DB) {
		j := open(t, db("journal"))
		a, b := block(journal.Head{Book: "a"}, 1, 1, "x"), block(journal.Head{Book: "b"}, 1, 1, "x")
		for name, blocks := range map[string][]*journal.Block{
			"not sealed":     {{Book: "a", Seq: 1, Events: a.Events}},
			"out of order":   {b, a},
			"a book twice":   {a, a},
			"sealed and not": {a, {Book: "b", Seq: 1, Events: a.Events}},
		} {
			if _, err := j.Write(bg, journal.Batch{Blocks: blocks}); err == nil {
				t.Errorf("%s: written", name)
			}
		}
		verify(t, j, "a", 0)
	})
}

// eager is a clock on which nobody waits: where Write would wait to offer again, stuck is asked whether it goes on.
type eager struct {
	*clock.Manual
	stuck func() (goOn bool)
}

func (e *eager) After(time.Duration) <-chan time.Time {
	ch := make(chan time.Time, 1)
	if e.stuck == nil || e.stuck() {
		ch <- time.Time{}
	}
	return ch
}

// openFaulty opens a journal whose steps can be made to fail.
func openFaulty(t testing.TB, conf store.Config) (*journal.Journal, *storetest.Faults, *eager) {
	f, clk := &storetest.Faults{}, &eager{Manual: clock.NewManual(0)}
	conf.Wrap, conf.Clock, conf.CheckpointEvery = f.Wrap, clk, -1
	return open(t, storetest.Open(t, conf)), f, clk
}

// offer runs Write. Whenever Write waits to offer again, stuck (if not nil) is called, which may end it.
func offer(j *journal.Journal, clk *eager, w journal.Batch, stuck func(cancel func())) (journal.Fate, error) {
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	clk.stuck = func() bool {
		if stuck != nil {
			stuck(cancel)
		}
		return ctx.Err() == nil
	}
	return j.Write(ctx, w)
}

// For every step of a commit: it fails, or it is done and the answer is lost. Either way the block ends up durable, once.
func TestEveryLostAnswerIsSettled(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		plain := open(t, storetest.Open(t, config("journal")))
		j, f, clk := openFaulty(t, config("journal"))
		a, b := grow(t, plain, "a", 1), grow(t, plain, "b", 1)
		for _, kind := range []storetest.Kind{storetest.Fail, storetest.LoseReply} {
			steps := 0
			for n := 1; ; n++ {
				x, y := block(a, 1, 2, "a"), block(b, 1, 3, "b")
				before := f.Steps()
				f.Step(n, kind, nil)
				fate, err := offer(j, clk, journal.Batch{Blocks: []*journal.Block{x, y}}, nil)
				if err != nil || fate.Fenced[0] || fate.Fenced[1] {
					t.Fatalf("step %d, kind %d: %v %v", n, kind, fate, err)
				}
				a, b = x.Head(), y.Head()
				if got, err := plain.Head(bg, "a"); err != nil || got != a {
					t.Fatalf("step %d, kind %d: the head is %v (%v), want %v", n, kind, got, err, a)
				}
				if f.Steps()-before < n {
					break // the commit ended before the n-th step
				}
				steps = n
			}
			if steps < 4 {
				t.Errorf("a commit had %d steps, want at least begin, heads, blocks, commit", steps)
			}
		}
		verify(t, plain, "a", a.Seq)
		verify(t, plain, "b", b.Seq)
	})
}

// The process dies at every step. The next one finds the block there, or not; offering it again settles it.
func TestCrashAtEveryStep(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		plain := open(t, storetest.Open(t, config("journal")))
		h := grow(t, plain, "a", 1)
		there := map[bool]int{}
		for _, kind := range []storetest.Kind{storetest.Crash, storetest.CrashAfter} {
			for n := 1; ; n++ {
				j, f, clk := openFaulty(t, config("journal"))
				b := block(h, 1, 2, "a")
				f.Step(n, kind, nil)
				_, err := offer(j, clk, journal.Batch{Blocks: []*journal.Block{b}}, func(cancel func()) { cancel() })
				if f.Crashed() == (err == nil) {
					t.Fatalf("step %d, kind %d: crashed is %v, Write returned %v", n, kind, f.Crashed(), err)
				}
				found, err := plain.Head(bg, "a")
				if err != nil || found != h && found != b.Head() {
					t.Fatalf("step %d, kind %d: the head is %v (%v), want %v or %v", n, kind, found, err, h, b.Head())
				}
				there[found == b.Head()]++
				if fate := write(t, plain, journal.Batch{Blocks: []*journal.Block{b}}); fate.Fenced[0] {
					t.Fatalf("step %d, kind %d: offered again, the block is fenced", n, kind)
				}
				h = b.Head()
				if !f.Crashed() {
					break
				}
			}
		}
		if there[true] == 0 || there[false] == 0 {
			t.Errorf("after crashes the block was there %d times and not there %d times: both must happen", there[true], there[false])
		}
		verify(t, plain, "a", h.Seq)
	})
}

// The commit fails, and before it is offered again another process takes the book over.
func TestTakenOverWhileUnknown(t *testing.T) {
	for _, kind := range []storetest.Kind{storetest.Fail, storetest.LoseReply} {
		storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
			rival := open(t, storetest.Open(t, config("journal")))
			j, f, clk := openFaulty(t, config("journal"))
			a, b := grow(t, rival, "a", 1), grow(t, rival, "b", 1)
			f.Commit(1, kind, nil)
			x, y := block(a, 1, 1, "mine"), block(b, 1, 1, "mine")
			taken := false
			fate, err := offer(j, clk, journal.Batch{Blocks: []*journal.Block{x, y}}, func(func()) {
				if !taken {
					h, err := rival.Head(bg, "a")
					if err != nil {
						t.Error(err)
					}
					write(t, rival, journal.Batch{Blocks: []*journal.Block{block(h, 2, 1, "rival")}})
					taken = true
				}
			})
			if err != nil || !fate.Fenced[0] || fate.Fenced[1] {
				t.Errorf("fate %v (%v), want the first fenced and the second durable", fate, err)
			}
			want := uint64(2)
			if kind == storetest.LoseReply {
				want = 3 // ours stands, and the rival's on top
			}
			verify(t, rival, "a", want)
			verify(t, rival, "b", 2)
		})
	}
}

func TestWhatIsWaitedOutAndWhatIsNot(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		wait bool
	}{
		{"disk full", syscall.ENOSPC, true},
		{"read-only file system", syscall.EROFS, true},
		{"connection lost", storetest.Cut, true},
		{"part of the server shuts down", storetest.ServerError("FATAL", "XX000", "postmaster was shut down, exiting"), true},
		{"statement of unknown outcome", storetest.ServerError("ERROR", "40003", ""), true},
		{"right taken away", storetest.ServerError("ERROR", "42501", ""), true},
		{"bug of the server", storetest.ServerError("ERROR", "XX000", "cache lookup failed"), false},
		{"file moved", &store.MovedError{Path: "x"}, false},
		{"not understood", errors.New("cosmic ray"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
				j, f, clk := openFaulty(t, config("journal"))
				for n := range 5 {
					f.Commit(n+1, storetest.Fail, c.err)
				}
				waits := 0
				b := block(journal.Head{Book: "a"}, 1, 1, "x")
				_, err := offer(j, clk, journal.Batch{Blocks: []*journal.Block{b}}, func(func()) {
					waits++
					if err := j.Trouble(); err != nil && !errors.Is(err, c.err) {
						t.Errorf("trouble is %v, want %v", err, c.err)
					}
					lasted := time.Duration(waits) * time.Minute // by the clock
					clk.Advance(time.Minute)
					if c.wait && (j.Stuck(lasted) == nil || j.Stuck(lasted+time.Second) != nil) {
						t.Errorf("after %s it is stuck for %v, for longer %v", lasted, j.Stuck(lasted), j.Stuck(lasted+time.Second))
					}
				})
				if c.wait && (err != nil || waits == 0 || j.Trouble() != nil) {
					t.Errorf("waited %d times and returned %v, trouble %v; want it waited out", waits, err, j.Trouble())
				}
				if !c.wait && (!errors.Is(err, c.err) || waits > 0) {
					t.Errorf("waited %d times and returned %v, want it to stop at once", waits, err)
				}
			})
		})
	}
}

func TestWriteEndsWithItsContext(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		j, f, clk := openFaulty(t, config("journal"))
		for n := range 100 {
			f.Commit(n+1, storetest.Fail, syscall.ENOSPC)
		}
		b := block(journal.Head{Book: "a"}, 1, 1, "x")
		_, err := offer(j, clk, journal.Batch{Blocks: []*journal.Block{b}}, func(cancel func()) { cancel() })
		if !errors.Is(err, context.Canceled) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("returned %v, want why it stopped and what was wrong", err)
		}
	})
}

// Connections are killed by the server while blocks are written; none is lost, none doubled.
func TestConnectionsAreKilled(t *testing.T) {
	conf := storetest.Postgres(t)("journal")
	j := open(t, storetest.Open(t, conf))
	const enough = 40
	var kills atomic.Int64
	var killing sync.WaitGroup
	killing.Go(func() {
		for kills.Load() < enough {
			n, err := storetest.Kill(conf)
			if err != nil {
				t.Errorf("kill: %v", err)
				return
			}
			kills.Add(int64(n))
		}
	})
	h := journal.Head{Book: "a"}
	for kills.Load() < enough && !t.Failed() {
		b := block(h, 1, 3, "x")
		if f := write(t, j, journal.Batch{Blocks: []*journal.Block{b}}); f.Fenced[0] {
			t.Fatalf("block %d is fenced", b.Seq)
		}
		h = b.Head()
	}
	killing.Wait()
	verify(t, j, "a", h.Seq)
}

func TestDamageIsFound(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	const last = 9
	for _, c := range []struct {
		name string
		do   []string
		seq  uint64 // of the damage
		cut  bool   // only the checkpoint can tell
	}{
		{"a byte of a body", []string{flip("body", 62, 4)}, 4, false},
		{"a byte of a salt", []string{flip("body", 50, 4)}, 4, false},
		{"the epoch", []string{flip("body", 8, 4)}, 4, false},
		{"the format", []string{flip("body", 1, 4)}, 4, false},
		{"a byte of a hash", []string{flip("hash", 3, 4)}, 4, false},
		{"the last one's hash", []string{flip("hash", 3, last)}, last, false},
		{"the time", []string{"UPDATE journal_blocks SET at = at + 1 WHERE book = 'a' AND seq = 4"}, 4, false},
		{"a block is removed", []string{"DELETE FROM journal_blocks WHERE book = 'a' AND seq = 4"}, 4, false},
		{"the first is removed", []string{"DELETE FROM journal_blocks WHERE book = 'a' AND seq = 1"}, 1, false},
		{"the last is removed", []string{"DELETE FROM journal_blocks WHERE book = 'a' AND seq = 9"}, last, false},
		{"the last in place of another", []string{
			"DELETE FROM journal_blocks WHERE book = 'a' AND seq = 4",
			"UPDATE journal_blocks SET seq = 4 WHERE book = 'a' AND seq = 9",
		}, last, false},
		{"two change places", []string{
			"UPDATE journal_blocks SET seq = 104 WHERE book = 'a' AND seq = 4",
			"UPDATE journal_blocks SET seq = 4 WHERE book = 'a' AND seq = 5",
			"UPDATE journal_blocks SET seq = 5 WHERE book = 'a' AND seq = 104",
		}, 4, false},
		{"another book's block", []string{
			"DELETE FROM journal_blocks WHERE book = 'a' AND seq = 4",
			"UPDATE journal_blocks SET book = 'a' WHERE book = 'b' AND seq = 4",
		}, 4, false},
		{"the head is set back", []string{"UPDATE journal_heads SET seq = 5 WHERE book = 'a'"}, 6, false},
		{"the head is removed", []string{"DELETE FROM journal_heads WHERE book = 'a'"}, 1, false},
		{"the tail is cut off", []string{
			"DELETE FROM journal_blocks WHERE book = 'a' AND seq > 5",
			"UPDATE journal_heads SET seq = 5, hash = (SELECT hash FROM journal_blocks WHERE book = 'a' AND seq = 5) WHERE book = 'a'",
		}, last, true},
		{"everything is removed", []string{"DELETE FROM journal_blocks WHERE book = 'a'", "DELETE FROM journal_heads WHERE book = 'a'"}, last, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, open2 func(string) *store.DB) {
				db := open2("journal")
				j := open(t, db)
				grow(t, j, "a", last)
				grow(t, j, "b", last)
				point, err := j.Export(bg, 5, key)
				if err != nil {
					t.Fatal(err)
				}
				if err := j.Compare(bg, point, public); err != nil {
					t.Fatalf("an untouched journal: %v", err)
				}
				damage(t, db, c.do...)
				_, err = j.Verify(bg, "a", nil)
				if c.cut {
					if err != nil {
						t.Errorf("Verify: %v, want it to see nothing", err)
					}
					err = j.Compare(bg, point, public)
				}
				var d *journal.Damage
				if !errors.As(err, &d) || d.Book != "a" || d.Seq != c.seq || !fault.HasCode(err, fault.DataDamaged) {
					t.Errorf("found %v, want damage of book a at block %d", err, c.seq)
				}
			})
		})
	}
}

// flip changes one byte (counted from 1) of a column of book a's block seq, with functions that both engines have.
func flip(column string, at, seq int) string {
	return fmt.Sprintf("FLIP %s %d %d", column, at, seq)
}

func damage(t testing.TB, db *store.DB, statements ...string) {
	t.Helper()
	err := db.Write(bg, func(tx *sql.Tx) error {
		for _, s := range statements {
			var column string
			var at, seq int
			if n, _ := fmt.Sscanf(s, "FLIP %s %d %d", &column, &at, &seq); n == 3 {
				var bytes []byte
				where := " WHERE book = 'a' AND seq = $1"
				if err := tx.QueryRow("SELECT "+column+" FROM journal_blocks"+where, seq).Scan(&bytes); err != nil {
					return err
				}
				bytes[at-1] ^= 0x10
				if _, err := tx.Exec("UPDATE journal_blocks SET "+column+" = $2"+where, seq, bytes); err != nil {
					return err
				}
				continue
			}
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

// A block is put in place of another with a hash of its own that holds: only the links can tell.
func TestForgedBlocksAreFound(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open2 func(string) *store.DB) {
		for i, c := range []struct {
			name   string
			blocks uint64
			at     uint64
			forge  func(*journal.Block)
			seq    uint64
		}{
			{"in the middle", 6, 3, func(b *journal.Block) { b.Events[0].Body = []byte("more") }, 4},
			{"the last", 6, 6, func(b *journal.Block) { b.Events[0].Body = []byte("more") }, 6},
			{"of an older epoch", 6, 6, func(b *journal.Block) { b.Epoch = 0 }, 6},
			{"a first one that follows another", 1, 1, func(b *journal.Block) { b.Prev[0] = 1 }, 1},
		} {
			db := open2(fmt.Sprintf("journal%d", i))
			j := open(t, db)
			grow(t, j, "a", int(c.blocks))
			blocks, err := j.Read(bg, "a", c.at, 1)
			if err != nil {
				t.Fatal(err)
			}
			forgeBlock(t, db, blocks[0], c.forge, c.name != "the last")
			var d *journal.Damage
			if _, err := j.Verify(bg, "a", nil); !errors.As(err, &d) || d.Seq != c.seq {
				t.Errorf("%s: Verify found %v, want damage at block %d", c.name, err, c.seq)
			}
			if _, err := j.Read(bg, "a", 1, 10); !errors.As(err, &d) || d.Seq != c.seq {
				t.Errorf("%s: Read found %v, want damage at block %d", c.name, err, c.seq)
			}
		}
	})
}

// forgeBlock changes a stored block and gives it the hash it then has; where it is the last one, also in the head.
func forgeBlock(t testing.TB, db *store.DB, b *journal.Block, forge func(*journal.Block), head bool) {
	t.Helper()
	forge(b)
	hash := hashOf(b)
	body := binary.BigEndian.AppendUint64([]byte{journal.Format}, b.Epoch)
	body = append(append(body, b.Prev[:]...), b.Salt[:]...)
	body = binary.AppendUvarint(body, uint64(len(b.Events)))
	for _, e := range b.Events {
		body = binary.AppendUvarint(body, uint64(e.Type))
		body = append(binary.AppendUvarint(body, uint64(len(e.Body))), e.Body...)
	}
	err := db.Write(bg, func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE journal_blocks SET hash = $1, body = $2 WHERE book = $3 AND seq = $4", hash[:], body, b.Book, int64(b.Seq))
		if err == nil && head {
			_, err = tx.Exec("UPDATE journal_heads SET hash = $1, epoch = $2 WHERE book = $3 AND seq = $4", hash[:], int64(b.Epoch), b.Book, int64(b.Seq))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The link between two blocks holds also where Verify reads them in two parts.
func TestVerifyLinksItsParts(t *testing.T) {
	conf := storetest.SQLite(t)("journal")
	conf.Durability = store.Relaxed // nothing here is about losing power
	db := storetest.Open(t, conf)
	j := open(t, db)
	grow(t, j, "a", 1026)
	var told []uint64
	if _, err := j.Verify(bg, "a", func(seq uint64) { told = append(told, seq) }); err != nil || len(told) != 2 || told[1] != 1026 {
		t.Errorf("verified in parts %v (%v), want two, up to 1026", told, err)
	}
	blocks, err := j.Read(bg, "a", 1024, 1)
	if err != nil {
		t.Fatal(err)
	}
	forgeBlock(t, db, blocks[0], func(b *journal.Block) { b.Events[0].Body = []byte("more") }, false)
	var d *journal.Damage
	if _, err := j.Verify(bg, "a", nil); !errors.As(err, &d) || d.Seq != 1025 {
		t.Errorf("found %v, want damage at block 1025", err)
	}
}

// Somebody with the database writes a whole new chain, hashes and all.
func TestARewrittenBookIsFound(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	storetest.Each(t, func(t *testing.T, open2 func(string) *store.DB) {
		db := open2("journal")
		j := open(t, db)
		grow(t, j, "a", 5)
		point, err := j.Export(bg, 5, key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(point)
		if err != nil {
			t.Fatal(err)
		}
		damage(t, db, "DELETE FROM journal_blocks", "DELETE FROM journal_heads")
		h := journal.Head{Book: "a"}
		for range 7 {
			b := block(h, 1, 1, "forged")
			write(t, j, journal.Batch{Blocks: []*journal.Block{b}})
			h = b.Head()
		}
		verify(t, j, "a", 7)
		var kept journal.Checkpoint
		if err := json.Unmarshal(text, &kept); err != nil {
			t.Fatal(err)
		}
		if err := j.Compare(bg, kept, public); !fault.HasCode(err, fault.DataDamaged) {
			t.Errorf("compared with the kept checkpoint: %v, want damage", err)
		}
		mine := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
		forged, err := j.Export(bg, 5, mine)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Compare(bg, forged, public); !errors.Is(err, journal.ErrSignature) {
			t.Errorf("a checkpoint signed by another key: %v", err)
		}
		kept.Heads[0].Hash = h.Hash[:]
		if err := j.Compare(bg, kept, public); !errors.Is(err, journal.ErrSignature) {
			t.Errorf("a checkpoint that was changed: %v", err)
		}
	})
}

func TestABlockBeyondTheHeadStopsTheWriter(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open2 func(string) *store.DB) {
		db := open2("journal")
		j := open(t, db)
		h := grow(t, j, "a", 2)
		damage(t, db, "INSERT INTO journal_blocks (book, seq, at, hash, body) SELECT book, 3, at, hash, body FROM journal_blocks WHERE seq = 2")
		_, err := j.Write(bg, journal.Batch{Blocks: []*journal.Block{block(h, 1, 1, "x")}})
		if !fault.HasCode(err, fault.DataDamaged) {
			t.Errorf("write: %v, want damage", err)
		}
		if _, err := j.Head(bg, "a"); !fault.HasCode(err, fault.DataDamaged) {
			t.Errorf("head: %v, want damage", err)
		}
		damage(t, db, "INSERT INTO journal_blocks (book, seq, at, hash, body) SELECT 'stray', 1, at, hash, body FROM journal_blocks WHERE seq = 2")
		if got, err := j.Strays(bg); err != nil || len(got) != 1 || got[0] != "stray" {
			t.Errorf("strays: %v %v", got, err)
		}
	})
}

func TestNotesAreWrittenOnceAndErased(t *testing.T) {
	const secret = "Yamada Hanako, 1-2-3 Kabutocho"
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		conf := config("journal")
		j := open(t, storetest.Open(t, conf))
		n := journal.Note{Tenant: 1<<32 - 1, Service: "identity", ID: []byte{0, 1, 2}, Body: []byte(secret)}
		later := n
		later.Body = []byte("somebody else")
		first := block(journal.Head{Book: "a"}, 1, 1, "x")
		first.Notes = []journal.Note{n}
		second := block(first.Head(), 1, 1, "y")
		second.Notes = []journal.Note{later}
		write(t, j, journal.Batch{Blocks: []*journal.Block{first}})
		write(t, j, journal.Batch{Blocks: []*journal.Block{second}})
		body, ok, err := j.Note(bg, n.Tenant, n.Service, n.ID)
		if string(body) != secret || !ok || err != nil {
			t.Errorf("note: %q %v %v, want the first one", body, ok, err)
		}
		if conf.Path != "" && !inFiles(t, conf.Path, secret) {
			t.Error("the note is in no file: looking for it proves nothing")
		}
		for range 2 {
			if err := j.EraseNotes(bg, n.Tenant, n.Service, n.ID); err != nil {
				t.Fatal(err)
			}
		}
		write(t, j, journal.Batch{Blocks: []*journal.Block{second}}) // offered again, as after a lost reply
		if body, ok, err := j.Note(bg, n.Tenant, n.Service, n.ID); ok || err != nil {
			t.Errorf("an erased note: %q %v %v", body, ok, err)
		}
		for limit := clock.Pause(20 * time.Second); conf.Path != "" && inFiles(t, conf.Path, secret); {
			select {
			case <-limit:
				t.Fatal("the erased note's bytes are still in the files")
			case <-clock.Pause(10 * time.Millisecond):
			}
		}
	})
}

func inFiles(t testing.TB, path, what string) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s: %v", path, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(what)) {
			return true
		}
	}
	return false
}

func TestConstantsAreFixedOnce(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		db := storetest.Open(t, config("journal"))
		j := open(t, db)
		for _, try := range []string{"8", "16"} {
			if got, err := j.Fix(bg, "volumes", []byte(try)); err != nil || string(got) != "8" {
				t.Errorf("fixing %s: %s stands (%v), want 8", try, got, err)
			}
		}
		if _, ok, err := j.Constant(bg, "secret"); ok || err != nil {
			t.Errorf("a constant that was never fixed: %v %v", ok, err)
		}
		look := config("journal")
		look.ReadOnly = true
		reader := open(t, storetest.Open(t, look))
		if got, ok, err := reader.Constant(bg, "volumes"); string(got) != "8" || !ok || err != nil {
			t.Errorf("read by a reader: %s %v %v", got, ok, err)
		}
		if _, err := reader.Write(bg, journal.Batch{Blocks: []*journal.Block{block(journal.Head{Book: "a"}, 1, 1, "x")}}); err == nil {
			t.Error("a journal opened for reading took a block")
		}
		damage(t, db, "UPDATE platform SET value = CAST('2' AS "+map[store.Engine]string{store.SQLite: "BLOB", store.Postgres: "BYTEA"}[db.Engine()]+
			") WHERE name = 'journal.format'")
		if _, err := journal.Open(bg, db); err == nil || !strings.Contains(err.Error(), "format 2") {
			t.Errorf("a journal of another format was opened: %v", err)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("a"), uint32(1), 3)
	f.Fuzz(func(t *testing.T, body []byte, typ uint32, n int) {
		b := &journal.Block{Book: "a", Seq: 1}
		for i := range 1 + uint(n)%40 {
			b.Events = append(b.Events, journal.Event{Type: typ + uint32(i), Body: body})
		}
		journal.Seal(b)
		if err := b.Verify(); err != nil || b.Hash != hashOf(b) {
			t.Fatalf("%d events of %d bytes: %v", len(b.Events), len(body), err)
		}
	})
}
