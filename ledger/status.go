package ledger

import (
	"github.com/koban-pay/koban/fault"
)

// Side is one of the two sides of an account.
type Side uint8

// The sides.
const (
	Debit Side = iota + 1
	Credit
)

// Opposite returns the other side.
func (s Side) Opposite() Side { return Debit + Credit - s }

// String returns "debit" or "credit".
func (s Side) String() string {
	switch s {
	case Debit:
		return "debit"
	case Credit:
		return "credit"
	default:
		return "invalid"
	}
}

// Status says what may happen on an account. The numbers may be stored.
type Status uint8

// The statuses. Suspension never stops a hold that exists from being posted or voided.
const (
	Open      Status = iota + 1
	NoOut            // suspended: nothing may be taken
	NoIn             // suspended: nothing may be added
	Suspended        // suspended in full
	Closed           // empty, for good
)

var statusWords = [...]string{Open: "open", NoOut: "no_out", NoIn: "no_in", Suspended: "suspended", Closed: "closed"}

// String returns the status in lower case: "open", "no_out", "no_in", "suspended" or "closed".
func (s Status) String() string {
	if s < Open || s > Closed {
		return "invalid"
	}
	return statusWords[s]
}

// ParseStatus is the inverse of String.
func ParseStatus(word string) (Status, bool) {
	for s := Open; s <= Closed; s++ {
		if statusWords[s] == word {
			return s, true
		}
	}
	return 0, false
}

func (s Status) admit(receives bool) *fault.Error {
	switch {
	case !heeded(receives):
	case s == Closed:
		return fault.AccountClosed.New("")
	case s == Suspended, s == NoIn && receives, s == NoOut && !receives:
		return fault.AccountSuspended.New("")
	}
	return nil
}

// CanBecome reports whether the status of a may become to: nil, or the reason it may not. Suspending and lifting are
// always possible before the account is closed, whatever is held.
//
// Errors: invalid_request (no such status), account_closed (it is closed already), account_not_empty (money or a hold
// stands in the way of closing; a negative balance does too).
func (a *Account) CanBecome(to Status) *fault.Error {
	switch {
	case to < Open || to > Closed:
		return fault.InvalidRequest.New("there is no status %d", to)
	case a.Status == Closed:
		return fault.AccountClosed.New("")
	case to == Closed && a.inUse():
		return fault.AccountNotEmpty.New("")
	}
	return nil
}

// Become sets the status. It panics where CanBecome gives a reason.
func (a *Account) Become(to Status) {
	if err := a.CanBecome(to); err != nil {
		panic("ledger: " + a.Status.String() + " became " + to.String() + ": " + err.Error())
	}
	a.Status = to
}
