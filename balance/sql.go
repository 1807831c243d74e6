package balance

import (
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// Schema holds the migrations of the service's state tables, in the folder schema.
//
//go:embed schema/*.sql
var Schema embed.FS

const keyTable = "balance_keys"

var accountSchema = book.Schema[Account]{
	Table: "balance_accounts",
	Columns: []string{"kind", "currency", "status", "debits_posted", "credits_posted", "debits_pending", "credits_pending", "cap",
		"limit_day_in", "limit_day_out", "limit_month_in", "limit_month_out",
		"used_day", "used_day_in", "used_day_out", "used_month_in", "used_month_out", "version", "opened_at"},
	Args: func(a *Account, args []any) []any {
		return append(args, a.Kind.String(), int64(a.Currency), a.Status.String(),
			a.DebitsPosted, a.CreditsPosted, a.DebitsPending, a.CreditsPending, a.Cap,
			a.Limits.DayIn, a.Limits.DayOut, a.Limits.MonthIn, a.Limits.MonthOut,
			int64(a.Used.Day), a.Used.DayIn, a.Used.DayOut, a.Used.MonthIn, a.Used.MonthOut, int64(a.Version), int64(a.OpenedAt))
	},
	Scan: func(scan func(...any) error, a *Account) error {
		var kind, status string
		err := scan(&kind, &a.Currency, &status, &a.DebitsPosted, &a.CreditsPosted, &a.DebitsPending, &a.CreditsPending, &a.Cap,
			&a.Limits.DayIn, &a.Limits.DayOut, &a.Limits.MonthIn, &a.Limits.MonthOut,
			&a.Used.Day, &a.Used.DayIn, &a.Used.DayOut, &a.Used.MonthIn, &a.Used.MonthOut, &a.Version, &a.OpenedAt)
		if err != nil {
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
	},
}

var branchSchema = book.Schema[Branch]{
	Table: "balance_branches",
	Columns: []string{"status", "purpose", "account", "currency", "amount", "posted", "released", "held_on", "effective_at", "fingerprint",
		"seq", "at", "available", "captures", "end_seq", "end_at", "end_available", "code", "message"},
	Args: func(b *Branch, args []any) []any {
		h := &b.Hold
		return append(args, b.Status.String(), int64(b.Purpose), bytes(h.Account), int64(b.Currency), h.Amount, h.Posted, h.Released,
			int64(h.HeldOn), int64(b.EffectiveAt), bytes(id.ID(b.Print)), int64(b.First.Seq), int64(b.First.At), b.First.Available,
			captureText(b.Captures), int64(b.Last.Seq), int64(b.Last.At), b.Last.Available, b.Code, b.Message)
	},
	Scan: func(scan func(...any) error, b *Branch) error {
		var status, captures string
		var account, print []byte
		h := &b.Hold
		err := scan(&status, &b.Purpose, &account, &b.Currency, &h.Amount, &h.Posted, &h.Released, &h.HeldOn, &b.EffectiveAt, &print,
			&b.First.Seq, &b.First.At, &b.First.Available, &captures, &b.Last.Seq, &b.Last.At, &b.Last.Available, &b.Code, &b.Message)
		if err != nil {
			return err
		}
		copy(h.Account[:], account)
		copy(b.Print[:], print)
		var ok bool
		if b.Status, ok = ParseBranchStatus(status); !ok {
			return fmt.Errorf("a branch with status %q", status)
		}
		if b.Status <= Cancelled && h.Amount > 0 {
			h.Side = ledger.Debit
			if err := h.Check(); err != nil {
				return err
			}
		}
		b.Captures, err = parseCaptures(captures)
		return err
	},
}

var creditSchema = book.Schema[Credit]{
	Table: "balance_credits",
	Columns: []string{"account", "currency", "amount", "effective_at", "seq", "at", "account_status", "posted", "available",
		"code", "message"},
	Args: func(c *Credit, args []any) []any {
		return append(args, bytes(c.Account), int64(c.Amount.Currency), c.Amount.Minor, int64(c.EffectiveAt), int64(c.Seq), int64(c.At),
			statusText(c.Status), c.Posted, c.Available, c.Code, c.Message)
	},
	Scan: func(scan func(...any) error, c *Credit) error {
		var account []byte
		var status string
		err := scan(&account, &c.Amount.Currency, &c.Amount.Minor, &c.EffectiveAt, &c.Seq, &c.At, &status, &c.Posted, &c.Available,
			&c.Code, &c.Message)
		copy(c.Account[:], account)
		c.Status, _ = ledger.ParseStatus(status) // none for a credit that was refused
		return err
	},
}

func statusText(s ledger.Status) string {
	if s == 0 {
		return ""
	}
	return s.String()
}

// bytes copies an id out of its row, which may change before it is saved.
func bytes(x id.ID) []byte { return append([]byte(nil), x[:]...) }

// captureText writes captures for people and for parseCaptures: "number amount seq at available fingerprint", one
// after another with a semicolon between.
func captureText(list []Capture) string {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, "%d %d %d %d %d %x", c.Number, c.Amount, c.Seq, int64(c.At), c.Available, c.Print)
	}
	return b.String()
}

func parseCaptures(text string) (list []Capture, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ";") {
		var c Capture
		var print string
		if _, err := fmt.Sscanf(part, "%d %d %d %d %d %s", &c.Number, &c.Amount, &c.Seq, &c.At, &c.Available, &print); err != nil {
			return nil, fmt.Errorf("a branch with captures %q: %w", text, err)
		}
		raw, err := hex.DecodeString(print)
		if err != nil || len(raw) != len(c.Print) || c.Amount <= 0 || c.Amount > money.MaxStored {
			return nil, errors.New("a branch with captures " + text)
		}
		c.Print = Print(raw)
		list = append(list, c)
	}
	return list, nil
}
