package tcc

import (
	"context"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// Branch names one participant's part in one payment. Its id is the payment's id with the part's number as facet,
// so that the branch of a fresh payment is known to be new without a look-up. It is the idempotency key of all verbs:
// another part of the payment is another branch, and so is the same id of another tenant.
type Branch struct {
	Tenant id.Tenant
	ID     id.ID // the payment's id, facet 1 … 255
}

// Payment returns the id of the payment that b is a part of.
func (b Branch) Payment() id.ID { return b.ID.Root() }

// Purpose says why value moves, for statements and for the participants' rules.
type Purpose uint8

// The purposes.
const (
	Charge Purpose = iota + 1 // a customer pays a merchant
	Refund                    // a merchant gives back
	Credit                    // an operator adds from suspense
)

// Funding is one source that an Add is paid out of, within the receiving book.
type Funding struct {
	From   string // the kind of a volume's own account: "payment_clearing", "points_funding", "points_redeemed", "suspense"
	Amount money.Amount
}

// TryRequest asks whether the amount can be taken from Account, and sets it aside if so.
type TryRequest struct {
	Branch      Branch
	Account     id.ID // the account, or the session
	Amount      money.Amount
	Purpose     Purpose
	NotAfter    clock.Micros // a Try that arrives later is refused
	EffectiveAt clock.Micros // the payment's business time
	Customer    id.ID        // who pays: a session checks that it was opened for them
	Merchant    id.ID        // who is paid: a session checks that it is theirs
}

// ConfirmRequest takes what was set aside.
type ConfirmRequest struct {
	Branch      Branch
	Account     id.ID
	Capture     uint32 // number of the capture within the payment, from 1
	Amount      money.Amount
	Final       bool // releases what is left of the hold, in the same block
	EffectiveAt clock.Micros
	// To names where the amount goes within the participant's book. Empty: the participant's standard way out
	// ("payment_clearing" for balance, "points_redeemed" for points).
	To []Funding
}

// CancelRequest lets go of what was set aside.
type CancelRequest struct {
	Branch      Branch
	Account     id.ID
	NotAfter    clock.Micros // of the Try: the tombstone of a Try that never came stays until then and a margin
	EffectiveAt clock.Micros
}

// AddRequest adds the amount to Account. Adding always succeeds: what meets a cap, a closure or a suspension lands in
// suspense, and Receipt says so.
type AddRequest struct {
	Branch      Branch
	Account     id.ID
	Amount      money.Amount
	Purpose     Purpose
	Funding     []Funding // sums to Amount (points: of the points' own currency)
	Origin      id.ID     // for a refund: the branch whose Confirm took the value, so that points return to their lots
	EffectiveAt clock.Micros
}

// Receipt tells what a verb did and where that is written, for explaining a payment.
type Receipt struct {
	Book      string       // the participant's book, such as "balance/03"
	Seq       uint64       // the block that holds the effect; 0 if the reply was given without a new block
	At        clock.Micros // the block's time
	Suspense  bool         // an Add that landed in suspense
	Available int64        // minor units available on the account afterwards, where it is one
}

// Participant is whoever can set value aside. Each verb answers only after its effect is durable.
//
// Errors: a fault whose outcome (see OutcomeOf) is Refused is a definite no; any other error is Unknown.
type Participant interface {
	// Try sets the amount aside. A duplicate gives the first answer again. A Try after its Cancel is refused with
	// try_after_cancel, one after NotAfter with try_too_late. The same branch with another body: id_reused.
	Try(context.Context, TryRequest) (Receipt, error)
	// Confirm takes what Try set aside. A duplicate gives the first answer again. No expiry or suspension since the
	// Try may stop it. Without a Try: not_tried; after a Cancel: already_cancelled; both mean a broken coordinator.
	Confirm(context.Context, ConfirmRequest) (Receipt, error)
	// Cancel lets go, also where the Try was refused, is unknown or never came (which leaves a tombstone). A
	// duplicate succeeds. After a Confirm, also one that was not final: already_confirmed, and nothing changes. What is
	// left of the hold then ends with a final Confirm, which whoever sent the first one owes.
	Cancel(context.Context, CancelRequest) (Receipt, error)
}

// Receiver is whoever can be given value.
type Receiver interface {
	// Add adds. A duplicate gives the first answer again. It is never refused for a reason of business: to an account
	// that does not exist, or cannot take it, it is done and lands in suspense.
	Add(context.Context, AddRequest) (Receipt, error)
}

// Outcome is one of three, never two.
type Outcome uint8

// The outcomes.
const (
	Done Outcome = iota + 1
	Refused
	Unknown
)

// String returns the outcome's word.
func (o Outcome) String() string {
	switch o {
	case Done:
		return "done"
	case Refused:
		return "refused"
	default:
		return "unknown"
	}
}

// OutcomeOf classifies the error of a verb. Refused are the definite kinds only: refused, invalid, denied, not_found.
// A conflict, a busy or dead peer, a timeout and anything not understood are unknown (docs/concepts/tcc.md).
func OutcomeOf(err error) Outcome {
	switch fault.KindOf(err) {
	case "":
		return Done
	case fault.Refused, fault.Invalid, fault.Denied, fault.NotFound:
		return Refused
	default:
		return Unknown
	}
}
