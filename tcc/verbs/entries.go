package verbs

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// Log reads blocks back: *journal.Journal, or a test's.
type Log interface {
	Read(ctx context.Context, book string, from uint64, limit int) ([]*journal.Block, error)
}

// Entries returns what the blocks that receipts name did for a payment, in the order of the receipts, each
// block once: for explaining it. told tells what one event of a volume's book did, and for which branch; a
// nil branch is another's.
//
// Errors: data_damaged (no such book or block, or an event that is not understood), and what reading the
// journal gives.
func (v *Verbs) Entries(ctx context.Context, log Log, t id.Tenant, payment id.ID, receipts []tcc.Receipt,
	told func(volume int, e journal.Event) (tcc.Branch, []tcc.Entry, error),
) (out []tcc.Entry, _ error) {
	seen := map[tcc.BlockRef]bool{}
	for _, r := range receipts {
		ref := tcc.BlockRef{Book: r.Book, Seq: r.Seq}
		if ref.Seq == 0 || seen[ref] { // 0: it was answered without a block
			continue
		}
		seen[ref] = true
		volume := slices.IndexFunc(v.Books, func(b Book) bool { return b.Name() == ref.Book })
		blocks, err := log.Read(ctx, ref.Book, ref.Seq, 1)
		if err != nil {
			return nil, err
		}
		if volume < 0 || len(blocks) != 1 {
			return nil, fault.DataDamaged.New("a receipt names block %d of book %s, which does not exist", ref.Seq, ref.Book)
		}
		b := blocks[0]
		for _, e := range b.Events {
			of, list, err := told(volume, e)
			if err != nil {
				return nil, fault.DataDamaged.New("book %s: block %d is not understood", b.Book, b.Seq).Because(err)
			}
			if of.Tenant != t || of.Payment() != payment.Root() {
				continue
			}
			for _, x := range list {
				x.Book, x.Seq, x.At, x.Hash = b.Book, b.Seq, b.At, b.Hash
				out = append(out, x)
			}
		}
	}
	return out, nil
}
