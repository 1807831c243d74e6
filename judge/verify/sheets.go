package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// sheets are the tables of one book that are being rebuilt: a book.State for one core, which replays the book from its first
// block on and never has to ask what is due or which keys there are.
//
// What is saved until seal is the state at the cut. What is saved after it lies above, and leaves that as it is.
type sheets struct {
	attic  *attic.Attic
	at     book.Position
	sealed bool
}

// errForward says that a core asked for what only a core that began at saved tables needs.
var errForward = errors.New("verify: the tables are only rebuilt")

// seal keeps what was saved until now as the state at the cut.
func (s *sheets) seal() {
	s.attic.Flush() // nothing is written to these shelves while they are read
	s.sealed = true
}

// above is what the name of a shelf has in front if it lies above the cut.
const above = "+"

// shelf returns where rows of a table are put.
func (s *sheets) shelf(table string) *attic.Shelf {
	if s.sealed {
		table = above + table
	}
	return s.attic.Shelf(table)
}

// get returns the row of a key.
func (s *sheets) get(table string, key []byte) ([]byte, bool) {
	if s.sealed {
		if v, ok := s.attic.Shelf(above + table).Get(key); ok {
			return v, true
		}
	}
	return s.attic.Shelf(table).Get(key)
}

// Saved implements book.State.
func (s *sheets) Saved(context.Context, string) (book.Position, error) { return s.at, nil }

// Load implements book.State.
func (s *sheets) Load(_ context.Context, _ string, _ int, wants []book.Want) ([]any, book.Position, error) {
	out := make([]any, len(wants))
	for i, w := range wants {
		days := w.Days
		if _, ok := w.Table.(*book.Keys); !ok {
			days = []int64{noDay}
		}
		for _, day := range days {
			row, ok := s.get(book.TableName(w.Table), rowKey(w.Key, day))
			if !ok {
				continue
			}
			v, err := book.RowOf(w.Table, unpack(row))
			if err != nil {
				return nil, s.at, err
			}
			out[i] = v
		}
	}
	return out, s.at, s.attic.Err()
}

// Save implements book.State.
func (s *sheets) Save(_ context.Context, sets []*book.SaveSet) (lost []string, err error) {
	var row []byte
	for _, set := range sets {
		for i := range set.Tables {
			t := &set.Tables[i]
			shelf, w := s.shelf(t.Name()), t.Width()
			for n, k := range t.Keys {
				args := t.Args[n*w : (n+1)*w]
				row = pack(row[:0], args)
				shelf.Put(rowKey(k, dayOf(t, args)), row)
			}
		}
		s.at = book.Position{Head: set.To, At: set.At, Newest: set.Newest, Fold: set.Fold}
	}
	return nil, s.attic.Err()
}

// Wipe implements book.State.
func (s *sheets) Wipe(context.Context, string, int, []book.Table) error { return errForward }

// DueBefore implements book.State.
func (s *sheets) DueBefore(context.Context, int, book.Table, book.DueRow, clock.Micros, int) ([]book.DueRow, error) {
	return nil, errForward
}

// Segments implements book.State.
func (s *sheets) Segments(context.Context, string, int, *book.Keys) ([]book.Segment, book.Position, error) {
	return nil, s.at, errForward
}

// SegmentKeys implements book.State.
func (s *sheets) SegmentKeys(context.Context, string, int, *book.Keys, book.Segment, id.ID, int) ([]id.ID, book.Position, error) {
	return nil, s.at, errForward
}

// CountKeys implements book.State.
func (s *sheets) CountKeys(context.Context, int, *book.Keys, book.Segment) (int, error) {
	return 0, errForward
}

// Filter implements book.State.
func (s *sheets) Filter(context.Context, int, *book.Keys, book.Segment) (book.KeptFilter, error) {
	return book.KeptFilter{}, errForward
}

// KeepFilter implements book.State.
func (s *sheets) KeepFilter(context.Context, int, *book.Keys, book.Segment, book.KeptFilter) error {
	return errForward
}

// noDay says that the rows of a table have no day in their key.
const noDay = int64(-1)

// dayOf returns the day of a caller's key: its table has it in front of the id.
func dayOf(t *book.TableSave, args []any) int64 {
	if !t.ByDay() {
		return noDay
	}
	return args[0].(int64)
}

// rowKey returns the key of a row, in the order of its table's primary key within one volume.
func rowKey(k book.Key, day int64) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+8+len(k.ID)), uint32(k.Tenant))
	if day != noDay {
		out = binary.BigEndian.AppendUint64(out, uint64(day))
	}
	return append(out, k.ID[:]...)
}

// keyOf is the inverse of rowKey.
func keyOf(key []byte) (k book.Key, day int64) {
	k.Tenant, day = id.Tenant(binary.BigEndian.Uint32(key)), noDay
	if len(key) > 4+len(k.ID) {
		day = int64(binary.BigEndian.Uint64(key[4:]))
	}
	copy(k.ID[:], key[len(key)-len(k.ID):])
	return k, day
}

// The kinds of values that a row has.
const (
	packedInt byte = iota
	packedText
	packedBytes
)

// pack appends values to out. SQLite's driver reads empty bytes as none: none and empty are the same.
func pack(out []byte, values []any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			out = binary.AppendVarint(append(out, packedInt), v)
		case string:
			out = append(binary.AppendUvarint(append(out, packedText), uint64(len(v))), v...)
		case []byte:
			out = append(binary.AppendUvarint(append(out, packedBytes), uint64(len(v))), v...)
		case nil:
			out = append(out, packedBytes, 0)
		default: // no engine has a column of another type
			out = pack(out, []any{fmt.Sprint(v)})
		}
	}
	return out
}

// unpack is the inverse of pack. Bytes are parts of row.
func unpack(row []byte) []any { return unpackInto(nil, row) }

// unpackInto appends what unpack returns to out, for whoever goes over many rows.
func unpackInto(out []any, row []byte) []any {
	if out == nil {
		out = make([]any, 0, 16)
	}
	for len(row) > 0 {
		kind := row[0]
		if row = row[1:]; kind == packedInt {
			v, n := binary.Varint(row)
			out, row = append(out, v), row[n:]
			continue
		}
		size, n := binary.Uvarint(row)
		b := row[n : n+int(size) : n+int(size)]
		row = row[n+int(size):]
		if kind == packedText {
			out = append(out, string(b))
		} else {
			out = append(out, b)
		}
	}
	return out
}

// below goes over the rows of a table at the cut, in the order of their keys.
func (s *sheets) below(table string, f func(key, row []byte) error) error {
	for c := s.attic.Shelf(table).Cursor(nil); c.Next(); {
		if err := f(c.Key(), c.Value()); err != nil {
			return err
		}
	}
	return s.attic.Err()
}

// rows goes over the rows of a table as they are now, in the order of their keys.
type rows struct {
	low, high     *attic.Cursor
	lowOn, highOn bool
	key, row      []byte
	on            bool
	sheets        *sheets
}

// from returns the rows of a table whose keys are not below a key, and stands at the first of them.
func (s *sheets) from(table string, key []byte) *rows {
	r := &rows{sheets: s, low: s.attic.Shelf(table).Cursor(key)}
	r.lowOn = r.low.Next()
	if s.sealed {
		r.high = s.attic.Shelf(above + table).Cursor(key)
		r.highOn = r.high.Next()
	}
	r.next()
	return r
}

// next goes on to the next row. on says whether there is one.
func (r *rows) next() {
	order := 0
	switch {
	case !r.lowOn && !r.highOn:
		r.on = false
		return
	case !r.highOn:
		order = -1
	case !r.lowOn:
		order = 1
	default:
		order = bytes.Compare(r.low.Key(), r.high.Key())
	}
	r.on = true
	if order >= 0 {
		r.key, r.row = append(r.key[:0], r.high.Key()...), append(r.row[:0], r.high.Value()...)
		r.highOn = r.high.Next()
	} else {
		r.key, r.row = append(r.key[:0], r.low.Key()...), append(r.row[:0], r.low.Value()...)
	}
	if order <= 0 {
		r.lowOn = r.low.Next()
	}
}

var _ book.State = (*sheets)(nil)

// errBehind says that a platform's tables stand for an earlier block than a moment ago.
func errBehind(name string, h journal.Head, was uint64) error {
	return fmt.Errorf("verify: the tables of %s went back from block %d to block %d: they are being rebuilt; verify again when that is done", name, was, h.Seq)
}
