package verify

import (
	"context"
	"math"
	"slices"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/app/reader"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/judge"
	"github.com/koban-pay/koban/points"
)

func sortBooks(names []string) { slices.Sort(names) }

// audit has the one judge follow every book from its first block to the cut, and compare every rebuilt row with what the journal
// says by rules of its own.
func (r *run) audit(ctx context.Context) error {
	volumes := 1
	for _, s := range r.shelves {
		volumes = max(volumes, s.Volumes)
	}
	j := judge.New(judge.Config{Volumes: volumes, IDs: r.IDs, Keep: keep, Remember: remember, Found: r.found.violation})
	whole, to := true, map[string]uint64{}
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			to[v.name] = max(r.cut[v.name].Seq, v.log.told)
			whole = whole && !v.damaged
		}
	}
	f := reader.Follower{Journal: r.Journal, Judge: j}
	err := f.Advance(ctx, to, func(string, error) error { whole = false; return nil }) // the replay says what is damaged
	if err == nil && whole {
		j.Cut()
		j.Sums()
		err = r.rows(ctx, j)
	}
	for invariant, n := range j.Checked() {
		r.found.count(invariant, n)
	}
	return err
}

// keep is how long what has ended is kept in full while a journal is judged, and remember how many of its rows are compared.
const (
	keep     = clock.Hour
	remember = 1 << 21
)

// rows compares the rebuilt rows.
func (r *run) rows(ctx context.Context, j *judge.Judge) error {
	j.Sweep()
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			for _, t := range j.Tables(s.Name) {
				if err := s.show(ctx, j, v, t); err != nil {
					return err
				}
			}
			j.Swept(s.Name, v.n, math.MaxInt64)
		}
	}
	return nil
}

// show shows the judge one volume of a rebuilt table.
func (s *shelf) show(ctx context.Context, j *judge.Judge, v *volume, t *judge.Table) error {
	for at := (reader.Place{}); ; {
		rows, end, _, err := reader.Page(ctx, s.db, v.name, v.n, t, at, loadBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			j.Row(v.name, judge.RowKey{Table: t.Name, Key: row.Key}, row.Values)
		}
		at = end
	}
}

// judge holds the rebuilt rows to the invariants: first book by book, then across books.
func (r *run) judge(ctx context.Context) error {
	if err := r.judgeBalance(ctx); err != nil {
		return err
	}
	if err := r.judgePoints(ctx); err != nil {
		return err
	}
	if err := r.judgeCode(ctx); err != nil {
		return err
	}
	if err := r.judgeFeeds(ctx); err != nil {
		return err
	}
	return r.judgeKeys(ctx)
}

func (r *run) judgeBalance(ctx context.Context) error {
	s := r.shelf(Balance)
	if s == nil {
		return nil
	}
	for _, v := range s.volumes {
		loaded, err := s.load(ctx, v.n)
		if err != nil {
			return err
		}
		m := loaded.(*balance.Machine)
		var accounts, branches int64
		m.EachAccount(func(book.Key, *balance.Account) { accounts++ })
		m.EachBranch(func(book.Key, *balance.Branch) { branches++ })
		for _, id := range []string{"I2", "I4", "I5"} {
			r.found.count(id, accounts)
		}
		r.found.count("I6", branches)
		for _, x := range balance.Check(m) {
			r.found.wrong(x.Invariant, "%s: %v: %s", v.name, x.Key, x.Message)
		}
	}
	return nil
}

func (r *run) judgePoints(ctx context.Context) error {
	s := r.shelf(Points)
	if s == nil {
		return nil
	}
	for _, v := range s.volumes {
		loaded, err := s.load(ctx, v.n)
		if err != nil {
			return err
		}
		for _, f := range loaded.(*points.Machine).Check() {
			r.tell(v.name, f.Invariant, f.Checked, f.Violations)
		}
	}
	return nil
}

func (r *run) judgeCode(ctx context.Context) error {
	s := r.shelf(Code)
	if s == nil {
		return nil
	}
	for _, v := range s.volumes {
		loaded, err := s.load(ctx, v.n)
		if err != nil {
			return err
		}
		for _, f := range loaded.(*code.Machine).Check() {
			r.tell(v.name, f.Invariant, f.Checked, f.Violations)
		}
	}
	return nil
}

func (r *run) tell(name, invariant string, checked int, violations []string) {
	r.found.count(invariant, int64(checked))
	for _, what := range violations {
		r.found.wrong(invariant, "%s: %s", name, what)
	}
}

// judgeFeeds requires each feed to have followed blocks that exist.
func (r *run) judgeFeeds(ctx context.Context) error {
	for _, s := range r.shelves {
		of, ok := isFeed(s.Name)
		if !ok || r.shelf(s.Name) == nil {
			continue
		}
		positions, err := followed(ctx, s.db)
		if err != nil {
			return err
		}
		for n, at := range positions {
			name := book.Name(of, int(n))
			blocks, err := r.Journal.Read(ctx, name, at.Seq, 1)
			if err = r.damage(err); err != nil {
				return err
			}
			r.found.check(len(blocks) == 1 && blocks[0].Hash == at.Hash, "I25", "%s has numbered up to block %d (%x) of %s, which the journal does not have",
				s.Name, at.Seq, at.Hash[:8], name)
		}
	}
	return nil
}
