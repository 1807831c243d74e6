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

// Holder says whose an account is.
type Holder uint8

// The holders.
const (
	OfCustomer Holder = iota + 1
	OfMerchant
	OfVolume // a volume's own: its id has no time
)

// AccountKind is a kind of account: whose it is, the facet of its id, and the service that keeps it.
type AccountKind struct {
	Holder  Holder
	Facet   uint8
	Word    string // as statements and entries have it
	Service string
}

// AccountKinds are all kinds of accounts there are, of every service: the one list of facets. A facet is taken once among
// owners, and once among volumes.
var AccountKinds = [...]AccountKind{
	{OfCustomer, BalanceAccount, "balance", "balance"},
	{OfCustomer, PointsAccount, "points", "points"},
	{OfMerchant, PayableAccount, "payable", "balance"},

	{OfVolume, 1, "points_redeemed", "points"},
	{OfVolume, 2, "points_expired", "points"},
	{OfVolume, 3, "suspense", "points"},
	{OfVolume, 16, "payment_clearing", "balance"},
	{OfVolume, 17, "points_funding", "balance"},
	{OfVolume, 18, "suspense", "balance"},
	{OfVolume, 19, "fees", "balance"},
}

// KindOfAccount returns the kind of the account that an id names, false if it names none.
func KindOfAccount(x id.ID) (AccountKind, bool) {
	own := x.Time() == id.Nil.Time()
	for _, k := range AccountKinds {
		if k.Facet == x.Part() && (k.Holder == OfVolume) == own {
			return k, true
		}
	}
	return AccountKind{}, false
}

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
