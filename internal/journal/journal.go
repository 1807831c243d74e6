package journal

import (
	"context"

	"github.com/koban-pay/koban/internal/store"
)

// Journal is the record in one database. It is safe for concurrent use.
type Journal struct{ db *store.DB }

// Open brings the journal's tables in db up to date and returns the journal.
func Open(ctx context.Context, db *store.DB) (*Journal, error) { panic("skeleton") }

// Head returns the last block of book; Seq 0 if it has none.
func (j *Journal) Head(ctx context.Context, book string) (Head, error) { panic("skeleton") }

// Heads returns the head of every book, ordered by name.
func (j *Journal) Heads(ctx context.Context) ([]Head, error) { panic("skeleton") }

// Read returns up to limit blocks of book from number from (at least 1) on, in order, each verified and chained to the one before. The
// caller compares the first one's Prev with what it knows. None: from is past the head.
func (j *Journal) Read(ctx context.Context, book string, from uint64, limit int) ([]*Block, error) {
	panic("skeleton")
}

// Fix stores value under name unless something stands there, and returns what stands there: for constants of the
// platform that are chosen once, when it is created.
func (j *Journal) Fix(ctx context.Context, name string, value []byte) ([]byte, error) {
	panic("skeleton")
}

// Note is personal data that stands beside the record.
type Note struct {
	Tenant  uint32
	Service string
	ID      []byte
	Body    []byte
}

// Note returns the body of a note, and false if there is none or it was erased.
func (j *Journal) Note(ctx context.Context, tenant uint32, service string, id []byte) ([]byte, bool, error) {
	panic("skeleton")
}

// EraseNote erases a note; that there is none is no error.
func (j *Journal) EraseNote(ctx context.Context, tenant uint32, service string, id []byte) error {
	panic("skeleton")
}
