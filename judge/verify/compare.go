package verify

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/judge/reader"
)

// pageRows is how many rows are read in one snapshot: a reader that stays holds up the checkpoints of a running platform.
const pageRows = 1000

// sheetOf says what is read of a machine's table.
func sheetOf(t book.Table) reader.Sheet {
	_, byDay := t.(*book.Keys)
	return reader.Sheet{Name: book.TableName(t), Columns: book.ColumnsOf(t), ByDay: byDay}
}

// comparison is one table of one book that is compared with the rebuilt one, a page at a time. Between two pages the
// platform may save again: then more of the journal is replayed, up to the block that the next page stands for.
type comparison struct {
	*shelf
	v     *volume
	from  *store.DB
	sheet reader.Sheet
	which string // stands before what differs
	want  *rows  // of the rebuilt table; nil: something was replayed since
	past  []byte // the key of the last row that was compared
	count int64
}

// compareTable compares one volume of a table in db with what the journal gives. ok is false if the tables stand for a block
// that the journal does not have, which has been told.
func (s *shelf) compareTable(ctx context.Context, v *volume, db *store.DB, t book.Table, which string) (ok bool, err error) {
	c := &comparison{shelf: s, v: v, from: db, sheet: sheetOf(t), which: which}
	defer func() { v.found.count("I24", c.count) }()
	for place := (reader.Place{}); ; {
		page, end, h, err := reader.Page(ctx, db, v.name, v.n, c.sheet, place, pageRows)
		if err != nil {
			return false, err
		}
		if ok, err := c.reach(ctx, h); err != nil || !ok {
			return false, err
		}
		for i := range page {
			c.row(&page[i])
		}
		s.progress.rows(len(page))
		if len(page) == 0 {
			c.missing(nil)
			return true, v.sheets.attic.Err()
		}
		place = end
	}
}

// reach replays the journal up to the block that a page stands for.
func (c *comparison) reach(ctx context.Context, h journal.Head) (ok bool, err error) {
	at := c.v.core.Head()
	switch {
	case h.Seq < at.Seq:
		return false, errBehind(c.v.name, h, at.Seq)
	case h.Seq > at.Seq:
		c.want = nil
		if ok, err := c.stand(ctx, c.v, h); err != nil || !ok {
			return false, err
		}
	}
	if c.want == nil {
		c.want = c.v.sheets.from(c.sheet.Name, c.past)
		if c.want.on && c.past != nil && bytes.Equal(c.want.key, c.past) {
			c.want.next()
		}
	}
	return true, nil
}

// stand replays a book up to the block that its tables stand for, and requires the journal to have that block.
func (s *shelf) stand(ctx context.Context, v *volume, h journal.Head) (ok bool, err error) {
	if err := s.replay(ctx, v, h.Seq); err != nil || v.damaged {
		return false, err
	}
	at := v.core.Head()
	v.found.check(at == h, "I24", "the tables of %s stand for block %d (%x), which the journal does not have: it ends at block %d (%x)",
		v.name, h.Seq, h.Hash[:8], at.Seq, at.Hash[:8])
	return at == h, nil
}

// row compares one row.
func (c *comparison) row(r *reader.Row) {
	day := noDay
	if c.sheet.ByDay {
		day, _ = r.Values[0].(int64)
	}
	key := rowKey(r.Key, day)
	c.missing(key)
	c.past = key
	c.count++
	if !c.want.on || !bytes.Equal(c.want.key, key) {
		c.differ("%s has a row that the journal does not give: %s", c.sheet.Name, rowName(key))
		return
	}
	if have := pack(nil, r.Values); !bytes.Equal(have, c.want.row) {
		c.columns(key, unpack(have), unpack(c.want.row))
	}
	c.want.next()
}

// missing tells of the rows before a key that the journal gives, of all that are left if there is none.
func (c *comparison) missing(before []byte) {
	for ; c.want.on && (before == nil || bytes.Compare(c.want.key, before) < 0); c.want.next() {
		c.count++
		c.differ("%s lacks a row that the journal gives: %s", c.sheet.Name, rowName(c.want.key))
	}
}

func (c *comparison) columns(key []byte, have, want []any) {
	for i, column := range c.sheet.Columns {
		if x, y := text(have[i]), text(want[i]); x != y {
			c.differ("%s, %s: %s is %s, and the journal gives %s", c.sheet.Name, rowName(key), column, x, y)
		}
	}
}

func (c *comparison) differ(format string, args ...any) {
	c.v.found.wrong("I24", "%s: %s%s", c.v.name, c.which, fmt.Sprintf(format, args...))
}

// rowName tells which row a key is of.
func rowName(key []byte) string {
	k, day := keyOf(key)
	if day == noDay {
		return fmt.Sprintf("tenant %d, id %x", k.Tenant, k.ID)
	}
	return fmt.Sprintf("tenant %d, day %d, id %x", k.Tenant, day, k.ID)
}

func text(v any) string {
	switch v := v.(type) {
	case []byte:
		return fmt.Sprintf("%x", v)
	case string:
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprint(v)
}

// strange tells of columns of a table that this version does not know.
func (s *shelf) strange(ctx context.Context, v *volume, t book.Table) error {
	sheet := sheetOf(t)
	columns, err := columnsOf(ctx, s.Tables, sheet.Name)
	if err != nil {
		return err
	}
	for _, c := range columns {
		if c != "tenant" && c != "volume" && c != "id" && !slices.Contains(sheet.Columns, c) {
			v.found.wrong("I24", "%s has a column %s that this version does not know", sheet.Name, c)
		}
	}
	return nil
}

// positionColumns are the columns of the row that says what the tables of a book stand for.
var positionColumns = []string{"book", "seq", "hash", "epoch", "at", "newest", "fold"}

// comparePosition compares what the tables of a book say of themselves with what the journal gives. The clock of the book and
// the newest time in an id decide what is taken for new without a look. Tables that were just built anew name the fold version
// that built them, which the journal does not know before that program has written a block.
func (s *shelf) comparePosition(ctx context.Context, v *volume) (ok bool, err error) {
	have, h, err := position(ctx, s.Tables, v.name)
	if err != nil {
		return false, err
	}
	if h.Seq < v.core.Head().Seq {
		return false, errBehind(v.name, h, v.core.Head().Seq)
	}
	if ok, err := s.stand(ctx, v, h); err != nil || !ok || have == nil {
		return ok, err
	}
	p := v.sheets.at
	want := []any{v.name, int64(p.Head.Seq), p.Head.Hash[:], int64(p.Head.Epoch), int64(p.At), int64(p.Newest), int64(p.Fold)}
	for i, c := range positionColumns {
		x, y := text(have[i]), text(want[i])
		if x != y && (c != "fold" || x != text(int64(s.Machine(v.n).Version()))) {
			v.found.wrong("I24", "%s: book_saved: %s is %s, and the journal gives %s", v.name, c, strings.Trim(x, `"`), strings.Trim(y, `"`))
		}
	}
	return true, nil
}
