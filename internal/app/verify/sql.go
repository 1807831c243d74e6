package verify

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/internal/store"
)

// standsFor returns the block that the tables of a book stand for; Seq 0 if nothing was saved yet.
func (w view) standsFor(ctx context.Context, name string) (h journal.Head, err error) {
	h.Book = name
	var hash []byte
	err = w.tx.QueryRowContext(ctx, `SELECT seq, hash, epoch FROM book_saved WHERE book = $1`, name).Scan(&h.Seq, &hash, &h.Epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return h, nil
	}
	copy(h.Hash[:], hash)
	return h, err
}

// saved is standsFor in a transaction of its own.
func saved(ctx context.Context, db *store.DB, name string) (h journal.Head, err error) {
	err = snapshot(ctx, db, func(w view) error {
		h, err = w.standsFor(ctx, name)
		return err
	})
	return h, err
}

// unsound returns what is wrong with the pages of a SQLite file, and where an index and its table differ (sqlite.org/pragma.html,
// integrity_check). PostgreSQL looks after its own.
func unsound(ctx context.Context, db *store.DB) (faults []string, err error) {
	if db.Engine() != store.SQLite {
		return nil, nil
	}
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, fmt.Sprintf("PRAGMA integrity_check(%d)", maxExamples))
		if err != nil {
			return fmt.Errorf("verify: check the file: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var what string
			if err := rows.Scan(&what); err != nil {
				return err
			}
			if what != "ok" {
				faults = append(faults, what)
			}
		}
		return rows.Err()
	})
	return faults, err
}

// view is a snapshot of a database.
type view struct{ tx *sql.Tx }

// snapshot calls f with a view of db.
func snapshot(ctx context.Context, db *store.DB, f func(view) error) error {
	return db.Read(ctx, func(tx *sql.Tx) error { return f(view{tx}) })
}

// order lists the columns of a table's key, behind the volume.
func order(t book.Table) string {
	if _, ok := t.(*book.Keys); ok {
		return "tenant, day, id"
	}
	return "tenant, id"
}

// cursor reads the rows of one volume of one table in the order of their keys.
type cursor struct {
	rows    *sql.Rows
	columns []string
	key     []int // places of the columns of the key
	values  []any
	done    bool
}

func (w view) open(ctx context.Context, t book.Table, volume int) (*cursor, error) {
	rows, err := w.tx.QueryContext(ctx, "SELECT * FROM "+book.TableName(t)+" WHERE volume = $1 ORDER BY "+order(t), int64(volume))
	if err != nil {
		return nil, fmt.Errorf("verify: read %s: %w", book.TableName(t), err)
	}
	c := &cursor{rows: rows}
	if c.columns, err = rows.Columns(); err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	for _, name := range strings.Split(order(t), ", ") {
		c.key = append(c.key, slices.Index(c.columns, name))
	}
	return c, c.next()
}

// next reads the next row.
func (c *cursor) next() error {
	if !c.rows.Next() {
		c.done = true
		return c.rows.Err()
	}
	c.values = make([]any, len(c.columns))
	into := make([]any, len(c.columns))
	for i := range into {
		into[i] = &c.values[i]
	}
	if err := c.rows.Scan(into...); err != nil {
		return err
	}
	for i, v := range c.values {
		if b, ok := v.([]byte); ok && b == nil {
			c.values[i] = []byte{} // SQLite's driver reads empty bytes as none, and writes none as NULL
		}
	}
	return nil
}

// compareKeys orders two rows of the same table by their keys.
func compareKeys(a, b *cursor) int {
	for i := range a.key {
		x, y := a.values[a.key[i]], b.values[b.key[i]]
		if raw, ok := x.([]byte); ok {
			other, _ := y.([]byte)
			if n := bytes.Compare(raw, other); n != 0 {
				return n
			}
			continue
		}
		p, _ := x.(int64)
		q, _ := y.(int64)
		if p != q {
			return int(min(1, max(-1, p-q)))
		}
	}
	return 0
}

// name tells which row the cursor is at.
func (c *cursor) name() string {
	parts := make([]string, len(c.key))
	for i, k := range c.key {
		parts[i] = c.columns[k] + " " + text(c.values[k])
	}
	return strings.Join(parts, ", ")
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

// compareTables compares one volume of a table with the one that was rebuilt. It returns how many rows it compared, and
// tells each difference.
func compareTables(ctx context.Context, have, want view, t book.Table, volume int, differ func(string)) (n int64, err error) {
	a, err := have.open(ctx, t, volume)
	if err != nil {
		return 0, err
	}
	defer a.rows.Close()
	b, err := want.open(ctx, t, volume)
	if err != nil {
		return 0, err
	}
	defer b.rows.Close()
	for ; !a.done || !b.done; n++ {
		order := 0
		switch {
		case a.done:
			order = 1
		case b.done:
			order = -1
		default:
			order = compareKeys(a, b)
		}
		switch {
		case order < 0:
			differ(fmt.Sprintf("%s has a row that the journal does not give: %s", book.TableName(t), a.name()))
		case order > 0:
			differ(fmt.Sprintf("%s lacks a row that the journal gives: %s", book.TableName(t), b.name()))
		default:
			compareRows(book.TableName(t), a, b, differ)
		}
		if order <= 0 {
			if err := a.next(); err != nil {
				return n, err
			}
		}
		if order >= 0 {
			if err := b.next(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func compareRows(table string, a, b *cursor, differ func(string)) {
	for i, column := range a.columns {
		j := slices.Index(b.columns, column)
		if j < 0 {
			differ(fmt.Sprintf("%s has a column %s that this version does not know", table, column))
			return
		}
		if x, y := text(a.values[i]), text(b.values[j]); x != y {
			differ(fmt.Sprintf("%s, %s: %s is %s, and the journal gives %s", table, a.name(), column, x, y))
		}
	}
}

// copyTable puts one volume of a table, as w has it, into an empty table of db.
func (w view) copyTable(ctx context.Context, db *store.DB, t book.Table, volume int) error {
	c, err := w.open(ctx, t, volume)
	if err != nil {
		return err
	}
	defer c.rows.Close()
	return db.Write(ctx, func(tx *sql.Tx) error {
		insert := "INSERT INTO " + book.TableName(t) + " (" + strings.Join(c.columns, ", ") + ") VALUES (" + params(len(c.columns)) + ")"
		for !c.done {
			if _, err := tx.ExecContext(ctx, insert, c.values...); err != nil {
				return fmt.Errorf("verify: copy %s: %w", book.TableName(t), err)
			}
			if err := c.next(); err != nil {
				return err
			}
		}
		return nil
	})
}

// positionColumns are the columns of the row that says what the tables of a book stand for.
var positionColumns = []string{"book", "seq", "hash", "epoch", "at", "newest", "fold"}

// position returns that row; nil if nothing was saved yet.
func (w view) position(ctx context.Context, name string) ([]any, error) {
	values := make([]any, len(positionColumns))
	into := make([]any, len(values))
	for i := range into {
		into[i] = &values[i]
	}
	err := w.tx.QueryRowContext(ctx, "SELECT "+strings.Join(positionColumns, ", ")+" FROM book_saved WHERE book = $1", name).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return values, err
}

// comparePosition compares what two sets of tables say of themselves, and tells each difference. The clock of the book and
// the newest time in an id decide what is taken for new without a look. Tables that were just built anew name the fold version
// that built them, which the journal does not know before that program has written a block.
func comparePosition(ctx context.Context, have, want view, name string, version uint32, differ func(string)) error {
	a, err := have.position(ctx, name)
	if err != nil {
		return err
	}
	b, err := want.position(ctx, name)
	if err != nil {
		return err
	}
	for i := range min(len(a), len(b)) {
		x, y := text(a[i]), text(b[i])
		if positionColumns[i] == "fold" && x == text(int64(version)) {
			continue
		}
		if x != y {
			differ(fmt.Sprintf("book_saved: %s is %s, and the journal gives %s", positionColumns[i], x, y))
		}
	}
	return nil
}

// copyPosition says of the tables in db what w says of its own.
func (w view) copyPosition(ctx context.Context, db *store.DB, name string) error {
	values, err := w.position(ctx, name)
	if err != nil || values == nil {
		return err
	}
	return db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO book_saved ("+strings.Join(positionColumns, ", ")+") VALUES ("+params(len(values))+")", values...)
		return err
	})
}

func params(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(list, ", ")
}

// keysAfter returns up to limit keys of one volume of a table, after the given one, in order.
func keysAfter(ctx context.Context, db *store.DB, table string, volume int, after book.Key, limit int) (out []book.Key, err error) {
	text := `SELECT tenant, id FROM ` + table + ` WHERE volume = $1 AND (tenant > $2 OR (tenant = $2 AND id > $3)) ORDER BY tenant, id LIMIT $4`
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, text, int64(volume), int64(after.Tenant), after.ID[:], int64(limit))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k book.Key
			var raw []byte
			if err := rows.Scan(&k.Tenant, &raw); err != nil {
				return err
			}
			k.ID = id.ID(raw)
			out = append(out, k)
		}
		return rows.Err()
	})
	return out, err
}

// keyCounts says how the keys of a service relate to what they made.
type keyCounts struct {
	keys    int64 // keys there are
	targets int64 // different things that they stand for
	lost    int64 // keys that stand for nothing
	made    int64 // payments and operations that some key has to stand for
}

// countKeys relates callers' keys to payments and operations.
func countKeys(ctx context.Context, db *store.DB) (c keyCounts, err error) {
	const text = `SELECT
		(SELECT COUNT(*) FROM payment_keys),
		(SELECT COUNT(*) FROM (SELECT DISTINCT tenant, target FROM payment_keys) AS t),
		(SELECT COUNT(*) FROM payment_keys k
			WHERE NOT EXISTS (SELECT 1 FROM payments p WHERE p.tenant = k.tenant AND p.volume = k.volume AND p.id = k.target)
			AND NOT EXISTS (SELECT 1 FROM payment_operations o WHERE o.tenant = k.tenant AND o.volume = k.volume AND o.id = k.target)),
		(SELECT COUNT(*) FROM payments) + (SELECT COUNT(*) FROM payment_operations)`
	err = db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, text).Scan(&c.keys, &c.targets, &c.lost, &c.made)
	})
	return c, err
}

// followed returns how far a feed has followed each volume.
func followed(ctx context.Context, db *store.DB) (out map[uint64]journal.Head, err error) {
	out = map[uint64]journal.Head{}
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id, seq, hash FROM feed_positions`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var raw, hash []byte
			var h journal.Head
			if err := rows.Scan(&raw, &h.Seq, &hash); err != nil {
				return err
			}
			copy(h.Hash[:], hash)
			out[uint64(raw[len(raw)-1])] = h
		}
		return rows.Err()
	})
	return out, err
}
