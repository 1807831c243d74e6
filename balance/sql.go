package balance

import (
	"cmp"
	"embed"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// Schema holds the migrations of the service's state tables, in the folder schema.
//
//go:embed schema/*.sql
var Schema embed.FS

const keyTable = "balance_keys"

var (
	kindTexts   = book.Words(Fees)
	statusTexts = book.Words(ledger.Closed)
	branchTexts = book.Words(branch.Added)
)

// accountSchema is the table of accounts. Rows are packed in the given memory again and again: what Args returns is copied
// before the next row.
func accountSchema(pack *book.Pack) book.Schema[Account] {
	return book.Schema[Account]{
		Table: "balance_accounts",
		Columns: []string{
			"kind", "currency", "status", "debits_posted", "credits_posted", "debits_pending", "credits_pending", "cap",
			"limit_day_in", "limit_day_out", "limit_month_in", "limit_month_out", "version", "rest",
		},
		Fixed: []string{"kind", "currency", "cap", "limit_day_in", "limit_day_out", "limit_month_in", "limit_month_out"},
		Args: func(a *Account, args []any) []any {
			u := &a.Used
			*pack = (*pack)[:0].Int(int64(u.Day)).Int(u.DayIn).Int(u.DayOut).Int(u.MonthIn).Int(u.MonthOut).Int(int64(a.OpenedAt))
			return append(args, kindTexts[a.Kind], int64(a.Currency), statusTexts[a.Status],
				a.DebitsPosted, a.CreditsPosted, a.DebitsPending, a.CreditsPending, a.Cap,
				a.Limits.DayIn, a.Limits.DayOut, a.Limits.MonthIn, a.Limits.MonthOut, int64(a.Version), []byte(*pack))
		},
		Scan: scanAccount,
	}
}

func scanAccount(scan func(...any) error, a *Account) error {
	var kind, status string
	var rest []byte
	err := scan(&kind, &a.Currency, &status, &a.DebitsPosted, &a.CreditsPosted, &a.DebitsPending, &a.CreditsPending, &a.Cap,
		&a.Limits.DayIn, &a.Limits.DayOut, &a.Limits.MonthIn, &a.Limits.MonthOut, &a.Version, &rest)
	if err != nil {
		return err
	}
	u := book.NewUnpack(rest)
	a.Used.Day, a.Used.DayIn, a.Used.DayOut, a.Used.MonthIn, a.Used.MonthOut = ledger.Day(u.Int()), u.Int(), u.Int(), u.Int(), u.Int()
	a.OpenedAt = clock.Micros(u.Int())
	if err := u.Err(); err != nil {
		return err
	}
	var okKind, okStatus bool
	a.Kind, okKind = ParseKind(kind)
	a.Status, okStatus = ledger.ParseStatus(status)
	a.Normal, a.MayGoNegative = ledger.Credit, a.Kind.own()
	if !okKind || !okStatus {
		return fmt.Errorf("an account of kind %q, status %q", kind, status)
	}
	return a.Check()
}

// branchSchema is the table of branches, as accountSchema.
func branchSchema(pack *book.Pack) book.Schema[Branch] {
	return book.Schema[Branch]{
		Table:   "balance_branches",
		Passing: true,
		Columns: []string{"status", "account", "currency", "amount", "posted", "released", "code", "rest"},
		Fixed:   []string{"account", "currency"},
		Args: func(b *Branch, args []any) []any {
			h := &b.Hold
			*pack = packBranch((*pack)[:0], b)
			return append(args, branchTexts[b.Status], b.Account[:], int64(b.Currency), h.Amount, h.Posted, h.Released, b.Refusal.Code, []byte(*pack))
		},
		Scan: scanBranch,
	}
}

func scanBranch(scan func(...any) error, b *Branch) error {
	var status string
	var account, rest []byte
	h := &b.Hold
	if err := scan(&status, &account, &b.Currency, &h.Amount, &h.Posted, &h.Released, &b.Refusal.Code, &rest); err != nil {
		return err
	}
	var r wire.Reader
	b.Account = r.ID(account)
	if err := cmp.Or(r.Err(), unpackBranch(rest, b)); err != nil {
		return err
	}
	var ok bool
	if b.Status, ok = branch.ParseStatus(status); !ok {
		return fmt.Errorf("a branch with status %q", status)
	}
	if b.Status <= branch.Cancelled && h.Amount > 0 {
		h.Account, h.Side = b.Account, ledger.Debit
		return h.Check()
	}
	return nil
}

func packBranch(p book.Pack, b *Branch) book.Pack {
	return b.Pack(p.Int(int64(b.Purpose)).Int(int64(b.Hold.HeldOn)).Int(int64(b.EffectiveAt)))
}

func unpackBranch(rest []byte, b *Branch) error {
	u := book.NewUnpack(rest)
	var r wire.Reader
	b.Purpose = wire.Word(&r, "purpose", u.Int(), 0, tcc.Credit)
	b.Hold.HeldOn, b.EffectiveAt = ledger.Day(u.Int()), clock.Micros(u.Int())
	return cmp.Or(b.Unpack(u), r.Err())
}

var creditSchema = book.Schema[Credit]{
	Table:   "balance_credits",
	Passing: true,
	Columns: []string{
		"account", "currency", "amount", "effective_at", "seq", "at", "account_status", "posted", "available",
		"code", "message",
	},
	Args: func(c *Credit, args []any) []any {
		return append(args, c.Account[:], int64(c.Amount.Currency), c.Amount.Minor, int64(c.EffectiveAt), int64(c.Seq), int64(c.At),
			statusText(c.Status), c.Posted, c.Available, c.Code, c.Message)
	},
	Scan: func(scan func(...any) error, c *Credit) error {
		var account []byte
		var status string
		err := scan(&account, &c.Amount.Currency, &c.Amount.Minor, &c.EffectiveAt, &c.Seq, &c.At, &status, &c.Posted, &c.Available,
			&c.Code, &c.Message)
		var r wire.Reader
		c.Account = r.ID(account)
		var ok bool
		if c.Status, ok = ledger.ParseStatus(status); !ok && c.Code == "" { // a credit that was refused has none
			r.Fail("a credit with the account status %q", status)
		}
		return cmp.Or(err, r.Err())
	},
}

func statusText(s ledger.Status) string {
	if s == 0 {
		return ""
	}
	return s.String()
}
