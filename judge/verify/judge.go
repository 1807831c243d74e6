package verify

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/judge"
	"github.com/koban-pay/koban/judge/reader"
)

// keep is how long what has ended is kept in memory while a journal is judged, and full of how many payments at most; then it
// goes to the attic, of which atticRoom bytes are in memory.
const (
	keep      = clock.Minute
	full      = 20_000
	atticRoom = 64 << 20
)

// audit has the one judge follow every book from its first block to the cut, and compare every rebuilt row with what the journal
// says by rules of its own.
type audit struct {
	*run
	attic *attic.Attic
	mu    sync.Mutex // rows of several books are shown at the same time
	judge *judge.Judge
	whole bool // every book could be followed to the cut
}

func (r *run) newAudit() *audit {
	volumes := 1
	for _, s := range r.shelves {
		volumes = max(volumes, s.Volumes)
	}
	a := &audit{run: r, attic: attic.New(r.dir, atticRoom), whole: true}
	a.judge = judge.New(judge.Config{
		Volumes: volumes, IDs: r.IDs, Keep: keep, Full: full, Remember: math.MaxInt,
		Attic: a.attic, Deep: true, Found: r.found.violation,
	})
	return a
}

func (a *audit) close() error { return a.attic.Close() }

// follow judges all books up to the cut.
func (a *audit) follow(ctx context.Context) error {
	to := map[string]uint64{}
	for _, s := range a.shelves {
		for _, v := range s.volumes {
			to[v.name] = v.cut.Seq
		}
	}
	a.progress.begin("judging the journal", a.blocks)
	f := reader.Follower{Journal: a.Journal, Judge: a.judge, Ahead: true, Read: func(blocks int) {
		a.found.count("I7", int64(blocks))
		a.progress.blocks(blocks)
	}}
	// The replay says what is damaged.
	err := f.Advance(ctx, to, func(string, error) error { a.whole = false; return nil })
	if err == nil && a.whole {
		a.judge.Cut()
		a.judge.Sums()
		a.judge.Sweep()
	}
	for invariant, n := range a.judge.Checked() {
		a.found.count(invariant, n)
	}
	return errors.Join(err, a.attic.Err())
}

// show shows the judge the rebuilt rows of one book, as they stand at the cut.
func (a *audit) show(s *shelf, v *volume) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.whole {
		return nil
	}
	before := maps.Clone(a.judge.Checked())
	a.judge.Found = v.found.violation
	defer func() {
		for invariant, n := range a.judge.Checked() {
			v.found.count(invariant, n-before[invariant])
		}
		a.judge.Found = a.found.violation
	}()
	for _, t := range a.judge.Tables(s.Name) {
		columns := columnsAt(s.Machine(v.n), t)
		values := make([]any, len(columns))
		var all []any
		err := v.sheets.below(t.Name, func(key, row []byte) error {
			all = unpackInto(all[:0], row)
			for i, at := range columns {
				values[i] = all[at]
			}
			k, _ := keyOf(key)
			a.judge.Row(v.name, judge.RowKey{Table: t.Name, Key: k}, values)
			return nil
		})
		if err != nil {
			return err
		}
	}
	a.judge.Swept(s.Name, v.n, math.MaxInt64)
	return a.attic.Err()
}

// columnsAt returns where in a rebuilt row the columns stand that the judge compares.
func columnsAt(m book.Machine, t *judge.Table) (at []int) {
	list := m.Tables()
	i := slices.IndexFunc(list, func(x book.Table) bool { return book.TableName(x) == t.Name })
	all := book.ColumnsOf(list[i])
	for _, c := range t.Columns {
		at = append(at, slices.Index(all, c))
	}
	return at
}

// end says what only shows once all rows were shown.
func (a *audit) end() error {
	if a.whole {
		a.judge.Bound()
	}
	return a.attic.Err()
}
