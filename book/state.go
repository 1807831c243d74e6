package book

import (
	"cmp"
	"context"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// State is where the tables of a service's books are kept. They follow the journal and can be rebuilt from it (rule
// B10). The one in production is SQLState; the simulator has one in memory.
type State interface {
	// Saved returns the block that the tables of a book stand for; the zero position for a new book.
	Saved(ctx context.Context, book string) (Position, error)
	// Load fetches rows in one snapshot, one read per table, and the position they stand for. The result has one
	// entry per want, nil where there is no row.
	Load(ctx context.Context, book string, volume int, wants []Want) ([]any, Position, error)
	// DueBefore returns up to limit rows of a table that come after the given one in the order of due time, tenant and
	// id, and are due before the given time.
	DueBefore(ctx context.Context, volume int, t Table, after DueRow, before clock.Micros, limit int) ([]DueRow, error)
	// Segments lists what an index of keys has: the months whose filters are kept, and the days that are in none of them.
	// SegmentKeys reads up to limit keys of a day, after the given one and in order. Both return what the tables stood for
	// in the same snapshot. CountKeys counts the keys of a segment.
	Segments(ctx context.Context, book string, volume int, k *Keys) ([]Segment, Position, error)
	SegmentKeys(ctx context.Context, book string, volume int, k *Keys, day Segment, after id.ID, limit int) ([]id.ID, Position, error)
	CountKeys(ctx context.Context, volume int, k *Keys, s Segment) (int, error)
	// Filter returns the filter that is kept for a month, the zero value if there is none. KeepFilter keeps one, in the
	// place of the one before.
	Filter(ctx context.Context, volume int, k *Keys, month Segment) (KeptFilter, error)
	KeepFilter(ctx context.Context, volume int, k *Keys, month Segment, f KeptFilter) error
	// Save writes the snapshots of several books in one transaction. It returns the books whose tables no longer
	// stand where the snapshot started from: another writer has saved them.
	Save(ctx context.Context, sets []*SaveSet) (lost []string, err error)
	// Wipe empties the tables of a book, to rebuild them, and drops the filters kept beside them.
	Wipe(ctx context.Context, book string, volume int, tables []Table) error
}

// Position is a block, and what else has to be known to go on from it.
type Position struct {
	Head   journal.Head
	At     clock.Micros // time of the block
	Newest clock.Micros // the latest time in the id of any row
	Fold   uint32       // the highest fold version that the book was opened by
}

// DueRow is a row that is due.
type DueRow struct {
	Key Key
	At  clock.Micros
}

// Compare orders rows by due time, tenant and id.
func (d DueRow) Compare(e DueRow) int {
	return cmp.Or(cmp.Compare(d.At, e.At), cmp.Compare(d.Key.Tenant, e.Key.Tenant), d.Key.ID.Compare(e.Key.ID))
}

// SaveSet is what changed in one book's tables between two blocks.
type SaveSet struct {
	Book   string
	Volume int
	From   journal.Head
	To     journal.Head
	At     clock.Micros
	Newest clock.Micros
	Fold   uint32
	Whole  bool // nobody knows which rows are in the tables, and how they stand there
	Tables []TableSave
}

// TableSave is what changed in one table: Args holds the values of the columns (and the due time, if the table has
// one) for each key in turn.
type TableSave struct {
	table *tableBase
	Keys  []Key
	Args  []any
	Fresh int // how many rows, the first ones, are not in the tables
	Moved int // how many, the next ones, are there with another due time
	room  []byte
}

// keep copies bytes of a row, which goes on changing while it is saved.
func (t *TableSave) keep(b []byte) []byte {
	if len(b) > cap(t.room)-len(t.room) {
		t.room = make([]byte, 0, max(4096, len(b)))
	}
	from := len(t.room)
	t.room = append(t.room, b...)
	return t.room[from:len(t.room):len(t.room)]
}

// Name returns the SQL table's name.
func (t *TableSave) Name() string { return t.table.table }

// Width returns how many values each key has in Args.
func (t *TableSave) Width() int { return t.table.width() }

func (b *tableBase) width() int {
	if b.timed {
		return len(b.columns) + 1
	}
	return len(b.columns)
}

// TableName returns the name of a machine's table.
func TableName(t Table) string { return t.base().table }

// ColumnsOf returns the columns that Args of a TableSave has values for, in their order: those of the schema, and the due
// time if the table has one.
func ColumnsOf(t Table) []string {
	b := t.base()
	out := append([]string(nil), b.columns...)
	if b.timed {
		out = append(out, "due")
	}
	return out
}

// RowOf makes of a row's values, in the order of ColumnsOf, what State.Load returns.
//
// Errors: a value that does not fit its column.
func RowOf(t Table, args []any) (any, error) {
	return t.scan(func(dest ...any) error { return assign(dest, args) })
}

// ByDay reports whether the first value of a row stands in its primary key, before the id: the day of a caller's key.
func (t *TableSave) ByDay() bool { return t.table.segmented }
