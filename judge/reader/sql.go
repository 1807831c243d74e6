package reader

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/judge"
)

// Row is a row of a state table: the values of judge.Table.Columns.
type Row struct {
	Key    book.Key
	Values []any // nil: there is no such row
}

// Sheet is a state table, as far as it is read.
type Sheet struct {
	Name    string
	Columns []string // behind tenant, volume and id
	ByDay   bool     // its primary key has the day before the id, as those of callers' keys have
}

// Of returns what is read of a table that the judge compares.
func Of(t *judge.Table) Sheet { return Sheet{t.Name, t.Columns, t.ByDay()} }

// Place is a place in a table's order.
type Place struct {
	Key book.Key
	Day int64 // of a table of callers' keys

	past bool // behind the row of this key; else before it
}

// Saved returns the block that the tables of a book stand for, and its time; Seq 0 if nothing was saved yet.
func Saved(ctx context.Context, db *store.DB, name string) (h journal.Head, at int64, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		h, at, err = saved(ctx, tx, name)
		return err
	})
	return h, at, err
}

func saved(ctx context.Context, tx *sql.Tx, name string) (h journal.Head, at int64, err error) {
	h.Book = name
	var hash []byte
	err = tx.QueryRowContext(ctx, `SELECT seq, hash, epoch, at FROM book_saved WHERE book = $1`, name).Scan(&h.Seq, &hash, &h.Epoch, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return h, 0, nil
	}
	copy(h.Hash[:], hash)
	return h, at, err
}

// Page reads up to limit rows of one volume of a table behind a place, in order, and the block that the tables stand for, in one
// snapshot. An empty page: there are no more.
func Page(ctx context.Context, db *store.DB, name string, volume int, t Sheet, after Place, limit int) (rows []Row, end Place, h journal.Head, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, end = rows[:0], after
		if h, _, err = saved(ctx, tx, name); err != nil {
			return err
		}
		for len(rows) == 0 {
			if rows, end, err = pageOf(ctx, tx, volume, t, end, limit); err != nil || len(rows) > 0 {
				return err
			}
			var next sql.NullInt64
			if err := tx.QueryRowContext(ctx, "SELECT MIN(tenant) FROM "+t.Name+" WHERE tenant > $1", int64(end.Key.Tenant)).Scan(&next); err != nil {
				return err
			}
			if !next.Valid {
				return nil
			}
			end = Place{Key: book.Key{Tenant: id.Tenant(next.Int64)}, Day: -1}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("reader: read %s: %w", t.Name, err)
	}
	return rows, end, h, err
}

// pageOf reads the next rows of one tenant. A place without an id is before the first.
func pageOf(ctx context.Context, tx *sql.Tx, volume int, t Sheet, after Place, limit int) (out []Row, end Place, err error) {
	day, key := "0", "id > $3"
	args := []any{int64(after.Key.Tenant), int64(volume), after.Key.ID[:]}
	order := "id"
	if t.ByDay {
		day, key, order = "day", "(day, id) > ($4, $3)", "day, id"
		args = append(args, after.Day)
	}
	if !after.past {
		key = strings.Replace(key, ">", ">=", 1) // an id may be of zeros
	}
	text := fmt.Sprintf("SELECT id, %s, %s FROM %s WHERE tenant = $1 AND volume = $2 AND %s ORDER BY %s LIMIT %d", day,
		strings.Join(t.Columns, ", "), t.Name, key, order, limit)
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, after, err
	}
	defer rows.Close()
	end = after
	for rows.Next() {
		r := Row{Key: book.Key{Tenant: after.Key.Tenant}}
		var raw []byte
		if r.Values, err = scan(rows, len(t.Columns), &raw, &end.Day); err != nil {
			return nil, after, err
		}
		copy(r.Key.ID[:], raw)
		end.Key, end.past = r.Key, true
		out = append(out, r)
	}
	return out, end, rows.Err()
}

func scan(rows *sql.Rows, n int, before ...any) ([]any, error) {
	values := make([]any, n)
	for i := range values {
		before = append(before, &values[i])
	}
	return values, rows.Scan(before...)
}

// maxIn is how many ids one statement names.
const maxIn = 64

// Rows reads rows of one volume of a table by their keys, and the block that the tables stand for, in one snapshot.
func Rows(ctx context.Context, db *store.DB, name string, volume int, t Sheet, keys []book.Key) (out []Row, h journal.Head, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		if h, _, err = saved(ctx, tx, name); err != nil {
			return err
		}
		byTenant := map[id.Tenant][]book.Key{}
		for _, k := range keys {
			byTenant[k.Tenant] = append(byTenant[k.Tenant], k)
		}
		for tenant, list := range byTenant {
			for len(list) > 0 {
				n := min(len(list), maxIn)
				some, err := rowsOf(ctx, tx, tenant, volume, t, list[:n])
				if err != nil {
					return err
				}
				out, list = append(out, some...), list[n:]
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("reader: read %s: %w", t.Name, err)
	}
	return out, h, err
}

func rowsOf(ctx context.Context, tx *sql.Tx, tenant id.Tenant, volume int, t Sheet, keys []book.Key) ([]Row, error) {
	args := []any{int64(tenant), int64(volume)}
	marks := make([]string, len(keys))
	at := make(map[book.Key]int, len(keys))
	out := make([]Row, len(keys))
	for i, k := range keys {
		args = append(args, k.ID[:])
		marks[i] = fmt.Sprintf("$%d", i+3)
		at[k], out[i].Key = i, k
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT id, %s FROM %s WHERE tenant = $1 AND volume = $2 AND id IN (%s)", strings.Join(t.Columns, ", "), t.Name,
		strings.Join(marks, ", ")), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		values, err := scan(rows, len(t.Columns), &raw)
		if err != nil {
			return nil, err
		}
		k := book.Key{Tenant: tenant}
		copy(k.ID[:], raw)
		out[at[k]].Values = values
	}
	return out, rows.Err()
}
