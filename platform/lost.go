package platform

import (
	"context"
	"fmt"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
)

// Tables never stand for a block that is not durable (rule B10). So tables that stand for more than the
// journal holds are evidence, and the last there is, that durable blocks are gone: the journal was cut, or is
// another one than it was. They are set apart, whole, and new ones are built from the journal. But what
// callers were told is gone with the blocks, and a person has to know. Tables that are behind say nothing:
// after a kill or a loss of power, they always are.

// BlocksLost is what /healthz calls a platform that has found, when it started, that its journal has lost blocks.
const BlocksLost = "blocks_lost"

// missBlocks looks for blocks that tables stand for and the journal does not have, before the tables are
// rebuilt, raises the alarm, and says whether there were any.
//
// Errors: the store's and the journal's.
func (a *App) missBlocks(ctx context.Context, t *tables) (lost bool, err error) {
	saved, err := positions(ctx, t.db) // before the journal is read: the writer before may still be at work
	if store.Missing(err) {
		return false, nil // they do not say what they stand for, or are new
	}
	if err != nil {
		return false, fmt.Errorf("the tables of %s: %w", t.Name, err)
	}
	for _, at := range saved {
		missed, err := a.missBlock(ctx, at)
		if err != nil {
			return lost, err
		}
		lost = lost || missed
	}
	return lost, nil
}

// missBlock raises the alarm, and says so, if the journal does not have the block that tables stand for.
func (a *App) missBlock(ctx context.Context, at journal.Head) (missed bool, err error) {
	head, err := a.log.Head(ctx, at.Book)
	if err != nil {
		return false, err
	}
	stands := head.Hash
	if head.Seq > at.Seq { // the tables are behind
		found, err := a.log.Read(ctx, at.Book, at.Seq, 1)
		if err != nil {
			return false, err
		}
		stands = found[0].Hash
	}
	if head.Seq >= at.Seq && stands == at.Hash {
		return false, nil
	}
	why, n := "the journal ends before", int64(at.Seq)-int64(head.Seq)
	if n < 1 {
		why, n = "the journal has another block in its place", 1 // and may have more; nobody can tell
	}
	a.lost.Add(n)
	a.Log.Error("the journal has lost blocks that were durable: payments that were acknowledged may be gone. Stop the platform and "+
		"keep a copy of its store. Compare it with the last checkpoint that was exported (koban verify --checkpoint FILE), look for what "+
		"cut it (a backup that was put back, a disk, a file that was changed), and restore a backup that has the blocks. "+
		"The tables follow what is left; those that knew more are set apart. At the next start nothing else "+
		"shows it but the checkpoint",
		"book", at.Book, "tables_at", at.Seq, "journal_at", head.Seq, "because", why)
	return true, nil
}

var lostDesc = describe("journal_lost_blocks", "Durable blocks that the state tables knew of at the start of the process and the journal does not have. Must be 0.")

// wrong says what is found to be wrong while the platform serves.
func (a *App) wrong() []string {
	wrong := a.degraded()
	if a.lost.Load() > 0 {
		wrong = append(wrong, BlocksLost)
	}
	wrong = append(wrong, a.pages.wrong()...)
	return append(wrong, a.Payment.Wrong()...)
}
