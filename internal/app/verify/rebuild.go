package verify

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/internal/store"
)

// Service is one service's books and tables: those of a feed count as a service of their own.
type Service struct {
	Name    string // as it stands in the names of its books
	Volumes int
	Machine func(volume int) book.Machine
	// Prepare makes the service's tables in an empty database, and returns them.
	Prepare func(context.Context, *store.DB) (*book.SQLState, error)
	// Tables is where the platform keeps its state; opened for reading.
	Tables *store.DB
	// Follows is how many volumes the service follows, if it is a feed.
	Follows int
}

// shelf is a service whose tables are being rebuilt.
type shelf struct {
	Service
	log     *journal.Journal
	found   *findings
	twin          // the tables that are rebuilt from nothing
	copied  *twin // a copy of the platform's tables, which recovers from them; may be nil
	volumes []*volume
}

// twin is a set of tables in a temporary file.
type twin struct {
	db    *store.DB
	state *book.SQLState
}

func newTwin(ctx context.Context, s Service, path string) (w twin, err error) {
	if w.db, err = store.Open(ctx, store.Config{Path: path, Durability: store.Relaxed}); err != nil {
		return w, err
	}
	if w.state, err = s.Prepare(ctx, w.db); err != nil {
		return w, errors.Join(err, w.db.Close())
	}
	return w, nil
}

// volume is one book, as far as it was replayed.
type volume struct {
	name    string
	n       int
	log     *limited
	damaged bool // it cannot be replayed: nothing more is said of it
}

// newShelf makes the files for the rebuilt tables of a service.
func newShelf(ctx context.Context, s Service, c *Config, found *findings, dir string) (*shelf, error) {
	sh, log := &shelf{Service: s, log: c.Journal, found: found}, c.Journal
	var err error
	if sh.twin, err = newTwin(ctx, s, filepath.Join(dir, s.Name+".db")); err != nil {
		return nil, err
	}
	if c.Rebuild {
		copied, err := newTwin(ctx, s, filepath.Join(dir, s.Name+".copy.db"))
		if err != nil {
			return nil, errors.Join(err, sh.db.Close())
		}
		sh.copied = &copied
	}
	for n := range s.Volumes {
		v := &volume{name: book.Name(s.Name, n), n: n}
		v.log = &limited{Journal: log, tell: func() { found.count("I7", 1) }}
		sh.volumes = append(sh.volumes, v)
	}
	return sh, nil
}

// limited is the journal of one book up to a block. It tells every block that is read for the first time.
type limited struct {
	*journal.Journal
	to, told uint64
	tell     func()
}

// Write implements book.Log. Nothing is written.
func (l *limited) Write(context.Context, journal.Batch) (journal.Fate, error) {
	return journal.Fate{}, errors.New("verify: the books are only read")
}

// Read implements book.Log.
func (l *limited) Read(ctx context.Context, name string, from uint64, limit int) ([]*journal.Block, error) {
	if from > l.to {
		return nil, nil
	}
	if left := l.to - from + 1; uint64(limit) > left {
		limit = int(left)
	}
	blocks, err := l.Journal.Read(ctx, name, from, limit)
	for _, b := range blocks {
		if b.Seq > l.told {
			l.tell()
			l.told = b.Seq
		}
	}
	return blocks, err
}

// replay brings the rebuilt tables of a book up to a block, and returns what they then stand for. A book that cannot be
// replayed is reported and left alone.
func (s *shelf) replay(ctx context.Context, v *volume, to uint64) (journal.Head, error) {
	if v.damaged {
		return journal.Head{}, nil
	}
	v.log.to = to
	core, err := book.Recover(ctx, v.name, v.n, s.Machine(v.n), v.log, s.state)
	if err == nil {
		if err := book.SaveNow(ctx, core, s.state); err != nil {
			return journal.Head{}, err
		}
		return core.Head(), nil
	}
	var damage *journal.Damage
	var impossible *book.PanicError
	switch {
	case errors.As(err, &damage):
		s.found.wrong("I7", "%v", damage)
	case errors.As(err, &impossible):
		s.found.wrong("I24", "%s cannot be replayed: %v", v.name, impossible)
	case isDamage(err):
		s.found.wrong("I7", "%v", err)
	default:
		return journal.Head{}, err
	}
	v.damaged = true
	return journal.Head{}, nil
}

// compare compares the tables of a book with tables rebuilt up to the block that they stand for.
func (s *shelf) compare(ctx context.Context, v *volume) error {
	at, err := saved(ctx, s.Tables, v.name)
	if err != nil {
		return err
	}
	if _, err := s.replay(ctx, v, at.Seq); err != nil || v.damaged { // the most of it, before the snapshot is taken
		return err
	}
	return snapshot(ctx, s.Tables, func(have view) error {
		at, err := have.standsFor(ctx, v.name)
		if err != nil {
			return err
		}
		head, err := s.replay(ctx, v, at.Seq)
		if err != nil || v.damaged {
			return err
		}
		s.found.check(head == at, "I24", "the tables of %s stand for block %d (%x), which the journal does not have: it ends at block %d (%x)",
			v.name, at.Seq, at.Hash[:8], head.Seq, head.Hash[:8])
		if head != at {
			return nil
		}
		if err := s.copyAll(ctx, v, have); err != nil {
			return err
		}
		return snapshot(ctx, s.db, func(want view) error {
			s.found.count("I24", 1)
			err := comparePosition(ctx, have, want, v.name, s.Machine(v.n).Version(), func(what string) { s.found.wrong("I24", "%s: %s", v.name, what) })
			if err != nil {
				return err
			}
			return s.compareAll(ctx, v, "", have, want)
		})
	})
}

func (s *shelf) compareAll(ctx context.Context, v *volume, which string, have, want view) error {
	for _, t := range s.Machine(v.n).Tables() {
		n, err := compareTables(ctx, have, want, t, v.n, func(what string) { s.found.wrong("I24", "%s: %s%s", v.name, which, what) })
		if err != nil {
			return err
		}
		s.found.count("I24", n)
	}
	return nil
}

// copyAll copies the tables of a book, if a copy was asked for.
func (s *shelf) copyAll(ctx context.Context, v *volume, have view) error {
	if s.copied == nil {
		return nil
	}
	for _, t := range s.Machine(v.n).Tables() {
		if err := have.copyTable(ctx, s.copied.db, t, v.n); err != nil {
			return err
		}
	}
	return have.copyPosition(ctx, s.copied.db, v.name)
}

// recoverCopy lets the copy recover to a block, as a start of the platform would, and compares it with the tables that
// were rebuilt from nothing.
func (s *shelf) recoverCopy(ctx context.Context, v *volume, to uint64) error {
	if s.copied == nil || v.damaged {
		return nil
	}
	quiet := &limited{Journal: s.log, to: to, told: to}
	core, err := book.Recover(ctx, v.name, v.n, s.Machine(v.n), quiet, s.copied.state)
	if isDamage(err) {
		s.found.wrong("I24", "%s does not recover from its tables: %v", v.name, err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := book.SaveNow(ctx, core, s.copied.state); err != nil {
		return err
	}
	return snapshot(ctx, s.copied.db, func(have view) error {
		return snapshot(ctx, s.db, func(want view) error { return s.compareAll(ctx, v, "recovered, ", have, want) })
	})
}

func (s *shelf) close() error {
	err := s.db.Close()
	if s.copied != nil {
		err = errors.Join(err, s.copied.db.Close())
	}
	return err
}

// loadBatch is how many rows are read at once.
const loadBatch = 2000

// load returns a machine with all rebuilt rows of a volume in memory, but for callers' keys.
func (s *shelf) load(ctx context.Context, n int) (book.Machine, error) {
	m := s.Machine(n)
	core := book.NewCore(book.Name(s.Name, n), n, m)
	for _, t := range m.Tables() {
		if _, ok := t.(*book.Keys); ok {
			continue
		}
		err := s.pages(ctx, n, book.TableName(t), loadBatch, func(keys []book.Key) error { return s.install(ctx, core, n, t, keys) })
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (s *shelf) install(ctx context.Context, core *book.Core, n int, t book.Table, keys []book.Key) error {
	wants := make([]book.Want, len(keys))
	for i, k := range keys {
		wants[i] = book.Want{Table: t, Key: k}
	}
	rows, _, err := s.state.Load(ctx, core.Name(), n, wants)
	if err != nil {
		return err
	}
	for i, w := range wants {
		if rows[i] != nil {
			core.Install(w, rows[i])
		}
	}
	return nil
}

// pages calls f with all keys of one volume of a table, some at a time, in order.
func (s *shelf) pages(ctx context.Context, n int, table string, size int, f func([]book.Key) error) error {
	var after book.Key
	for {
		keys, err := keysAfter(ctx, s.db, table, n, after, size)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := f(keys); err != nil {
			return err
		}
		after = keys[len(keys)-1]
	}
}
