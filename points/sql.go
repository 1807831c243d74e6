package points

import (
	"embed"
	"encoding/json"
	"fmt"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
)

// Schema holds the migrations of the state tables.
//
//go:embed schema/*.sql
var Schema embed.FS

const keyTable = "points_keys"

// Points have no caps or limits, so the tables have no columns for them. The currency and the normal side of every
// account are the same, and its kind says whether it may go below zero.
var accountSchema = book.Schema[Account]{
	Table: "points_accounts",
	Columns: []string{
		"kind", "owner", "status", "debits_posted", "credits_posted", "debits_pending", "credits_pending",
		"used_day", "day_in", "day_out", "month_in", "month_out", "version", "opened_at", "next_lot", "lots",
	},
	Args: func(a *Account, args []any) []any {
		return append(args, a.Kind.String(), raw(a.Owner), a.Status.String(), a.DebitsPosted, a.CreditsPosted, a.DebitsPending,
			a.CreditsPending, int64(a.Used.Day), a.Used.DayIn, a.Used.DayOut, a.Used.MonthIn, a.Used.MonthOut, int64(a.Version),
			int64(a.OpenedAt), a.NextLot, text(a.Lots))
	},
	Scan: func(scan func(dest ...any) error, a *Account) error {
		var kind, status, lots string
		var owner []byte
		var day, version int64
		*a = newAccount(Customer)
		err := scan(&kind, &owner, &status, &a.DebitsPosted, &a.CreditsPosted, &a.DebitsPending, &a.CreditsPending, &day, &a.Used.DayIn,
			&a.Used.DayOut, &a.Used.MonthIn, &a.Used.MonthOut, &version, &a.OpenedAt, &a.NextLot, &lots)
		if err != nil {
			return err
		}
		var known, sane bool
		a.Kind, known = ParseKind(kind)
		a.Status, sane = ledger.ParseStatus(status)
		if !known || !sane {
			return fmt.Errorf("points: an account of kind %q and status %q", kind, status)
		}
		a.MayGoNegative = a.Kind != Customer
		a.Used.Day, a.Version = ledger.Day(day), uint64(version)
		copy(a.Owner[:], owner)
		return json.Unmarshal([]byte(lots), &a.Lots)
	},
	Due: func(a *Account) clock.Micros { return a.Lots.Due() },
}

var branchSchema = book.Schema[Branch]{
	Table: "points_branches",
	Columns: []string{
		"account", "status", "print", "held_on", "amount", "posted", "released", "first_seq", "first_at", "first_available",
		"first_suspense", "cancel_seq", "cancel_at", "cancel_available", "refusal_code", "refusal_message", "refusal_param",
		"captures", "lots",
	},
	Args: func(b *Branch, args []any) []any {
		suspense := int64(0)
		if b.First.Suspense {
			suspense = 1
		}
		return append(args, raw(b.On), b.Status.String(), append([]byte(nil), b.Print[:]...), int64(b.HeldOn), b.Amount, b.Posted,
			b.Released, int64(b.First.Seq), int64(b.First.At), b.First.Available, suspense, int64(b.Cancel.Seq), int64(b.Cancel.At),
			b.Cancel.Available, b.Refusal.Code, b.Refusal.Message, b.Refusal.Param, text(b.Captures), text(b.Lots))
	},
	Scan: scanBranch,
}

func scanBranch(scan func(dest ...any) error, b *Branch) error {
	var on, print []byte
	var status, captures, lots string
	var day, suspense int64
	err := scan(&on, &status, &print, &day, &b.Amount, &b.Posted, &b.Released, &b.First.Seq, &b.First.At, &b.First.Available, &suspense,
		&b.Cancel.Seq, &b.Cancel.At, &b.Cancel.Available, &b.Refusal.Code, &b.Refusal.Message, &b.Refusal.Param, &captures, &lots)
	if err != nil {
		return err
	}
	var ok bool
	if b.Status, ok = parseStatus(status); !ok {
		return fmt.Errorf("points: a branch of status %q", status)
	}
	copy(b.On[:], on)
	copy(b.Print[:], print)
	b.HeldOn, b.First.Suspense = ledger.Day(day), suspense == 1
	if b.Amount > 0 {
		b.Account, b.Side = b.On, ledger.Debit
	}
	if err := json.Unmarshal([]byte(captures), &b.Captures); err != nil {
		return err
	}
	return json.Unmarshal([]byte(lots), &b.Lots)
}

var grantSchema = book.Schema[GrantRow]{
	Table: "points_grants",
	Columns: []string{
		"account", "owner", "opened_at", "lot", "class", "expires_at", "amount", "posted", "held", "available", "account_status", "seq", "at",
		"refusal_code", "refusal_message", "refusal_param",
	},
	Args: func(g *GrantRow, args []any) []any {
		return append(args, raw(g.Account), raw(g.Owner), int64(g.OpenedAt), g.Lot.Lot, int64(g.Lot.Class), int64(g.Lot.ExpiresAt),
			g.Lot.Amount, g.Posted, g.Held, g.Available, int64(g.Status), int64(g.Seq), int64(g.At), g.Refusal.Code, g.Refusal.Message,
			g.Refusal.Param)
	},
	Scan: func(scan func(dest ...any) error, g *GrantRow) error {
		var account, owner []byte
		err := scan(&account, &owner, &g.OpenedAt, &g.Lot.Lot, &g.Lot.Class, &g.Lot.ExpiresAt, &g.Lot.Amount, &g.Posted, &g.Held,
			&g.Available, &g.Status, &g.Seq, &g.At, &g.Refusal.Code, &g.Refusal.Message, &g.Refusal.Param)
		copy(g.Account[:], account)
		copy(g.Owner[:], owner)
		return err
	},
}

// raw copies an id: the row may change before it is saved.
func raw(x id.ID) []byte { return append([]byte(nil), x[:]...) }

// text is a list as people read it, in JSON.
func text[T any](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic("points: " + err.Error()) // the types of rows always have a text
	}
	return string(b)
}
