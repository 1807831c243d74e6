package tcc

import (
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// Facets of an owner's id: an owner's account has the owner's id with one of these as facet, so that nobody has to
// look up who owns what.
const (
	BalanceAccount uint8 = 1 // a customer's cash balance, in the balance service
	PointsAccount  uint8 = 2 // a customer's points, in the points service
	PayableAccount uint8 = 3 // what the platform owes a merchant, in the balance service
)

// Entry is one ledger entry of a payment as a participant's journal tells it.
type Entry struct {
	Book string
	Seq  uint64
	At   clock.Micros
	Hash [32]byte
	What string // "hold", "post", "void", "add", "lot" …
	Legs []Leg
}

// Leg is one side of an entry.
type Leg struct {
	Account id.ID
	Kind    string // "balance", "points", "payable", or a volume's own: "payment_clearing" …
	Debit   bool
	Pending bool // on hold, not posted
	Amount  money.Amount
}

// BlockRef names a block of a participant's journal, as a Receipt told it.
type BlockRef struct {
	Book string
	Seq  uint64
}
