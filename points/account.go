package points

import (
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// Kind says what an account is for. The numbers are stored; those of a volume's own accounts are also the facets of
// their ids.
type Kind uint8

// The kinds.
const (
	Redeemed Kind = iota + 1 // the volume's own: what was spent
	Expired                  // the volume's own: what ran out
	Suspense                 // the volume's own: where points come from, and where they land that cannot land elsewhere
	Customer                 // a customer's points
)

var kindWords = [...]string{Redeemed: "points_redeemed", Expired: "points_expired", Suspense: "suspense", Customer: "points"}

// String returns the kind's word: "points", or that of a volume's own account.
func (k Kind) String() string {
	if k < Redeemed || k > Customer {
		return "invalid"
	}
	return kindWords[k]
}

// ParseKind is the inverse of String.
func ParseKind(word string) (Kind, bool) {
	for k := Redeemed; k <= Customer; k++ {
		if kindWords[k] == word {
			return k, true
		}
	}
	return 0, false
}

// OwnAccount returns the id of a volume's own account: the volume's first slot, and the kind as facet. It lies before
// every id that was made by the clock.
func OwnAccount(k Kind, volume, volumes int) id.ID {
	return id.Compose(0, id.FirstSlot(volume, volumes), [9]byte{}).Facet(uint8(k))
}

// Account is one account's row.
type Account struct {
	ledger.Account
	Kind     Kind
	Owner    id.ID // of a customer's account
	OpenedAt clock.Micros
	NextLot  int64 // the number that the next new lot gets
	Lots     Lots
}

// newAccount returns an account that nothing was posted to. Points are what the platform owes, so credit makes them
// grow; its own accounts may go below zero.
func newAccount(k Kind) Account {
	return Account{
		Account: ledger.Account{Currency: money.PT, Normal: ledger.Credit, Status: ledger.Open, MayGoNegative: k != Customer},
		Kind:    k, NextLot: 1,
	}
}

// View is an account as it is at a time: lots that have expired by then do not count, whether their timer has rung or
// not. Amounts are points.
type View struct {
	ID        id.ID
	Owner     id.ID
	Kind      Kind
	Status    ledger.Status
	Posted    int64
	Held      int64
	Available int64 // Posted less Held
	OpenedAt  clock.Micros
	Lots      Lots
}

func (a *Account) view(x id.ID, now clock.Micros) View {
	v := View{ID: x, Owner: a.Owner, Kind: a.Kind, Status: a.Status, Posted: a.Posted(), Held: a.Held(), Available: a.Available(), OpenedAt: a.OpenedAt}
	if a.Kind != Customer {
		return v
	}
	v.Available = a.Lots.Usable(now)
	v.Posted = v.Available + v.Held
	for i := range a.Lots {
		l := a.Lots[i]
		if gone(l.ExpiresAt, now) {
			l.Left = l.Held
		}
		if l.Left > 0 {
			v.Lots = append(v.Lots, l)
		}
	}
	return v
}

// Branch is the row of one branch.
type Branch struct {
	branch.Row
	Hold ledger.Hold[id.ID] // of a Try that succeeded
	Lots []Taken
}

// Taken is what a branch did with one lot. Amounts are points.
type Taken struct {
	Lot       int64        `json:"lot"`
	Class     Class        `json:"class"`
	ExpiresAt clock.Micros `json:"expires_at"`
	Held      int64        `json:"held"` // at the Try
	Posted    int64        `json:"posted"`
	Released  int64        `json:"released"`
	Returned  int64        `json:"returned"` // of Posted, by refunds; forfeited points count
}

func (t *Taken) open() int64 { return t.Held - t.Posted - t.Released }

// take appends the parts of the hold that make up amount, in the order in which they were held, and returns what is left.
func (b *Branch) take(into []Part, amount int64) (taken, rest []Part) {
	taken = into
	for i := range b.Lots {
		l := &b.Lots[i]
		n := min(amount, l.open())
		if n > 0 {
			taken = append(taken, Part{l.Lot, l.Class, l.ExpiresAt, n})
			amount -= n
		}
		if left := l.open() - n; left > 0 {
			rest = append(rest, Part{l.Lot, l.Class, l.ExpiresAt, left})
		}
	}
	return taken, rest
}

// refund returns the parts of what was spent that amount gives back, the last first; nil if less is left to return.
func (b *Branch) refund(amount int64) (parts []Part) {
	for i := len(b.Lots) - 1; i >= 0 && amount > 0; i-- {
		l := &b.Lots[i]
		if n := min(amount, l.Posted-l.Returned); n > 0 {
			parts = append(parts, Part{l.Lot, l.Class, l.ExpiresAt, n})
			amount -= n
		}
	}
	if amount > 0 {
		return nil
	}
	return parts
}

func (b *Branch) lot(n int64) *Taken {
	for i := range b.Lots {
		if b.Lots[i].Lot == n {
			return &b.Lots[i]
		}
	}
	return nil
}

// GrantRow is what a caller's key made: one grant, or its refusal.
type GrantRow struct {
	Account   id.ID
	Lot       Part
	Refusal   branch.Refusal
	Posted    int64 // of the account afterwards, as the reply said
	Held      int64
	Available int64
	Owner     id.ID
	OpenedAt  clock.Micros
	Status    ledger.Status
	Seq       uint64
	At        clock.Micros
}

func (g *GrantRow) reply(x id.ID, book string) Granted {
	return Granted{ID: x, Lot: g.Lot, Book: book, Seq: g.Seq, At: g.At, Account: View{
		ID: g.Account, Owner: g.Owner, Kind: Customer, Status: g.Status, Posted: g.Posted, Held: g.Held, Available: g.Available,
		OpenedAt: g.OpenedAt,
	}}
}
