package code

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/tcc/branch"
)

// Schema holds the migrations of the state tables.
//
//go:embed schema/*.sql
var Schema embed.FS

const keyTable = "code_keys"

var shopSchema = book.Schema[ShopRow]{
	Table:   "code_shops",
	Columns: []string{"number", "note", "registered_at"},
	Args: func(s *ShopRow, args []any) []any {
		return append(args, s.Number, s.Note, int64(s.RegisteredAt))
	},
	Scan: func(scan func(dest ...any) error, s *ShopRow) error { return scan(&s.Number, &s.Note, &s.RegisteredAt) },
}

var numberSchema = book.Schema[numberRow]{
	Table:   "code_numbers",
	Columns: []string{"merchant"},
	Args:    func(n *numberRow, args []any) []any { return append(args, raw(n.Merchant)) },
	Scan: func(scan func(dest ...any) error, n *numberRow) error {
		var merchant []byte
		err := scan(&merchant)
		var r wire.Reader
		n.Merchant = r.ID(merchant)
		return cmp.Or(err, r.Err())
	},
}

var countSchema = book.Schema[countRow]{
	Table:   "code_counts",
	Columns: []string{"shops"},
	Args:    func(c *countRow, args []any) []any { return append(args, c.Shops) },
	Scan:    func(scan func(dest ...any) error, c *countRow) error { return scan(&c.Shops) },
}

var sessionSchema = book.Schema[SessionRow]{
	Table:   "code_sessions",
	Passing: true,
	Columns: []string{
		"customer", "merchant", "currency", "amount", "status", "opened_at", "open_until", "expires_at", "branch",
		"noted",
	},
	Args: func(s *SessionRow, args []any) []any {
		return append(args, raw(s.Customer), raw(s.Merchant), int64(s.Currency), s.Minor, s.Status.String(), int64(s.OpenedAt),
			int64(s.OpenUntil), int64(s.ExpiresAt), raw(s.By), flag(s.Noted))
	},
	Scan: func(scan func(dest ...any) error, s *SessionRow) error {
		var customer, merchant, by []byte
		var status string
		var noted int64
		err := scan(&customer, &merchant, &s.Currency, &s.Minor, &status, &s.OpenedAt, &s.OpenUntil, &s.ExpiresAt, &by,
			&noted)
		if err != nil {
			return err
		}
		var r wire.Reader
		s.Customer, s.Merchant, s.By = r.ID(customer), r.ID(merchant), r.ID(by)
		s.Noted = noted != 0
		var ok bool
		if s.Status, ok = parseStatus(status); !ok {
			return fmt.Errorf("code: a session of status %q", status)
		}
		return r.Err()
	},
	Due: func(s *SessionRow) clock.Micros {
		if s.idle() {
			return s.ExpiresAt
		}
		return 0
	},
}

func branchSchema(pack *book.Pack) book.Schema[Branch] {
	return book.Schema[Branch]{
		Table:   "code_branches",
		Passing: true,
		Columns: []string{"session", "status", "amount", "currency", "refusal_code", "rest"},
		Fixed:   []string{"session"},
		Args: func(b *Branch, args []any) []any {
			*pack = b.Pack((*pack)[:0])
			return append(args, raw(b.Account), b.Status.String(), b.Amount.Minor, int64(b.Amount.Currency), b.Refusal.Code, []byte(*pack))
		},
		Scan: func(scan func(dest ...any) error, b *Branch) error {
			var session, rest []byte
			var status string
			err := scan(&session, &status, &b.Amount.Minor, &b.Amount.Currency, &b.Refusal.Code, &rest)
			if err != nil {
				return err
			}
			var r wire.Reader
			b.Account = r.ID(session)
			var ok bool
			if b.Status, ok = branch.ParseStatus(status); !ok {
				return fmt.Errorf("code: a branch of status %q", status)
			}
			return cmp.Or(r.Err(), b.Unpack(book.NewUnpack(rest)))
		},
	}
}

// flag returns what a column that says yes or no holds.
func flag(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// raw copies an id or a print: the row may change before it is saved.
func raw(x id.ID) []byte { return append([]byte(nil), x[:]...) }

// tables reads the state tables.
type tables struct {
	db   *store.DB
	sync func(context.Context) error // returns when they hold what is durable now
}

// noted returns the ids of up to limit sessions of a customer that have a note, after last.
func (t tables) noted(ctx context.Context, tenant id.Tenant, customer, last id.ID, limit int) (out [][]byte, err error) {
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT id FROM code_sessions WHERE tenant = $1 AND customer = $2 AND noted = 1 AND id > $3
			ORDER BY id LIMIT $4`, int64(tenant), customer[:], last[:], limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var session []byte
			if err := rows.Scan(&session); err != nil {
				return err
			}
			if len(session) != len(id.Nil) {
				return fault.DataDamaged.New("a session's id has %d bytes", len(session))
			}
			out = append(out, session)
		}
		return rows.Err()
	})
	return out, err
}
