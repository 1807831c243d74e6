package journal

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// Journal is the record in one database. It is safe for concurrent use, but one goroutine calls Write.
type Journal struct {
	db      *store.DB
	clock   clock.Clock
	texts   *texts
	stats   stats
	trouble atomic.Pointer[trouble]
}

// formatName is the constant that holds the version of how blocks are stored.
const formatName = "journal.format"

// Open brings the journal's tables in db up to date and returns the journal. A db that was opened for reading is left as
// it is.
//
// Errors: those of store.DB.Migrate; and a journal in a format that this version does not write.
func Open(ctx context.Context, db *store.DB) (*Journal, error) {
	if err := db.Migrate(ctx, schema()); err != nil {
		return nil, err
	}
	j := &Journal{db: db, clock: db.Clock(), texts: newTexts(db.Engine())}
	mine := fmt.Sprint(Format)
	format, ok, err := j.Constant(ctx, formatName)
	if err == nil && !ok && !db.ReadOnly() {
		format, err = j.Fix(ctx, formatName, []byte(mine))
	}
	if err != nil {
		return nil, err
	}
	if len(format) > 0 && string(format) != mine {
		return nil, fmt.Errorf("journal: it is stored in format %s; this version of koban knows format %s", format, mine)
	}
	return j, nil
}

// Head returns the last block of book; Seq 0 if it has none.
//
// Errors: fault.DataDamaged if the head is not the last block that is stored; what the store returns.
func (j *Journal) Head(ctx context.Context, book string) (h Head, err error) {
	err = j.db.Read(ctx, func(tx *sql.Tx) error {
		if h, err = headOf(ctx, tx, book); err != nil {
			return err
		}
		return checkTail(ctx, tx, h)
	})
	return h, err
}

// checkTail compares a head with the blocks around it.
func checkTail(ctx context.Context, tx *sql.Tx, h Head) error {
	tail, _, err := storedBlocks(ctx, tx, h.Book, max(h.Seq, 1), 2)
	switch {
	case err != nil:
		return err
	case h.Seq == 0 && len(tail) == 0:
		return nil
	case len(tail) == 0 || tail[0].Seq > max(h.Seq, 1):
		return damaged(h.Book, h.Seq, "the head names it, but it is missing")
	case h.Seq == 0 || len(tail) > 1:
		return damaged(h.Book, h.Seq+1, "it stands beyond the head")
	case tail[0].Hash != h.Hash || tail[0].Epoch != h.Epoch:
		return damaged(h.Book, h.Seq, "the head names another block of this number")
	}
	return nil
}

// Heads returns the head of every book, ordered by name.
func (j *Journal) Heads(ctx context.Context) (out []Head, err error) {
	err = j.db.Read(ctx, func(tx *sql.Tx) error {
		out, err = allHeads(ctx, tx)
		return err
	})
	return out, err
}

// maxRead is the most blocks that Read returns at once; beyond maxReadBytes it returns no further block either.
const (
	maxRead      = 1024
	maxReadBytes = 16 << 20
)

// Read returns up to limit blocks (at most 1024, and not many more than 16 MiB) of book from number from (at least 1) on,
// in order, each one's hash recomputed and each chained to the one before. The caller compares the first one's Prev with
// what it knows. None: from is past the head.
//
// Errors: fault.DataDamaged, with a *Damage, if a block up to the head is missing, changed, or of another chain; what the
// store returns.
func (j *Journal) Read(ctx context.Context, book string, from uint64, limit int) (out []*Block, err error) {
	from, limit = max(from, 1), min(limit, maxRead)
	err = j.db.Read(ctx, func(tx *sql.Tx) error {
		head, err := headOf(ctx, tx, book)
		if err != nil || from > head.Seq || limit < 1 {
			return err
		}
		if left := head.Seq - from + 1; uint64(limit) > left {
			limit = int(left)
		}
		var cut bool
		if out, cut, err = storedBlocks(ctx, tx, book, from, limit); err != nil {
			return err
		}
		if cut {
			limit = len(out)
		}
		return checkChain(out, head, from, limit)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkChain requires blocks to be the limit blocks of head's chain from number from on.
func checkChain(blocks []*Block, head Head, from uint64, limit int) error {
	for i, b := range blocks {
		want := from + uint64(i)
		switch {
		case b.Seq != want:
			return damaged(head.Book, want, "it is missing")
		case i > 0 && b.Prev != blocks[i-1].Hash:
			return damaged(head.Book, want, "it does not follow the block before it")
		case i > 0 && b.Epoch < blocks[i-1].Epoch:
			return damaged(head.Book, want, "its epoch is lower than that of the block before it")
		case want == 1 && b.Prev != Hash{}:
			return damaged(head.Book, want, "the first block names one before it")
		}
		if err := b.Verify(); err != nil {
			return err
		}
		if want == head.Seq && b.Hash != head.Hash {
			return damaged(head.Book, want, "the head names another block of this number")
		}
	}
	if len(blocks) < limit {
		return damaged(head.Book, from+uint64(len(blocks)), "it is missing")
	}
	return nil
}

// Fix stores value under name unless something stands there, and returns what stands there: for constants of the
// platform that are chosen once, when it is created.
func (j *Journal) Fix(ctx context.Context, name string, value []byte) (stands []byte, err error) {
	err = j.db.Write(ctx, func(tx *sql.Tx) error {
		stands, err = fix(ctx, tx, name, value)
		return err
	})
	return stands, err
}

// Constant returns what stands under name, and false if nothing does.
func (j *Journal) Constant(ctx context.Context, name string) (value []byte, ok bool, err error) {
	err = j.db.Read(ctx, func(tx *sql.Tx) error {
		value, ok, err = constant(ctx, tx, name)
		return err
	})
	return value, ok, err
}

// Note is personal data that stands beside the record (rule B14). It is written with the block whose event refers to it, or
// not at all, and never again, so that what was erased does not come back.
type Note struct {
	Tenant  uint32
	Service string
	ID      []byte // unique in the tenant and service
	Body    []byte
}

// Note returns the body of a note, and false if there is none or it was erased.
func (j *Journal) Note(ctx context.Context, tenant uint32, service string, id []byte) (body []byte, ok bool, err error) {
	err = j.db.Read(ctx, func(tx *sql.Tx) error {
		body, ok, err = note(ctx, tx, tenant, service, id)
		return err
	})
	return body, ok, err
}

// EraseNotes erases notes of a service; that there is none is no error. Their bytes leave SQLite's files soon after, aside
// (store.DB.Erased); PostgreSQL gives them up when it vacuums the table.
func (j *Journal) EraseNotes(ctx context.Context, tenant uint32, service string, ids ...[]byte) error {
	err := j.db.Write(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if err := eraseNote(ctx, tx, tenant, service, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.db.Erased()
	return nil
}
