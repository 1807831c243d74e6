package book

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
)

// Recover returns a core that stands at the head of its journal: load, then replay; tables that do not fit the journal
// are rebuilt. It does not take the book over.
//
// Errors: fault.DataDamaged if the journal cannot be followed; fault.Unavailable if something cannot be read;
// fault.Fenced if another process goes on writing the book.
func Recover(ctx context.Context, name string, volume int, m Machine, log Log, state State) (*Core, error) {
	c := NewCore(name, volume, m)
	for range recoverTries {
		err := recoverCore(ctx, c, log, state)
		if !errors.Is(err, errMoved) {
			return c, err
		}
	}
	return nil, fault.Fenced.New("another process is writing book %s", name)
}

const recoverTries = 20

// errMoved says that another process has saved the tables meanwhile, so that rows and journal do not fit any more.
var errMoved = errors.New("book: the tables were saved by another process")

func recoverCore(ctx context.Context, c *Core, log Log, state State) error {
	at, err := state.Saved(ctx, c.name)
	if err != nil {
		return unreadable(c.name, err)
	}
	ok, err := stands(ctx, log, at.Head)
	if err != nil {
		return err
	}
	if !ok || at.Fold < c.machine.Version() && at.Head.Seq > 0 {
		if err := state.Wipe(ctx, c.name, c.volume, c.tables); err != nil {
			return fmt.Errorf("book %s: empty the tables to rebuild them: %w", c.name, err)
		}
		at = Position{Head: journal.Head{Book: c.name}}
	}
	c.Restore(at)
	if err := c.checkFold(); err != nil {
		return err
	}
	err = replay(ctx, c, log, state)
	c.replayed = c.head.Seq - at.Head.Seq
	c.rebuilt = at.Head.Seq == 0 && c.replayed > 0
	return err
}

// stands reports whether the journal has the block that the tables claim to stand for.
func stands(ctx context.Context, log Log, h journal.Head) (bool, error) {
	if h.Seq == 0 {
		return true, nil
	}
	blocks, err := log.Read(ctx, h.Book, h.Seq, 1)
	if err != nil {
		return false, err
	}
	return len(blocks) == 1 && blocks[0].Hash == h.Hash, nil
}

const (
	replayBatch = 256
	replaySave  = 20_000 // unsaved rows before the tables are saved during a long replay
)

func replay(ctx context.Context, c *Core, log Log, state State) error {
	for {
		blocks, err := log.Read(ctx, c.name, c.head.Seq+1, replayBatch)
		if err != nil || len(blocks) == 0 {
			return err
		}
		for _, b := range blocks {
			if err := replayBlock(ctx, c, b, state); err != nil {
				return err
			}
		}
		if c.UnsavedRows() > replaySave {
			if err := SaveNow(ctx, c, state); err != nil {
				return err
			}
		}
		if c.Resident() > replaySave {
			c.Forget()
		}
	}
}

func replayBlock(ctx context.Context, c *Core, b *journal.Block, state State) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = unfollowed(c, b, p)
		}
	}()
	for {
		wants, err := c.Replay(b)
		if err != nil || wants == nil {
			return err
		}
		rows, at, err := state.Load(ctx, c.name, c.volume, wants)
		switch {
		case err != nil:
			return unreadable(c.name, err)
		case at.Head != c.saved:
			return errMoved
		}
		for i, w := range wants {
			c.Install(w, rows[i])
		}
	}
}

// Understand reads what recovery would replay, and changes nothing: a program that is too old for one of its books must find
// out before it takes over any (rule B4).
//
// Errors: fault.DataDamaged if a later program has written the book, or an event is not known; fault.Unavailable if something
// cannot be read.
func Understand(ctx context.Context, name string, m Machine, log Log, state State) error {
	c := NewCore(name, 0, m)
	at, err := state.Saved(ctx, name)
	if err != nil {
		return unreadable(name, err)
	}
	if ok, err := stands(ctx, log, at.Head); err != nil || !ok {
		return err // the tables will be made anew from the first block, which finds out by itself
	}
	c.fold = at.Fold
	if err := c.checkFold(); err != nil {
		return err
	}
	for next := at.Head.Seq + 1; ; {
		blocks, err := log.Read(ctx, name, next, replayBatch)
		if err != nil || len(blocks) == 0 {
			return err
		}
		for _, b := range blocks {
			if _, err := c.events(b); err != nil {
				return err
			}
		}
		next += uint64(len(blocks))
	}
}

// unfollowed says why a block cannot be applied: either the tables are not what the book left at the block that they say they
// stand for, or the journal holds what cannot be.
func unfollowed(c *Core, b *journal.Block, p any) error {
	cause := &PanicError{Book: c.name, Command: fmt.Sprintf("block %d", b.Seq), Value: p, Stack: debug.Stack()}
	why := "leads to an impossible state"
	if m := (*MissingError)(nil); errors.As(cause, &m) {
		why = fmt.Sprintf("changes a row that is not there (%v)", m)
	}
	if c.saved.Seq == 0 {
		return fault.DataDamaged.New("book %s: block %d %s, from the first block on: the journal is damaged, run koban verify",
			c.name, b.Seq, why).Because(cause)
	}
	return fault.DataDamaged.New("book %s: block %d %s, and the tables say that they stand for block %d. They are not what the book "+
		"left there: move them away (the files of this service in the folder state, or its schema on PostgreSQL) and start again; "+
		"they are made anew from the journal", c.name, b.Seq, why, c.saved.Seq).Because(cause)
}

// SaveNow saves what is not in the tables yet, if the whole state is durable right now.
//
// Errors: the store's; errMoved if the tables are not where this core left them.
func SaveNow(ctx context.Context, c *Core, state State) error {
	set := c.Snapshot()
	if set == nil {
		return nil
	}
	lost, err := state.Save(ctx, []*SaveSet{set})
	if err != nil {
		return fmt.Errorf("book %s: save the tables: %w", c.name, err)
	}
	if len(lost) > 0 {
		return errMoved
	}
	c.Saved(set)
	return nil
}

// Follow has a core that stands where its tables do replay what the log has behind that.
//
// Errors: those of Recover.
func Follow(ctx context.Context, c *Core, log Log, state State) error {
	return replay(ctx, c, log, state)
}

// Commit seals what is open and writes it, on one thread: for tests, tools and the simulator.
func Commit(ctx context.Context, c *Core, log Log) error {
	block := c.Seal([16]byte{}, false)
	fate, err := log.Write(ctx, journal.Batch{Blocks: []*journal.Block{block}})
	if err != nil {
		return err
	}
	if fate.Fenced[0] {
		c.Fence()
		return nil
	}
	c.Landed()
	return nil
}

// Timed reports whether the rows of t have due times.
func Timed(t Table) bool { return t.base().timed }
