package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/koban-pay/koban/book/journal"
)

// tailBlocks is how many blocks at the end of each book a light judgement reads.
const tailBlocks = 256

// Light judges what takes seconds however many payments there are: that every book has a head and all blocks up to it, that
// the last blocks are chained and unchanged, that the tables stand for blocks that the journal has, and that the accounts of
// every book sum to nothing. The report says what was left out.
//
// Errors: as Run.
func Light(ctx context.Context, c Config) (*Report, error) {
	c.Resume, c.Rebuild = "", false
	r := &run{
		Config: c, found: newFindings(), compared: newFindings(), progress: &progress{tell: c.Progress},
		cut: map[string]journal.Head{},
	}
	for _, s := range c.Services {
		r.shelves = append(r.shelves, r.newShelf(s))
	}
	for _, step := range []func(context.Context) error{r.begin, r.heads, r.tail, r.tails, r.positions, r.sums} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	out := r.report()
	out.Light = true
	out.NotChecked = append([]string{fmt.Sprintf("blocks before the last %d of each book, rows of tables, and what holds between "+
		"books: run koban verify without --light", tailBlocks)}, out.NotChecked...)
	return out, nil
}

// heads requires every book to have all blocks up to its head, and none without one.
func (r *run) heads(ctx context.Context) error {
	for name, h := range r.cut {
		if _, err := r.Journal.Head(ctx, name); err != nil && r.found.damage(err) != nil {
			return err
		}
		n, err := countBlocks(ctx, r.Record, name, h.Seq)
		if err != nil {
			return err
		}
		r.found.check(n == int64(h.Seq), "I7", "%s has %d blocks, and its head names block %d", name, n, h.Seq)
	}
	strays, err := r.Journal.Strays(ctx)
	for _, name := range strays {
		r.found.wrong("I7", "%s has blocks and no head", name)
	}
	return err
}

// tails requires the last blocks of every book to be chained and unchanged.
func (r *run) tails(ctx context.Context) error {
	r.progress.begin("reading the last blocks", int64(len(r.cut)*tailBlocks))
	for _, name := range slices.Sorted(maps.Keys(r.cut)) {
		seq := r.cut[name].Seq
		blocks, err := r.Journal.Read(ctx, name, max(seq, tailBlocks)-tailBlocks+1, tailBlocks)
		if err = r.found.damage(err); err != nil {
			return err
		}
		r.found.count("I7", int64(len(blocks)))
		r.progress.blocks(tailBlocks)
	}
	return nil
}

// positions requires the tables of every book to stand for a block that the journal has.
func (r *run) positions(ctx context.Context) error {
	for _, s := range r.shelves {
		for _, v := range s.volumes {
			if s.Tables == nil {
				continue
			}
			h, err := saved(ctx, s.Tables, v.name)
			if err != nil {
				return err
			}
			if h.Seq == 0 {
				continue
			}
			blocks, err := r.Journal.Read(ctx, v.name, h.Seq, 1)
			if err = r.found.damage(err); err != nil {
				return err
			}
			r.found.check(len(blocks) == 1 && blocks[0].Hash == h.Hash, "I24",
				"the tables of %s stand for block %d (%x), which the journal does not have", v.name, h.Seq, h.Hash[:8])
		}
	}
	return nil
}

// sums requires the accounts of every book to sum to nothing, in every currency.
func (r *run) sums(ctx context.Context) error {
	for _, s := range r.shelves {
		table := map[string]string{Balance: "balance_accounts", Points: "points_accounts"}[s.Name]
		if table == "" || s.Tables == nil {
			continue
		}
		r.progress.begin("adding up "+table, 0)
		list, err := sumAccounts(ctx, s.Tables, table, s.Name == Balance)
		if err != nil {
			return err
		}
		for _, x := range list {
			r.found.check(x.sum == "0", "I2", "the %d accounts of tenant %d in volume %d of %s, in currency %d, sum to %s, not to 0",
				x.accounts, x.tenant, x.volume, s.Name, x.currency, x.sum)
		}
	}
	return nil
}
