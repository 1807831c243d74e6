package platform

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// maxApart is how far the machine's clock and the store's may lie apart when a process starts.
const maxApart = 5 * clock.Second

// checkStoreClock refuses to start if the machine's clock and PostgreSQL's disagree (rule B7): one of them is wrong, and
// business times would be. SQLite has no clock of its own.
func checkStoreClock(ctx context.Context, db *store.DB, clk clock.Clock) error {
	if db.Engine() != store.Postgres {
		return nil
	}
	var theirs clock.Micros
	err := db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&theirs)
	})
	if err != nil {
		return fmt.Errorf("platform: ask the store for the time: %w", err)
	}
	ours := clk.Now()
	if apart := max(ours-theirs, theirs-ours); apart > maxApart {
		return fmt.Errorf("platform: the machine's clock says %s and the store's %s: set the one that is wrong", ours, theirs)
	}
	return nil
}

// savedTable says what the tables of each book stand for. Whoever reads them reads it first.
const savedTable = "book_saved"

// folds returns the fold versions that tables were made by, in order.
func folds(ctx context.Context, db *store.DB) (out []int64, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT DISTINCT fold FROM `+savedTable+` ORDER BY fold`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v int64
			if err := rows.Scan(&v); err != nil {
				return err
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

// positions returns the block that the tables of each book stand for.
func positions(ctx context.Context, db *store.DB) (out []journal.Head, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT book, seq, hash FROM `+savedTable+` WHERE seq > 0 ORDER BY book`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var h journal.Head
			var hash []byte
			if err := rows.Scan(&h.Book, &h.Seq, &hash); err != nil {
				return err
			}
			copy(h.Hash[:], hash)
			out = append(out, h)
		}
		return rows.Err()
	})
	return out, err
}

// hasRows says whether a table has rows that a condition holds for. A table that is not there has none.
func hasRows(ctx context.Context, db *store.DB, table, condition string) (there bool, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+` WHERE `+condition+`)`).Scan(&there)
	})
	if store.Missing(err) {
		return false, nil
	}
	return there, err
}

// hasTables reports whether a schema of PostgreSQL has a service's tables.
func hasTables(ctx context.Context, db *store.DB, schema string) (there bool, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM information_schema.tables
			WHERE table_schema = $1 AND table_name = 'book_saved')`, schema).Scan(&there)
	})
	if err != nil {
		err = fmt.Errorf("platform: look for the tables of %s: %w", schema, err)
	}
	return there, err
}
