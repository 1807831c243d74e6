package bench

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"runtime/debug"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/id"
)

// The ledger's run: batches as large as those of TigerBeetle's own benchmark, over as many accounts.
const (
	batchSize = 8_000
	accounts  = 10_000
)

// bare is one book over the ledger, its journal and its table, and nothing else of the platform.
type bare struct {
	*bench
	journal *journal.Journal
	writer  *book.Writer
	saver   *book.Saver
	book    *book.Book
	state   *store.DB
	fresh   *id.Source
	failed  chan error
	undo    []func(context.Context) error
}

func (b *bench) openLedger(ctx context.Context, at *place) (subject, error) {
	b.tell("opening "+thousands(accounts)+" accounts", "")
	x := &bare{bench: b, fresh: id.NewSource(nil), failed: make(chan error, 1)}
	if err := x.open(ctx, at); err != nil {
		return nil, errors.Join(err, x.close(ctx))
	}
	return x, nil
}

func (x *bare) open(ctx context.Context, at *place) (err error) {
	record, err := at.open(ctx, "journal", store.Full, false)
	if err != nil {
		return err
	}
	x.undo = append(x.undo, func(context.Context) error { return record.Close() })
	if x.journal, err = journal.Open(ctx, record); err != nil {
		return err
	}
	if x.state, err = at.open(ctx, "transfers", store.Relaxed, false); err != nil {
		return err
	}
	x.undo = append(x.undo, func(context.Context) error { return x.state.Close() })
	if err := createAccounts(ctx, x.state); err != nil {
		return err
	}
	state, err := book.NewSQLState(ctx, x.state)
	if err != nil {
		return err
	}
	x.saver = book.NewSaver(state)
	x.undo = append(x.undo, func(context.Context) error { x.saver.Close(); return nil })
	x.writer = book.NewWriter(x.journal, x.clk, at.url != "", nil, book.Hooks{Fatal: x.fatal})
	x.undo = append(x.undo, func(ctx context.Context) error { x.writer.Close(ctx); return nil })
	x.book, err = book.Open(ctx, book.Config{
		Service: "transfers", Machine: newTransfers(), Log: x.journal, State: state, Clock: x.clk,
		Writer: x.writer, Saver: x.saver,
	})
	if err != nil {
		return err
	}
	return x.fund(ctx)
}

func (x *bare) fatal(err error) {
	select {
	case x.failed <- fmt.Errorf("%w\n%s", err, debug.Stack()):
	default:
	}
}

// fund opens the accounts and gives each what it will never run out of.
func (x *bare) fund(ctx context.Context) error {
	if _, err := x.book.Do(ctx, openAccounts{0, accounts + 1}); err != nil {
		return err
	}
	all := moveAll{ID: x.fresh.New(x.clk.Now(), 0)}
	for n := uint32(1); n <= accounts; n++ {
		all.Moves = append(all.Moves, moveOne{0, n, opening})
	}
	_, err := x.book.Do(ctx, all)
	return err
}

func (x *bare) caller(n int) (func(context.Context) (int64, error), error) {
	r := mrand.New(mrand.NewPCG(uint64(n), 1)) //nolint:gosec // it draws accounts, not secrets
	return func(ctx context.Context) (int64, error) {
		all := moveAll{ID: x.fresh.New(x.clk.Now(), 0), Moves: make([]moveOne, batchSize)}
		for i := range all.Moves {
			from := r.Uint32N(accounts)
			to := (from + 1 + r.Uint32N(accounts-1)) % accounts
			if x.Hot && i%2 == 0 && from != 0 {
				to = 0
			}
			all.Moves[i] = moveOne{from + 1, to + 1, 1}
		}
		reply, err := x.book.Do(ctx, all)
		if err != nil {
			select {
			case why := <-x.failed:
				err = why
			default:
			}
			return 0, err
		}
		if done := reply.(int); done != batchSize {
			return int64(done), fmt.Errorf("%d of %d transfers were refused", batchSize-done, batchSize)
		}
		return batchSize, nil
	}, nil
}

func (x *bare) figures() figures {
	j, s, b := x.journal.Stats(), x.saver.Stats(), x.book.Stats()
	return figures{
		commits: j.Commits, blocks: j.Blocks, bytes: j.Bytes, saves: map[string]int64{"transfers": s.Saves},
		rows: map[string]int64{"transfers": s.Rows}, lag: int64(b.Head - b.Saved),
	}
}

func (x *bare) rowBytes(ctx context.Context) (map[string]float64, error) {
	mean, err := meanRow(ctx, x.state, []string{accountSchema.Table})
	return map[string]float64{"transfers": mean}, err
}

// verify proves the chain, that debits are credits and as much as was moved, and that the table says the same.
func (x *bare) verify(ctx context.Context, done int64) error {
	if _, err := x.journal.Verify(ctx, x.book.Name(), nil); err != nil {
		return err
	}
	reply, err := x.book.Do(ctx, sumUp{accounts + 1})
	if err != nil {
		return err
	}
	const given = accounts * opening
	s := reply.(sums)
	if s.debits != s.credits || s.debits != given+done || s.touched != 2*uint64(accounts+done) {
		return fmt.Errorf("after %d transfers of ¥1 the accounts were debited %d and credited %d in %d entries, not %d", done, s.debits-given, s.credits-given,
			s.touched/2-accounts, done)
	}
	if err := x.saver.Sync(ctx); err != nil {
		return err
	}
	kept, err := sumAccounts(ctx, x.state)
	if err == nil && kept != s {
		err = fmt.Errorf("the table has %+v, memory has %+v", kept, s)
	}
	return err
}

func (x *bare) close(ctx context.Context) error {
	var errs []error
	for i := len(x.undo) - 1; i >= 0; i-- {
		errs = append(errs, x.undo[i](ctx))
	}
	return errors.Join(errs...)
}
