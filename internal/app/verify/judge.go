package verify

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/points"
)

func sortBooks(names []string) { slices.Sort(names) }

// watch has every event of balance and payment seen as it is replayed.
func (r *run) watch(context.Context) error {
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			switch s.Name {
			case Balance:
				v.witness = &auditor{machine: s.Machine(v.n), audit: balance.NewAudit(), found: r.found}
			case Payment:
				v.witness = newWalker(s.Machine(v.n), r.found, r.IDs)
			}
		}
	}
	return nil
}

// auditor adds up the entries of a balance book by itself.
type auditor struct {
	machine book.Machine
	audit   *balance.Audit
	found   *findings
}

func (a *auditor) see(_ *journal.Block, e journal.Event) {
	ev, err := a.machine.Decode(e.Type, e.Body)
	if err != nil {
		return // the replay says so
	}
	a.audit.Add(ev)
	a.found.count("I1", 1)
}

// judge holds the rebuilt rows to the invariants: first book by book, then across books.
func (r *run) judge(ctx context.Context) error {
	sums := newSums()
	if err := r.judgeBalance(ctx, sums); err != nil {
		return err
	}
	if err := r.judgePoints(ctx, sums); err != nil {
		return err
	}
	if err := r.judgeCode(ctx); err != nil {
		return err
	}
	if err := r.judgeFeeds(ctx); err != nil {
		return err
	}
	return r.judgePayments(ctx, sums)
}

func (r *run) judgeBalance(ctx context.Context, sums *sums) error {
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
		m.EachAccount(func(k book.Key, a *balance.Account) {
			accounts++
			sums.account(k.Tenant, a.Kind.String(), a.Currency, a.Posted())
		})
		m.EachBranch(func(book.Key, *balance.Branch) { branches++ })
		for _, id := range []string{"I2", "I3", "I4", "I5", "I8"} {
			r.found.count(id, accounts)
		}
		r.found.count("I6", branches)
		for _, x := range append(balance.Check(m), v.witness.(*auditor).audit.Compare(m)...) {
			r.found.wrong(x.Invariant, "%s: %v: %s", v.name, x.Key, x.Message)
		}
	}
	return nil
}

func (r *run) judgePoints(ctx context.Context, sums *sums) error {
	s := r.shelf(Points)
	if s == nil {
		return nil
	}
	for _, v := range s.volumes {
		loaded, err := s.load(ctx, v.n)
		if err != nil {
			return err
		}
		m := loaded.(*points.Machine)
		m.EachAccount(func(k book.Key, a *points.Account) { sums.account(k.Tenant, a.Kind.String(), a.Currency, a.Posted()) })
		for _, f := range m.Check() {
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
