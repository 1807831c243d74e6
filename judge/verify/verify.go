package verify

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// Config says what is judged.
type Config struct {
	Journal  *journal.Journal // opened for reading
	Record   *store.DB        // where the journal is
	Services []Service        // Balance, Points, Code and Payment among them, by these names; and the feeds
	IDs      *id.Codec
	// Rehearsal says that the books were made to rehearse on. The report says so.
	Rehearsal bool
	// Rebuild also lets a copy of the platform's tables recover, as a start would, and compares that, too.
	Rebuild bool
	// Checkpoint, if there is one, says what the journal held when it was exported; Signer is who has to have signed it.
	Checkpoint *journal.Checkpoint
	Signer     ed25519.PublicKey
	// Temp is where temporary files are made; "" means the system's place. They take about as much room as the tables.
	Temp string
	// Tables says which tables these are, as no copy of them would say it.
	Tables string
	// Resume names a file in which is noted which books were compared, so that a judgement that was stopped goes on where it
	// was; "" for none. It is removed at the end.
	Resume string
	// Progress is told how far the judgement is, often. May be nil.
	Progress func(Progress)
}

// The names of the services that are held to each other.
const (
	Balance = "balance"
	Points  = "points"
	Code    = "code"
	Payment = "payment"
)

// run is one judgement.
type run struct {
	Config
	found    *findings
	progress *progress
	dir      string // for temporary files
	shelves  []*shelf
	cut      map[string]journal.Head
	blocks   int64 // up to the cut, of all books

	mu       sync.Mutex
	compared *findings // what was found in the tables of the books that are done
	done     []string  // their names
}

// Run judges the books. The error says why that could not be done; what is wrong with the books stands in the report.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	dir, err := os.MkdirTemp(c.Temp, "koban-verify-")
	if err != nil {
		return nil, fmt.Errorf("verify: make room for the rebuilt tables: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &run{
		Config: c, found: newFindings(), compared: newFindings(), progress: &progress{tell: c.Progress}, dir: dir,
		cut: map[string]journal.Head{},
	}
	for _, s := range c.Services {
		r.shelves = append(r.shelves, r.newShelf(s))
	}
	for _, step := range []func(context.Context) error{r.begin, r.others, r.tail, r.judge} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.report(), r.over()
}

func (r *run) newShelf(s Service) *shelf {
	sh := &shelf{Service: s, log: r.Journal, progress: r.progress, dir: r.dir, again: r.Rebuild}
	for n := range s.Volumes {
		v := &volume{name: book.Name(s.Name, n), n: n, found: newFindings()}
		v.log = &limited{Journal: r.Journal, tell: func(blocks int) { r.progress.blocks(blocks) }}
		sh.volumes = append(sh.volumes, v)
	}
	return sh
}

// begin takes the cut: whatever is written later is not judged.
func (r *run) begin(ctx context.Context) error {
	if err := r.resume(ctx); err != nil {
		return err
	}
	if len(r.cut) == 0 {
		heads, err := r.Journal.Heads(ctx)
		if err != nil {
			return err
		}
		for _, h := range heads {
			r.cut[h.Book] = h
		}
	}
	for _, h := range r.cut {
		r.blocks += int64(h.Seq)
	}
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			v.cut = journal.Head{Book: v.name}
			if h, ok := r.cut[v.name]; ok {
				v.cut = h
			}
		}
	}
	return nil
}

// judge has the one judge follow every book up to the cut, then rebuilds the tables of one book after the other, as many at
// the same time as there are cores, compares, and has the judge compare what was rebuilt.
func (r *run) judge(ctx context.Context) error {
	a := r.newAudit()
	files := make(chan error, 1)
	go func() { files <- r.sound(ctx) }()
	if err := errors.Join(a.follow(ctx), <-files); err != nil {
		return errors.Join(err, a.close())
	}
	r.progress.begin("comparing the tables", r.blocks)
	err := r.each(func(s *shelf, v *volume) error {
		if r.isDone(v) {
			r.progress.blocks(int(v.cut.Seq))
			return nil
		}
		if err := s.volume(ctx, v, a.show); err != nil {
			return err
		}
		return r.finished(v)
	})
	if err == nil {
		err = a.end()
	}
	return errors.Join(err, a.close())
}

// each calls f for every volume of every service, as many at the same time as there are cores, and none after an error.
func (r *run) each(f func(*shelf, *volume) error) error {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var failed atomic.Bool
	var errs []error
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				if failed.Load() {
					return
				}
				if err := f(s, v); err != nil {
					failed.Store(true)
					mu.Lock()
					errs = append(errs, fmt.Errorf("%s: %w", v.name, err))
					mu.Unlock()
				}
			})
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

// sound requires that the files hold together. Tables are compared by their keys, and blocks read by theirs: what only another
// index has wrong would be missed, and lists are read by those.
func (r *run) sound(ctx context.Context) error {
	faults, err := unsound(ctx, r.Record)
	if err != nil {
		return err
	}
	r.found.count("I7", 1)
	for _, f := range faults {
		r.found.wrong("I7", "the journal's file is damaged: %s", f)
	}
	for _, s := range r.shelves {
		if s.Tables == nil {
			continue
		}
		if faults, err = unsound(ctx, s.Tables); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		r.found.count("I24", 1)
		for _, f := range faults {
			r.found.wrong("I24", "the file of %s is damaged: %s", s.Name, f)
		}
	}
	return nil
}

// others looks at the books that no service of this version has, at what stands beyond a head, and at blocks without one.
func (r *run) others(ctx context.Context) error {
	known := map[string]bool{}
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			known[v.name] = true
			if _, err := r.Journal.Head(ctx, v.name); err != nil && r.found.damage(err) != nil {
				return err
			}
		}
	}
	for name, head := range r.cut {
		if known[name] {
			continue
		}
		_, err := r.Journal.Verify(ctx, name, nil)
		if err = r.found.damage(err); err != nil {
			return err
		}
		r.found.count("I7", int64(head.Seq))
	}
	notes, changed, err := r.Journal.CheckNotes(ctx)
	if err != nil {
		return err
	}
	r.found.count("I7", notes)
	for _, bad := range changed {
		r.found.wrong("I7", "%v", bad)
	}
	strays, err := r.Journal.Strays(ctx)
	for _, name := range strays {
		r.found.wrong("I7", "%s has blocks and no head", name)
	}
	return err
}

// tail holds the journal to a checkpoint that was exported earlier.
func (r *run) tail(ctx context.Context) error {
	if r.Checkpoint == nil {
		return nil
	}
	r.found.count("I7", int64(len(r.Checkpoint.Heads)))
	return r.found.damage(r.Journal.Compare(ctx, *r.Checkpoint, r.Signer))
}

func isDamage(err error) bool { return fault.HasCode(err, fault.DataDamaged) }

func (r *run) report() *Report {
	out := &Report{Rehearsal: r.Rehearsal, NotChecked: []string{}, Books: r.books()}
	var absent []string
	for _, s := range r.shelves {
		if s.Tables == nil {
			absent = append(absent, s.Name)
		}
	}
	switch {
	case len(absent) == len(r.shelves):
		out.NotChecked = append(out.NotChecked, "the tables: there are none here, so the journal is judged alone")
	case len(absent) > 0:
		r.found.wrong("I24", "there are no tables of %s, and there are those of other services", strings.Join(absent, ", "))
	}
	compared, _ := r.compared.list()
	r.found.merge(compared)
	out.Invariants, out.OK = r.found.list()
	return out
}

// books returns the books at the cut, by their names.
func (r *run) books() []Book {
	out := []Book{}
	for _, name := range slices.Sorted(maps.Keys(r.cut)) {
		h := r.cut[name]
		out = append(out, Book{Name: name, Blocks: h.Seq, Head: hex.EncodeToString(h.Hash[:])})
	}
	return out
}

// isFeed reports whether a service is the feed of another.
func isFeed(name string) (of string, ok bool) { return strings.CutSuffix(name, ".feed") }
