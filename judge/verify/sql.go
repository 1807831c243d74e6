package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
)

// saved returns the block that the tables of a book stand for; Seq 0 if nothing was saved yet.
func saved(ctx context.Context, db *store.DB, name string) (h journal.Head, err error) {
	_, h, err = position(ctx, db, name)
	return h, err
}

// position returns the row of book_saved that says what the tables of a book stand for, nil if nothing was saved yet, and
// the block.
func position(ctx context.Context, db *store.DB, name string) (values []any, h journal.Head, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		values, h, err = positionOf(ctx, tx, name)
		return err
	})
	return values, h, err
}

func positionOf(ctx context.Context, tx *sql.Tx, name string) ([]any, journal.Head, error) {
	h := journal.Head{Book: name}
	values := make([]any, len(positionColumns))
	into := make([]any, len(values))
	for i := range into {
		into[i] = &values[i]
	}
	err := tx.QueryRowContext(ctx, "SELECT "+strings.Join(positionColumns, ", ")+" FROM book_saved WHERE book = $1", name).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, h, nil
	}
	if err != nil {
		return nil, h, fmt.Errorf("verify: read what the tables of %s stand for: %w", name, err)
	}
	seq, _ := values[1].(int64)
	hash, _ := values[2].([]byte)
	epoch, _ := values[3].(int64)
	h.Seq, h.Epoch = uint64(seq), uint64(epoch)
	copy(h.Hash[:], hash)
	return values, h, nil
}

// columnsOf returns the columns of a table.
func columnsOf(ctx context.Context, db *store.DB, table string) (columns []string, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT * FROM "+table+" LIMIT 0")
		if err != nil {
			return fmt.Errorf("verify: read the columns of %s: %w", table, err)
		}
		defer rows.Close()
		if columns, err = rows.Columns(); err != nil {
			return err
		}
		return rows.Err()
	})
	return columns, err
}

// unsound returns what is wrong with the pages of a SQLite file, and where an index and its table differ (sqlite.org/pragma.html,
// integrity_check). PostgreSQL looks after its own. It goes table by table, so that no snapshot is held for all of them.
func unsound(ctx context.Context, db *store.DB) (faults []string, err error) {
	if db.Engine() != store.SQLite {
		return nil, nil
	}
	tables, err := textsOf(ctx, db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		said, err := textsOf(ctx, db, fmt.Sprintf("PRAGMA integrity_check(%q)", table))
		if err != nil {
			return nil, err
		}
		for _, what := range said {
			if what != "ok" && len(faults) < maxExamples {
				faults = append(faults, what)
			}
		}
	}
	return faults, nil
}

// textsOf returns the only column of a query.
func textsOf(ctx context.Context, db *store.DB, query string) (out []string, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, query)
		if err != nil {
			return fmt.Errorf("verify: check the file: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Err()
	})
	return out, err
}

// copyVolume puts one volume of a platform's tables, all in one snapshot, into the empty tables of db, and returns the block that
// they stand for.
func (s *shelf) copyVolume(ctx context.Context, v *volume, db *store.DB) (h journal.Head, err error) {
	err = s.Tables.Read(ctx, func(tx *sql.Tx) error {
		var values []any
		if values, h, err = positionOf(ctx, tx, v.name); err != nil || values == nil {
			return err
		}
		for _, t := range s.Machine(v.n).Tables() {
			if err := copyTable(ctx, tx, db, book.TableName(t), v.n); err != nil {
				return err
			}
		}
		return db.Write(ctx, func(to *sql.Tx) error {
			_, err := to.ExecContext(ctx, "INSERT INTO book_saved ("+strings.Join(positionColumns, ", ")+") VALUES ("+params(len(values))+")", values...)
			return err
		})
	})
	return h, err
}

func copyTable(ctx context.Context, from *sql.Tx, db *store.DB, table string, volume int) error {
	rows, err := from.QueryContext(ctx, "SELECT * FROM "+table+" WHERE volume = $1", int64(volume))
	if err != nil {
		return fmt.Errorf("verify: copy %s: %w", table, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	insert := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + params(len(columns)) + ")"
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range into {
		into[i] = &values[i]
	}
	return db.Write(ctx, func(tx *sql.Tx) error {
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			for i, v := range values {
				if b, ok := v.([]byte); ok && b == nil {
					values[i] = []byte{} // SQLite's driver reads empty bytes as none, and writes none as NULL
				}
			}
			if _, err := tx.ExecContext(ctx, insert, values...); err != nil {
				return fmt.Errorf("verify: copy %s: %w", table, err)
			}
		}
		return rows.Err()
	})
}

func params(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(list, ", ")
}

// countBlocks returns how many blocks a book has, up to its head.
func countBlocks(ctx context.Context, db *store.DB, name string, head uint64) (n int64, err error) {
	const text = `SELECT COUNT(*) FROM journal_blocks WHERE book = $1 AND seq BETWEEN 1 AND $2`
	err = db.Read(ctx, func(tx *sql.Tx) error { return tx.QueryRowContext(ctx, text, name, int64(head)).Scan(&n) })
	if err != nil {
		err = fmt.Errorf("verify: count the blocks of %s: %w", name, err)
	}
	return n, err
}

// accountSum is what the accounts of one tenant in one volume and currency have.
type accountSum struct {
	tenant, volume, currency, accounts int64
	sum                                string // a number: PostgreSQL's is of any size
}

func sumAccounts(ctx context.Context, db *store.DB, table string, currencies bool) (out []accountSum, err error) {
	currency := "0"
	if currencies {
		currency = "currency"
	}
	text := "SELECT tenant, volume, " + currency + ", COUNT(*), SUM(credits_posted - debits_posted) FROM " + table + " GROUP BY 1, 2, 3"
	err = db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, text)
		if err != nil {
			return fmt.Errorf("verify: add up %s: %w", table, err)
		}
		defer rows.Close()
		for rows.Next() {
			var x accountSum
			if err := rows.Scan(&x.tenant, &x.volume, &x.currency, &x.accounts, &x.sum); err != nil {
				return err
			}
			out = append(out, x)
		}
		return rows.Err()
	})
	return out, err
}
