package platform

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// newer is a machine of a later program.
type newer struct{ book.Machine }

func (n newer) Version() uint32 { return n.Machine.Version() + 1 }

// A program that is older than its books refuses to start and leaves every book as it is, also those that it could read. The
// control is a book that the same program has taken over: it starts, and its books go on.
func TestOlderProgramTouchesNothing(t *testing.T) {
	takeOver := func(m func(book.Machine) book.Machine) func(*testing.T, *rig, *journal.Journal) {
		return func(t *testing.T, r *rig, j *journal.Journal) {
			for _, k := range catalog() {
				if k.name != "points" {
					continue
				}
				core, err := book.Recover(t.Context(), "points/01", 1, m(k.machine(1, 2)), j, book.NewMemState())
				if err != nil {
					t.Fatal(err)
				}
				core.TakeOver(r.app.Clock.Now())
				if err := book.Commit(t.Context(), core, j); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	unknown := func(t *testing.T, r *rig, j *journal.Journal) {
		head, err := j.Head(t.Context(), "points/01")
		if err != nil {
			t.Fatal(err)
		}
		b := &journal.Block{
			Book: head.Book, Seq: head.Seq + 1, Epoch: head.Epoch, At: r.app.Clock.Now() + clock.Millisecond, Prev: head.Hash,
			Events: []journal.Event{{Type: 9999, Body: []byte("of next year")}},
		}
		journal.Seal(b)
		if fate, err := j.Write(t.Context(), journal.Batch{Blocks: []*journal.Block{b}}); err != nil || fate.Fenced[0] {
			t.Fatalf("write: %v %v", fate, err)
		}
	}
	for name, c := range map[string]struct {
		write func(*testing.T, *rig, *journal.Journal)
		why   string // "": it starts
	}{
		"control":         {takeOver(func(m book.Machine) book.Machine { return m }), ""},
		"a later fold":    {takeOver(func(m book.Machine) book.Machine { return newer{m} }), "run the newer program"},
		"a later's event": {unknown, "use the version that wrote it"},
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, r *rig) {
				r.pay("one", 1200, 200)
				r.stop()
				heads := func(write func(*testing.T, *rig, *journal.Journal)) []journal.Head {
					j, db, err := openJournal(t.Context(), r.place())
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = db.Close() }()
					if write != nil {
						write(t, r, j)
					}
					h, err := j.Heads(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				before := heads(c.write)
				a, err := Start(t.Context(), r.config)
				if err == nil {
					err = a.Close(t.Context())
				}
				same := cmp.Equal(before, heads(nil))
				if c.why == "" {
					if err != nil || same {
						t.Errorf("the control does not go on: %v", err)
					}
					return
				}
				if !fault.HasCode(err, fault.DataDamaged) || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), "points/01") {
					t.Errorf("started on books of a later program: %v", err)
				}
				if !same {
					t.Errorf("an older program has changed books: %s", cmp.Diff(before, heads(nil)))
				}
			})
		})
	}
}
