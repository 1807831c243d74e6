package points

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc/branch"
)

// Schema holds the migrations of the state tables.
//
//go:embed schema/*.sql
var Schema embed.FS

const keyTable = "points_keys"

var (
	kindTexts    = book.Words(Customer)
	accountTexts = book.Words(ledger.Closed)
	branchTexts  = book.Words(branch.Added)
)

// Points have no caps or limits, so the tables have no columns for them. The currency and the normal side of every
// account are the same, and its kind says whether it may go below zero.
//
// Rows are packed in the given memory again and again: what Args returns is copied before the next row.
func accountSchema(pack *book.Pack) book.Schema[Account] {
	return book.Schema[Account]{
		Table: "points_accounts",
		Columns: []string{
			"kind", "status", "debits_posted", "credits_posted", "debits_pending", "credits_pending", "version", "next_lot", "lots", "rest",
		},
		Fixed: []string{"kind"},
		Args: func(a *Account, args []any) []any {
			u := &a.Used
			*pack = (*pack)[:0].Bytes(a.Owner[:]).Int(int64(u.Day)).Int(u.DayIn).Int(u.DayOut).Int(u.MonthIn).Int(u.MonthOut).
				Int(int64(a.OpenedAt))
			return append(args, kindTexts[a.Kind], accountTexts[a.Status], a.DebitsPosted, a.CreditsPosted, a.DebitsPending, a.CreditsPending,
				int64(a.Version), a.NextLot, lotsText(a.Lots), []byte(*pack))
		},
		Scan: scanAccount,
		Due:  func(a *Account) clock.Micros { return a.Lots.Due() },
	}
}

func scanAccount(scan func(dest ...any) error, a *Account) error {
	var kind, status, lots string
	var rest []byte
	var version int64
	*a = newAccount(Customer)
	err := scan(&kind, &status, &a.DebitsPosted, &a.CreditsPosted, &a.DebitsPending, &a.CreditsPending, &version, &a.NextLot, &lots, &rest)
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
	a.Version = uint64(version)
	var ids wire.Reader
	r := book.NewUnpack(rest)
	a.Owner = ids.ID(r.Bytes())
	a.Used = ledger.Usage{Day: ledger.Day(r.Int()), DayIn: r.Int(), DayOut: r.Int(), MonthIn: r.Int(), MonthOut: r.Int()}
	a.OpenedAt = clock.Micros(r.Int())
	if err := cmp.Or(r.Err(), ids.Err()); err != nil {
		return err
	}
	return readList(lots, &a.Lots)
}

// readList reads a list that a row has as JSON. A member that this version does not know may change what the others mean.
func readList[T any](text string, list *T) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(list); err != nil {
		return fmt.Errorf("points: a list of a row: %w", err)
	}
	if d.InputOffset() != int64(len(text)) {
		return fmt.Errorf("points: something follows a list of a row")
	}
	return nil
}

func branchSchema(pack *book.Pack) book.Schema[Branch] {
	return book.Schema[Branch]{
		Table:   "points_branches",
		Passing: true,
		Columns: []string{"account", "status", "amount", "posted", "released", "refusal_code", "lots", "rest"},
		Fixed:   []string{"account"},
		Args: func(b *Branch, args []any) []any {
			*pack = b.Pack((*pack)[:0].Int(int64(b.Hold.HeldOn)))
			return append(args, b.Account[:], branchTexts[b.Status], b.Hold.Amount, b.Hold.Posted, b.Hold.Released, b.Refusal.Code, takenText(b.Lots), []byte(*pack))
		},
		Scan: scanBranch,
	}
}

func scanBranch(scan func(dest ...any) error, b *Branch) error {
	var on, rest []byte
	var status, lots string
	h := &b.Hold
	if err := scan(&on, &status, &h.Amount, &h.Posted, &h.Released, &b.Refusal.Code, &lots, &rest); err != nil {
		return err
	}
	var ok bool
	if b.Status, ok = branch.ParseStatus(status); !ok {
		return fmt.Errorf("points: a branch of status %q", status)
	}
	var r wire.Reader
	if b.Account = r.ID(on); r.Err() != nil {
		return r.Err()
	}
	if h.Amount > 0 {
		h.Account, h.Side = b.Account, ledger.Debit
	}
	u := book.NewUnpack(rest)
	h.HeldOn = ledger.Day(u.Int())
	return cmp.Or(b.Unpack(u), readList(lots, &b.Lots))
}

var grantSchema = book.Schema[GrantRow]{
	Table:   "points_grants",
	Passing: true,
	Columns: []string{
		"account", "owner", "opened_at", "lot", "class", "expires_at", "amount", "posted", "held", "available", "account_status", "seq", "at",
		"refusal_code", "refusal_message", "refusal_param",
	},
	Args: func(g *GrantRow, args []any) []any {
		return append(args, g.Account[:], g.Owner[:], int64(g.OpenedAt), g.Lot.Lot, int64(g.Lot.Class), int64(g.Lot.ExpiresAt),
			g.Lot.Amount, g.Posted, g.Held, g.Available, int64(g.Status), int64(g.Seq), int64(g.At), g.Refusal.Code, g.Refusal.Message,
			g.Refusal.Param)
	},
	Scan: func(scan func(dest ...any) error, g *GrantRow) error {
		var account, owner []byte
		err := scan(&account, &owner, &g.OpenedAt, &g.Lot.Lot, &g.Lot.Class, &g.Lot.ExpiresAt, &g.Lot.Amount, &g.Posted, &g.Held,
			&g.Available, &g.Status, &g.Seq, &g.At, &g.Refusal.Code, &g.Refusal.Message, &g.Refusal.Param)
		var r wire.Reader
		g.Account, g.Owner = r.ID(account), r.ID(owner)
		g.Lot.Class = wire.Word(&r, "class", int64(g.Lot.Class), 0, Paid) // none of a grant that was refused
		g.Status = wire.Word(&r, "status", int64(g.Status), 0, ledger.Closed)
		return cmp.Or(err, r.Err())
	},
}

// textRoom is enough for a few lots. Texts are written on the stack, and made once.
const textRoom = 512

// lotsText is a list as people read it, in JSON. It is written by hand, because every payment does.
func lotsText(list Lots) string {
	var room [textRoom]byte
	b := append(room[:0], '[')
	for i := range list {
		l := &list[i]
		b = field(b, i, `{"lot":`, l.N)
		b = append(append(append(b, `,"class":"`...), l.Class.String()...), '"')
		b = field(b, 0, `,"left":`, l.Left)
		b = field(b, 0, `,"held":`, l.Held)
		b = append(field(b, 0, `,"expires_at":`, int64(l.ExpiresAt)), '}')
	}
	return string(append(b, ']'))
}

func takenText(list []Taken) string {
	var room [textRoom]byte
	b := append(room[:0], '[')
	for i := range list {
		t := &list[i]
		b = field(b, i, `{"lot":`, t.Lot)
		b = append(append(append(b, `,"class":"`...), t.Class.String()...), '"')
		b = field(b, 0, `,"expires_at":`, int64(t.ExpiresAt))
		b = field(b, 0, `,"held":`, t.Held)
		b = field(b, 0, `,"posted":`, t.Posted)
		b = field(b, 0, `,"released":`, t.Released)
		b = append(field(b, 0, `,"returned":`, t.Returned), '}')
	}
	return string(append(b, ']'))
}

// field appends a name and a number, after a comma if it is not the first of the list.
func field(b []byte, n int, name string, value int64) []byte {
	if n > 0 {
		b = append(b, ',')
	}
	return strconv.AppendInt(append(b, name...), value, 10)
}
