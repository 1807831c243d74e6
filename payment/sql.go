package payment

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
)

// Schema holds the migrations of the payment service's tables.
//
//go:embed schema/*.sql
var Schema embed.FS

// paymentSchema lacks Args, which are a machine's.
var paymentSchema = book.Schema[version]{
	Table:   "payments",
	Passing: true,
	Columns: []string{
		"kind", "status", "resource", "currency", "amount", "captured", "refunded", "customer", "merchant",
		"session", "parent", "created_at", "updated_at", "reference", "bill_number", "reference_label", "terminal_label", "suspense", "state",
	},
	Fixed: []string{
		"kind", "currency", "amount", "customer", "merchant", "session", "parent", "created_at", "reference", "bill_number",
		"reference_label", "terminal_label",
	},
	Scan: scanPayment,
	Due:  func(v *version) clock.Micros { return dueAt(v.Payment) },
}

// paymentArgs writes the state of each row over that of the row before: the book copies a row's bytes before it asks for the
// next row's.
func (m *Machine) paymentArgs(v *version, args []any) []any {
	p := v.Payment
	m.state = encodeState(m.state[:0], p)
	return append(args, int64(p.Kind), int64(p.Status), int64(p.Resource), int64(p.Amount.Currency), p.Amount.Minor, p.Captured,
		p.Refunded, raw(&p.Customer), raw(&p.Merchant), raw(&p.Session), raw(&p.Parent), int64(p.CreatedAt), int64(p.UpdatedAt),
		int64(p.Marks.Reference), int64(p.Marks.BillNumber), int64(p.Marks.ReferenceLabel), int64(p.Marks.TerminalLabel), p.inSuspense(), m.state)
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
	var marks [4]int64
	var suspense int64 // follows from the state
	err := scan(&p.Kind, &p.Status, &p.Resource, &currency, &p.Amount.Minor, &p.Captured, &p.Refunded, &customer, &merchant,
		&session, &parent, &p.CreatedAt, &p.UpdatedAt, &marks[0], &marks[1], &marks[2], &marks[3], &suspense, &state)
	if err != nil {
		return err
	}
	r := reader{new(wire.Reader)}
	p.Kind, p.Amount = wire.Word(r.Reader, "kind", int64(p.Kind), Charge, Refund), r.amount(p.Amount.Minor, uint32(currency))
	p.Customer, p.Merchant, p.Session, p.Parent = r.MaybeID(customer), r.MaybeID(merchant), r.MaybeID(session), r.MaybeID(parent)
	if err := r.Err(); err != nil {
		return fmt.Errorf("payment: a row: %w", err)
	}
	p.Marks = Marks{uint64(marks[0]), uint64(marks[1]), uint64(marks[2]), uint64(marks[3])}
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
		if err := scan(&o.Cause, &payment, &o.Code, &o.DoneAt, &o.Status); err != nil {
			return err
		}
		var r wire.Reader
		o.Cause, o.Payment = wire.Word(&r, "cause", int64(o.Cause), ByCapture, ByRefund), r.ID(payment)
		o.Status = wire.Word(&r, "status", int64(o.Status), 0, Succeeded)
		return r.Err()
	},
}

// tables reads the state tables for people and for the sweep; money is never decided on what it returns.
type tables struct {
	db   *store.DB
	look int // rows that one page looks at, of one party or of each volume
}

// Filter selects payments of one tenant.
type Filter struct {
	Tenant   id.Tenant
	Customer id.ID        // nil: any
	Merchant id.ID        // nil: any
	Parent   id.ID        // nil: any
	Kind     Kind         // 0: any
	Status   Status       // 0: any
	Marks    Marks        // 0: any
	From     clock.Micros // made at this time or later; 0: any
	Until    clock.Micros // made before this time; 0: any
	Suspense bool         // only those of which something stands in suspense
	Before   id.ID        // only ids lower than this; nil: from the newest
	Limit    int
}

// lookMost is how many rows a page looks at before it ends, full or not: of the party that narrows the search, or of each
// volume. A list of something rare is read in many short pages, and no caller makes one transaction read a whole table.
const lookMost = 1000

// list returns the ids of payments, newest first, and where the next page starts, nil after the last. The primary key is in
// the order of volumes, and within one of time: unless a party narrows the search, each volume is asked for its newest,
// which costs less than an index on time would cost every payment.
func (t tables) list(ctx context.Context, f Filter, volumes int) (out []id.ID, next id.ID, err error) {
	var q query
	q.build(f)
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		s := search{wanted: f.Limit + 1, most: t.look}
		if q.narrow {
			err := s.ask(ctx, tx, q.text(t.look, ""), q.args)
			out, next = s.page(f.Limit)
			return err
		}
		text := q.text(t.look, fmt.Sprintf(" AND volume = $%d", len(q.args)+1))
		for v := range volumes {
			if err := s.ask(ctx, tx, text, append(slices.Clone(q.args), int64(v))); err != nil {
				return err
			}
		}
		out, next = s.page(f.Limit)
		return nil
	})
	return out, next, err
}

// query is a filter in SQL. What an index narrows stands in WHERE; what else is asked for is told of each row, so that the
// rows that are looked at can be counted.
type query struct {
	narrow bool // by a party or a mark
	where  []string
	match  []string
	args   []any
}

// slack is how far the time in an id, which is taken before its block is written, and created_at, which is the block's, may
// lie apart at most. It only spares looking at rows.
const slack = clock.Hour

func (q *query) build(f Filter) {
	arg := func(v any) int { q.args = append(q.args, v); return len(q.args) }
	where := func(cond string, v any) { q.where = append(q.where, fmt.Sprintf(cond, arg(v))) }
	match := func(cond string, v any) { q.match = append(q.match, fmt.Sprintf(cond, arg(v))) }
	where("tenant = $%d", int64(f.Tenant))
	// The first one asked for has the index. Those of parents and marks hold only what has one.
	for _, is := range []struct {
		asked bool
		cond  string
		v     any
	}{
		{!f.Parent.IsNil(), "kind = 2 AND parent = $%d", f.Parent[:]},
		{f.Marks.Reference != 0, "reference <> 0 AND reference = $%d", int64(f.Marks.Reference)},
		{f.Marks.BillNumber != 0, "bill_number <> 0 AND bill_number = $%d", int64(f.Marks.BillNumber)},
		{f.Marks.ReferenceLabel != 0, "reference_label <> 0 AND reference_label = $%d", int64(f.Marks.ReferenceLabel)},
		{!f.Merchant.IsNil(), "merchant = $%d", f.Merchant[:]},
		{!f.Customer.IsNil(), "customer = $%d", f.Customer[:]},
	} {
		switch {
		case !is.asked:
		case q.narrow:
			match(is.cond, is.v)
		default:
			q.narrow = true
			where(is.cond, is.v)
		}
	}
	if f.Suspense { // a constant: an index of part of a table serves no parameter
		if q.narrow {
			q.match = append(q.match, "suspense > 0")
		} else {
			q.narrow = true
			q.where = append(q.where, "suspense > 0")
		}
	}
	if f.Marks.TerminalLabel != 0 {
		match("terminal_label = $%d", int64(f.Marks.TerminalLabel))
	}
	if f.Kind != 0 {
		match("kind = $%d", int64(f.Kind))
	}
	if f.Status != 0 {
		match("status = $%d", int64(f.Status))
	}
	before := f.Before
	if f.From != 0 {
		match("created_at >= $%d", int64(f.From))
		low := id.Compose(f.From-slack, 0, [9]byte{})
		where("id >= $%d", low[:])
	}
	if f.Until != 0 {
		match("created_at < $%d", int64(f.Until))
		if high := id.Compose(f.Until+slack, 0, [9]byte{}); before.IsNil() || high.Compare(before) < 0 {
			before = high
		}
	}
	if !before.IsNil() {
		where("id < $%d", before[:])
	}
}

func (q *query) text(most int, more string) string {
	match := "1"
	if len(q.match) > 0 {
		match = "CASE WHEN " + strings.Join(q.match, " AND ") + " THEN 1 ELSE 0 END"
	}
	return fmt.Sprintf("SELECT id, %s FROM payments WHERE %s%s ORDER BY id DESC LIMIT %d", match, strings.Join(q.where, " AND "), more, most)
}

// search collects what a page's rows are.
type search struct {
	wanted int // matching rows of one index, after which it is not read further
	most   int
	found  []id.ID
	end    id.ID // rows with lower ids were not all looked at; nil: all were
}

func (s *search) ask(ctx context.Context, tx *sql.Tx, text string, args []any) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	looked, found := 0, 0
	var last id.ID
	for found < s.wanted && rows.Next() {
		var b []byte
		var match bool
		if err := rows.Scan(&b, &match); err != nil {
			return err
		}
		last = id.ID(b)
		if looked++; match {
			found++
			s.found = append(s.found, last)
		}
	}
	if (found == s.wanted || looked == s.most) && last.Compare(s.end) > 0 {
		s.end = last
	}
	return rows.Err()
}

// page returns the newest of what was found, as far down as everything was looked at, and where the next page starts.
func (s *search) page(limit int) ([]id.ID, id.ID) {
	out := slices.DeleteFunc(s.found, func(x id.ID) bool { return x.Compare(s.end) < 0 })
	slices.SortFunc(out, func(x, y id.ID) int { return y.Compare(x) })
	if len(out) > limit {
		return out[:limit], out[limit-1]
	}
	return out, s.end
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

// suspended returns how many payments and refunds there are of which something stands in suspense, of all tenants.
func (t tables) suspended(ctx context.Context) (n int64, err error) {
	err = t.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM payments WHERE suspense > 0").Scan(&n)
	})
	return n, err
}
