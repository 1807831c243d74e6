package payment

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/store"
	"github.com/koban-pay/koban/money"
)

// Schema holds the migrations of the payment service's tables.
//
//go:embed schema/*.sql
var Schema embed.FS

// paymentSchema lacks Args, which are a machine's.
var paymentSchema = book.Schema[version]{
	Table:   "payments",
	Passing: true,
	Columns: []string{"kind", "status", "resource", "currency", "amount", "captured", "refunded", "customer", "merchant",
		"session", "parent", "created_at", "updated_at", "state"},
	Fixed: []string{"kind", "currency", "amount", "customer", "merchant", "session", "parent", "created_at"},
	Scan:  scanPayment,
	Due:   func(v *version) clock.Micros { return dueAt(v.Payment) },
}

// paymentArgs writes the state of each row over that of the row before: the book copies a row's bytes before it asks for the
// next row's.
func (m *Machine) paymentArgs(v *version, args []any) []any {
	p := v.Payment
	m.state = encodeState(m.state[:0], p)
	return append(args, int64(p.Kind), int64(p.Status), int64(p.Resource), int64(p.Amount.Currency), p.Amount.Minor, p.Captured,
		p.Refunded, raw(&p.Customer), raw(&p.Merchant), raw(&p.Session), raw(&p.Parent), int64(p.CreatedAt), int64(p.UpdatedAt),
		m.state)
}

// raw returns the bytes of an id, none if there is no id.
func raw(x *id.ID) any {
	if x.IsNil() {
		return none
	}
	return x[:]
}

var none any = []byte{}

func scanPayment(scan func(dest ...any) error, v *version) error {
	p := new(Payment)
	v.Payment = p
	var customer, merchant, session, parent, state []byte
	var currency uint16
	err := scan(&p.Kind, &p.Status, &p.Resource, &currency, &p.Amount.Minor, &p.Captured, &p.Refunded, &customer, &merchant,
		&session, &parent, &p.CreatedAt, &p.UpdatedAt, &state)
	if err != nil {
		return err
	}
	p.Amount.Currency = money.Currency(currency)
	copy(p.Customer[:], customer)
	copy(p.Merchant[:], merchant)
	copy(p.Session[:], session)
	copy(p.Parent[:], parent)
	return decodeState(state, p)
}

var operationSchema = book.Schema[Operation]{
	Table:   "payment_operations",
	Passing: true,
	Columns: []string{"cause", "payment", "code", "done_at", "status"},
	Args: func(o *Operation, args []any) []any {
		return append(args, int64(o.Cause), raw(&o.Payment), string(o.Code), int64(o.DoneAt), int64(o.Status))
	},
	Scan: func(scan func(dest ...any) error, o *Operation) error {
		var payment []byte
		err := scan(&o.Cause, &payment, &o.Code, &o.DoneAt, &o.Status)
		copy(o.Payment[:], payment)
		return err
	},
}

// tables reads the state tables for people and for the sweep; money is never decided on what it returns.
type tables struct{ db *store.DB }

// Filter selects payments of one tenant.
type Filter struct {
	Tenant   id.Tenant
	Customer id.ID  // nil: any
	Merchant id.ID  // nil: any
	Parent   id.ID  // nil: any
	Status   Status // 0: any
	Before   id.ID  // only ids lower than this; nil: from the newest
	Limit    int
}

// list returns the ids of payments, newest first. The primary key is in the order of volumes, and within one of time:
// unless a party narrows the search, each volume is asked for its newest, which costs less than an index on time would
// cost every payment.
func (t tables) list(ctx context.Context, f Filter, volumes int) (out []id.ID, err error) {
	where, args := f.where()
	ask := func(tx *sql.Tx, where []string, args []any) error {
		found, err := ids(ctx, tx, fmt.Sprintf("SELECT id FROM payments WHERE %s ORDER BY id DESC LIMIT %d",
			strings.Join(where, " AND "), f.Limit), args)
		out = append(out, found...)
		return err
	}
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		if out = out[:0]; f.narrow() {
			return ask(tx, where, args)
		}
		in := append(slices.Clone(where), fmt.Sprintf("volume = $%d", len(args)+1))
		for v := range volumes {
			if err := ask(tx, in, append(slices.Clone(args), int64(v))); err != nil {
				return err
			}
		}
		slices.SortFunc(out, func(x, y id.ID) int { return y.Compare(x) })
		out = out[:min(len(out), f.Limit)]
		return nil
	})
	return out, err
}

// narrow reports whether the filter names a party, by which there is an index.
func (f Filter) narrow() bool { return !f.Customer.IsNil() || !f.Merchant.IsNil() || !f.Parent.IsNil() }

func (f Filter) where() (where []string, args []any) {
	where, args = []string{"tenant = $1"}, []any{int64(f.Tenant)}
	add := func(cond string, v any) {
		args = append(args, v)
		where = append(where, fmt.Sprintf(cond, len(args)))
	}
	if !f.Customer.IsNil() {
		add("customer = $%d", f.Customer[:])
	}
	if !f.Merchant.IsNil() {
		add("merchant = $%d", f.Merchant[:])
	}
	if !f.Parent.IsNil() {
		add("kind = 2 AND parent = $%d", f.Parent[:]) // the index holds refunds only
	}
	if f.Status != 0 {
		add("status = $%d", int64(f.Status))
	}
	if !f.Before.IsNil() {
		add("id < $%d", f.Before[:])
	}
	return where, args
}

func ids(ctx context.Context, tx *sql.Tx, text string, args []any) (out []id.ID, err error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		out = append(out, id.ID(b))
	}
	return out, rows.Err()
}

// open returns up to limit payments of a volume that are WORK_IN_PROGRESS and were last touched before the given time,
// after the given key, in the order of their keys.
func (t tables) open(ctx context.Context, volume int, before clock.Micros, after book.Key, limit int) (out []book.Key, err error) {
	const text = `SELECT tenant, id FROM payments WHERE resource = 1 AND volume = $1 AND updated_at < $2
		AND (tenant > $3 OR (tenant = $3 AND id > $4)) ORDER BY tenant, id LIMIT $5`
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		rows, err := tx.QueryContext(ctx, text, int64(volume), int64(before), int64(after.Tenant), after.ID[:], int64(limit))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k book.Key
			var b []byte
			if err := rows.Scan(&k.Tenant, &b); err != nil {
				return err
			}
			k.ID = id.ID(b)
			out = append(out, k)
		}
		return rows.Err()
	})
	return out, err
}

// overdue returns how many payments that were made before the given time are WORK_IN_PROGRESS.
func (t tables) overdue(ctx context.Context, before clock.Micros) (n int64, err error) {
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM payments WHERE resource = 1 AND created_at < $1", int64(before)).Scan(&n)
	})
	return n, err
}
