package payment

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

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

var paymentSchema = book.Schema[Payment]{
	Table: "payments",
	Columns: []string{"kind", "status", "resource", "currency", "amount", "captured", "refunded", "customer", "merchant",
		"session", "parent", "created_at", "updated_at", "state"},
	Args: paymentArgs,
	Scan: scanPayment,
	Due:  dueAt,
}

func paymentArgs(p *Payment, args []any) []any {
	state, err := proto.Marshal(encodeState(p))
	if err != nil {
		panic("payment: encode state: " + err.Error())
	}
	return append(args, int64(p.Kind), int64(p.Status), int64(p.Resource), int64(p.Amount.Currency), p.Amount.Minor, p.Captured,
		p.Refunded, raw(p.Customer), raw(p.Merchant), raw(p.Session), raw(p.Parent), int64(p.CreatedAt), int64(p.UpdatedAt), state)
}

// raw copies an id: the driver keeps the slice until the save, and the row may change before.
func raw(x id.ID) []byte {
	if x.IsNil() {
		return []byte{}
	}
	return append([]byte(nil), x[:]...)
}

func scanPayment(scan func(dest ...any) error, p *Payment) error {
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
	Columns: []string{"cause", "payment", "code", "done_at", "status"},
	Args: func(o *Operation, args []any) []any {
		return append(args, int64(o.Cause), raw(o.Payment), string(o.Code), int64(o.DoneAt), int64(o.Status))
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

// list returns the ids of payments, newest first.
func (t tables) list(ctx context.Context, f Filter) (out []id.ID, err error) {
	where, args := []string{"tenant = $1"}, []any{int64(f.Tenant)}
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
		add("parent = $%d", f.Parent[:])
	}
	if f.Status != 0 {
		add("status = $%d", int64(f.Status))
	}
	if !f.Before.IsNil() {
		add("id < $%d", f.Before[:])
	}
	text := "SELECT id FROM payments WHERE " + strings.Join(where, " AND ") + fmt.Sprintf(" ORDER BY id DESC LIMIT %d", f.Limit)
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		rows, err := tx.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			out = append(out, id.ID(b))
		}
		return rows.Err()
	})
	return out, err
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
