package verify

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/internal/store"
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
	found   *findings
	shelves []*shelf
	cut     map[string]journal.Head
}

// Run judges the books. The error says why that could not be done; what is wrong with the books stands in the report.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	dir, err := os.MkdirTemp("", "koban-verify-")
	if err != nil {
		return nil, fmt.Errorf("verify: make room for the rebuilt tables: %w", err)
	}
	r := &run{Config: c, found: newFindings(), cut: map[string]journal.Head{}}
	defer func() { err = errors.Join(err, r.close(), os.RemoveAll(dir)) }()
	for _, s := range c.Services {
		sh, err := newShelf(ctx, s, &c, r.found, dir)
		if err != nil {
			return nil, err
		}
		r.shelves = append(r.shelves, sh)
	}
	for _, step := range []func(context.Context) error{r.sound, r.compare, r.advance, r.others, r.tail, r.audit, r.judge} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.report(), nil
}

func (r *run) close() error {
	var errs []error
	for _, s := range r.shelves {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// each calls f for every volume of every service, some at the same time: one of a service at a time, because a file is
// written by one.
func (r *run) each(f func(*shelf, *volume) error) error {
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	errs := make([]error, len(r.shelves))
	var wait sync.WaitGroup
	for i, s := range r.shelves {
		wait.Go(func() {
			for _, v := range s.volumes {
				slots <- struct{}{}
				err := f(s, v)
				<-slots
				if err != nil {
					errs[i] = fmt.Errorf("%s: %w", v.name, err)
					return
				}
			}
		})
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

// compare compares every table with one that was rebuilt.
func (r *run) compare(ctx context.Context) error {
	return r.each(func(s *shelf, v *volume) error { return s.compare(ctx, v) })
}

// advance takes the cut, and brings all rebuilt tables to it.
func (r *run) advance(ctx context.Context) error {
	heads, err := r.Journal.Heads(ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		r.cut[h.Book] = h
	}
	return r.each(func(s *shelf, v *volume) error {
		to := max(r.cut[v.name].Seq, v.log.told)
		head, err := s.replay(ctx, v, to)
		if cut := r.cut[v.name]; err == nil && !v.damaged && cut.Seq > 0 {
			r.found.check(head == cut, "I7", "%s: the journal's head names block %d (%x), its blocks end at block %d (%x)", v.name,
				cut.Seq, cut.Hash[:8], head.Seq, head.Hash[:8])
		}
		if err != nil {
			return err
		}
		return s.recoverCopy(ctx, v, to)
	})
}

// others looks at the books that no service of this version has, at what stands beyond a head, and at blocks without one.
func (r *run) others(ctx context.Context) error {
	known := map[string]bool{}
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			known[v.name] = true
			if _, err := r.Journal.Head(ctx, v.name); err != nil && r.damage(err) != nil {
				return err
			}
		}
	}
	for name, head := range r.cut {
		if known[name] {
			continue
		}
		_, err := r.Journal.Verify(ctx, name, nil)
		if err = r.damage(err); err != nil {
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
	return r.damage(r.Journal.Compare(ctx, *r.Checkpoint, r.Signer))
}

// damage reports an error that says that the journal is damaged, and returns any other.
func (r *run) damage(err error) error {
	var d *journal.Damage
	switch {
	case errors.As(err, &d):
		r.found.wrong("I7", "%v", d)
	case isDamage(err):
		r.found.wrong("I7", "%v", err)
	default:
		return err
	}
	return nil
}

func isDamage(err error) bool { return fault.HasCode(err, fault.DataDamaged) }

// shelf returns the named service, nil if one of its books cannot be replayed.
func (r *run) shelf(name string) *shelf {
	for _, s := range r.shelves {
		if s.Name != name {
			continue
		}
		for _, v := range s.volumes {
			if v.damaged {
				return nil
			}
		}
		return s
	}
	return nil
}

func (r *run) report() *Report {
	out := &Report{Rehearsal: r.Rehearsal, Books: []Book{}}
	heads := make([]string, 0, len(r.cut))
	for name := range r.cut {
		heads = append(heads, name)
	}
	sortBooks(heads)
	for _, name := range heads {
		h := r.cut[name]
		out.Books = append(out.Books, Book{Name: name, Blocks: h.Seq, Head: hex.EncodeToString(h.Hash[:])})
	}
	out.Invariants, out.OK = r.found.list()
	return out
}

// isFeed reports whether a service is the feed of another.
func isFeed(name string) (of string, ok bool) { return strings.CutSuffix(name, ".feed") }
