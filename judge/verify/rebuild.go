package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/attic"
)

// Service is one service's books and tables: those of a feed count as a service of their own.
type Service struct {
	Name    string // as it stands in the names of its books
	Volumes int
	Machine func(volume int) book.Machine
	// Prepare makes the service's tables in an empty database, and returns them.
	Prepare func(context.Context, *store.DB) (*book.SQLState, error)
	// Tables is where the platform keeps its state; opened for reading. nil: there are none to compare.
	Tables *store.DB
	// Follows is how many volumes the service follows, if it is a feed.
	Follows int
}

// shelf is a service whose tables are being rebuilt.
type shelf struct {
	Service
	log      *journal.Journal
	progress *progress
	dir      string // for temporary files
	again    bool   // a copy of the platform's tables is to recover, too
	volumes  []*volume
}

// volume is one book, as far as it was replayed.
type volume struct {
	name    string
	n       int
	cut     journal.Head
	log     *limited
	core    *book.Core
	sheets  *sheets
	found   *findings // of this book alone
	damaged bool      // it cannot be replayed: nothing more is said of it
}

// rowsRoom is how many bytes of rebuilt rows of one book are in memory; the rest is in temporary files.
const rowsRoom = 32 << 20

func (s *shelf) open(v *volume) {
	v.core = book.NewCore(v.name, v.n, s.Machine(v.n))
	v.core.Restore(book.Position{Head: journal.Head{Book: v.name}})
	v.sheets = &sheets{attic: attic.New(s.dir, rowsRoom), at: book.Position{Head: journal.Head{Book: v.name}}}
}

func (v *volume) close() error {
	err := v.sheets.attic.Close()
	v.core, v.sheets = nil, nil
	return err
}

// limited is the journal of one book up to a block. It tells every block that is read.
type limited struct {
	*journal.Journal
	to   uint64
	tell func(blocks int)
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
	l.tell(len(blocks))
	return blocks, err
}

// replay brings the rebuilt tables of a book up to a block, and stops at the cut to keep what stands there. A book that
// cannot be replayed is reported and left alone.
func (s *shelf) replay(ctx context.Context, v *volume, to uint64) error {
	if !v.sheets.sealed && to >= v.cut.Seq {
		if err := s.follow(ctx, v, v.cut.Seq); err != nil || v.damaged {
			return err
		}
		v.sheets.seal()
	}
	return s.follow(ctx, v, to)
}

func (s *shelf) follow(ctx context.Context, v *volume, to uint64) error {
	if v.damaged || to <= v.core.Head().Seq {
		return nil
	}
	v.log.to = to
	err := book.Follow(ctx, v.core, v.log, v.sheets)
	if err == nil {
		err = book.SaveNow(ctx, v.core, v.sheets)
		v.core.Forget()
		return err
	}
	var impossible *book.PanicError
	switch {
	case errors.As(err, &impossible):
		v.found.wrong("I24", "%s cannot be replayed: %v", v.name, impossible)
	case v.found.damage(err) != nil:
		return err
	}
	v.damaged = true
	return nil
}

// volume rebuilds the tables of one book, compares those of the platform with them at the blocks that those stand for, and
// judges what stands at the cut.
func (s *shelf) volume(ctx context.Context, v *volume, judge func(*shelf, *volume) error) (err error) {
	s.open(v)
	defer func() { err = errors.Join(err, v.close()) }()
	for _, step := range []func(context.Context, *volume) error{s.compare, s.toCut, s.recoverCopy} {
		if err := step(ctx, v); err != nil || v.damaged {
			return err
		}
	}
	if err := s.check(ctx, v); err != nil {
		return err
	}
	return judge(s, v)
}

// compare compares the tables of a book with those that are rebuilt.
func (s *shelf) compare(ctx context.Context, v *volume) error {
	if s.Tables == nil {
		return nil
	}
	at, err := saved(ctx, s.Tables, v.name)
	if err != nil {
		return err
	}
	if err := s.replay(ctx, v, at.Seq); err != nil || v.damaged {
		return err
	}
	v.sheets.attic.Flush()
	v.found.count("I24", 1)
	for _, t := range s.Machine(v.n).Tables() {
		if v.n == 0 {
			if err := s.strange(ctx, v, t); err != nil {
				return err
			}
		}
		ok, err := s.compareTable(ctx, v, s.Tables, t, "")
		if err != nil || !ok {
			return err
		}
	}
	_, err = s.comparePosition(ctx, v)
	return err
}

// toCut brings the rebuilt tables to the cut, if they are not there or behind it.
func (s *shelf) toCut(ctx context.Context, v *volume) error {
	if err := s.replay(ctx, v, v.cut.Seq); err != nil || v.damaged {
		return err
	}
	v.sheets.attic.Flush()
	if head := v.core.Head(); v.cut.Seq > 0 && head.Seq <= v.cut.Seq {
		v.found.check(head == v.cut, "I7", "%s: the journal's head names block %d (%x), its blocks end at block %d (%x)", v.name,
			v.cut.Seq, v.cut.Hash[:8], head.Seq, head.Hash[:8])
	}
	return nil
}

// recoverCopy lets a copy of the platform's tables recover, as a start of the platform would, and compares it with the tables
// that were rebuilt from nothing.
func (s *shelf) recoverCopy(ctx context.Context, v *volume) (err error) {
	if !s.again || s.Tables == nil {
		return nil
	}
	dir, err := os.MkdirTemp(s.dir, "copy-")
	if err != nil {
		return fmt.Errorf("verify: make room for a copy: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(dir, "copy.db"), Durability: store.Relaxed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	state, err := s.Prepare(ctx, db)
	if err != nil {
		return err
	}
	at, err := s.copyVolume(ctx, v, db)
	if err != nil {
		return err
	}
	if err := s.replay(ctx, v, at.Seq); err != nil || v.damaged {
		return err
	}
	quiet := &limited{Journal: s.log, to: v.core.Head().Seq, tell: func(int) {}}
	core, err := book.Recover(ctx, v.name, v.n, s.Machine(v.n), quiet, state)
	if isDamage(err) {
		v.found.wrong("I24", "%s does not recover from its tables: %v", v.name, err)
		return nil
	}
	if err == nil {
		err = book.SaveNow(ctx, core, state)
	}
	if err != nil {
		return err
	}
	for _, t := range s.Machine(v.n).Tables() {
		if ok, err := s.compareTable(ctx, v, db, t, "recovered, "); err != nil || !ok {
			return err
		}
	}
	return nil
}
