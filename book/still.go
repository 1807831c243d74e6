package book

import (
	"context"

	"github.com/koban-pay/koban/fault"
)

// Still returns a book that stands still: it is read as the tables have it and the journal goes on from there, and takes
// nothing over. c.Writer must be one of its own, whose log refuses to be written. Reads are answered; what leads to an
// event waits for ever, or for its ctx.
//
// Errors: those of Recover, if the tables do not fit the journal and cannot be emptied for it: give it a MemState then, and
// it follows the journal from its first block on.
func Still(ctx context.Context, c Config) (*Book, error) {
	b := newBook(c)
	core, err := Recover(ctx, b.name, c.Volume, c.Machine, c.Log, c.State)
	if err != nil {
		return nil, err
	}
	b.core = core
	if !b.writer.join(b) {
		return nil, fault.ShuttingDown.New("")
	}
	return b, nil
}
