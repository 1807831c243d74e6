package balance

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// The commands, beside those of package branch. A day is the business day of the time the request takes effect at, in the tenant's calendar.
type (
	// Open opens an account of an owner who exists. Opening it again with the same terms is no error. The reply is an
	// Account. Refused with: account_not_found (the id is no owner's account here), account_exists (other terms),
	// invalid_currency, invalid_request.
	Open struct {
		Tenant  id.Tenant
		Account id.ID
		Terms   Terms
	}
	// OpenOwner names a new owner and opens an account, with an amount out of suspense if Opening is above zero. The
	// reply is the owner's id.ID: of the first request with the key. Refused as Open is, and with
	// idempotency_key_reused, invalid_amount, limit_exceeded, supply_exhausted.
	OpenOwner struct {
		Key         book.Key
		Print       Print // of the caller's body
		Owner       id.ID // the id to use if the key is new
		Kind        Kind
		Terms       Terms
		Opening     int64 // minor units
		EffectiveAt clock.Micros
		Day         ledger.Day
	}
	// AddCredit adds to an account out of suspense, for an operator. The reply is a Credit, or Repeated if the key is
	// known. Refused with: idempotency_key_reused, account_not_found, what ledger.Account.CanReceive says,
	// limit_exceeded (the account would hold more than money.MaxWire) and supply_exhausted (BL8).
	AddCredit struct {
		Key         book.Key
		Print       Print
		ID          id.ID // the credit's id, if the key is new
		Account     id.ID
		Amount      money.Amount
		EffectiveAt clock.Micros
		Day         ledger.Day
	}
	// Repeated says that the key stands for a credit already: ask for it with GetCredit.
	Repeated struct{ ID id.ID }
	// SetStatus suspends an account, lifts the suspension (ledger.Open) or closes it. Where the status is that
	// already, nothing happens. The reply is the Account. Refused with: account_not_found, and what
	// ledger.Account.CanBecome says.
	SetStatus struct {
		Tenant  id.Tenant
		Account id.ID
		Status  ledger.Status
	}
	// Get reads an account, a volume's own too. The reply is an Account. Refused with account_not_found.
	Get struct {
		Tenant  id.Tenant
		Account id.ID
	}
	// GetCredit reads a credit. The reply is a Credit, or its refusal. It must exist.
	GetCredit struct {
		Tenant id.Tenant
		ID     id.ID
	}
)

// entry is a journal entry of one book; accounts and holds are named by their ids.
type entry = ledger.Entry[id.ID]

// The events. Each carries the outcome of a decision; nothing in them is decided again.
type (
	accountOpened struct {
		Tenant      id.Tenant
		Account     id.ID
		Terms       Terms
		Opening     int64
		EffectiveAt clock.Micros
		Key         id.ID // nil: opened without one
		Print       Print
		Entry       entry // none if Opening is 0
	}
	statusChanged struct {
		Tenant    id.Tenant
		Account   id.ID
		Currency  money.Currency
		Status    ledger.Status
		Posted    int64
		Available int64
	}
	credited struct {
		Tenant      id.Tenant
		ID, Account id.ID
		Amount      money.Amount
		EffectiveAt clock.Micros
		Key         id.ID
		Print       Print
		Entry       entry
		Status      ledger.Status
		Posted      int64
		Available   int64
	}
	creditRefused struct {
		Tenant        id.Tenant
		ID, Account   id.ID
		Amount        money.Amount
		EffectiveAt   clock.Micros
		Key           id.ID
		Print         Print
		Code, Message string
	}
	// part is what the events of a branch have in common.
	part struct {
		Tenant          id.Tenant
		Branch, Account id.ID
		Purpose         tcc.Purpose
		EffectiveAt     clock.Micros
	}
	tryHeld struct {
		part
		Amount    money.Amount
		NotAfter  clock.Micros
		Print     branch.Print
		Entry     entry
		Available int64
	}
	tryRefused struct {
		part
		Amount   money.Amount
		NotAfter clock.Micros
		Print    branch.Print
		Refusal  branch.Refusal
	}
	confirmed struct {
		part
		Capture   uint32
		Amount    money.Amount
		Print     branch.Print
		Entry     entry
		Available int64
	}
	cancelled struct {
		part
		Currency  money.Currency
		NotAfter  clock.Micros
		Entry     entry // none for a tombstone
		Available int64
	}
	added struct {
		part
		Amount    money.Amount
		Origin    id.ID
		Print     branch.Print
		Entry     entry // none if it came from suspense and stayed there
		Available int64
		Refusal   branch.Refusal // why it stands in suspense
	}
)
