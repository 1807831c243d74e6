package code

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Status says whether a session can be paid. The numbers are stored.
type Status uint8

// The statuses.
const (
	Open Status = iota + 1
	Used
	Expired
)

var statusWords = [...]string{Open: "OPEN", Used: "USED", Expired: "EXPIRED"}

// String returns the status as the API has it: OPEN, USED or EXPIRED.
func (s Status) String() string {
	if s < Open || s > Expired {
		return "INVALID"
	}
	return statusWords[s]
}

func parseStatus(word string) (Status, bool) {
	for s := Open; s <= Expired; s++ {
		if statusWords[s] == word {
			return s, true
		}
	}
	return 0, false
}

// SessionRow is one session's row.
type SessionRow struct {
	Customer  id.ID
	Merchant  id.ID
	Currency  money.Currency
	Minor     int64 // what the code carries; 0 where the payer enters it
	Status    Status
	OpenedAt  clock.Micros
	OpenUntil clock.Micros // when it would have expired as it was opened: what the first reply said
	ExpiresAt clock.Micros // while idle
	By        id.ID        // the branch that has reserved or used it; nil while idle
	Noted     bool         // what the code says for the shop's books stands in the session's note
}

// idle reports whether the session waits for a payment.
func (s *SessionRow) idle() bool { return s.Status == Open && s.By.IsNil() }

// lapsed reports whether nobody paid the session in time, whether its timer has rung or not.
func (s *SessionRow) lapsed(now clock.Micros) bool {
	return s.Status == Expired || s.idle() && s.ExpiresAt <= now
}

// admit returns why the session cannot be reserved for a payment, nil if it can.
func (s *SessionRow) admit(now clock.Micros, r *tcc.TryRequest) *fault.Error {
	switch {
	case s == nil:
		return fault.SessionNotFound.New("").WithParam("session")
	case s.Customer != r.Customer && planted.Bug != planted.SessionForeign:
		return fault.SessionForeign.New("").WithParam("customer")
	case s.Merchant != r.Merchant:
		return fault.SessionMismatch.New("the code is of another merchant").WithParam("merchant")
	case s.Currency != r.Amount.Currency:
		return fault.SessionMismatch.New("the code is in %v, not in %v", s.Currency, r.Amount.Currency).WithParam("amount.currency")
	case s.Minor != 0 && s.Minor != r.Amount.Minor:
		return fault.SessionMismatch.New("the code carries %v, not %v", money.Amount{Minor: s.Minor, Currency: s.Currency}, r.Amount).
			WithParam("amount")
	case !s.By.IsNil() && planted.Bug != planted.SessionTwice:
		return fault.SessionUsed.New("")
	case s.lapsed(now):
		return fault.SessionExpired.New("")
	}
	return nil
}

// Session is a session as callers see it at a time.
type Session struct {
	ID        id.ID
	Customer  id.ID
	Merchant  id.ID
	Amount    *money.Amount // what the code carries; nil where the payer enters it
	ExpiresAt clock.Micros
	Status    Status
	Noted     bool // it has labels
}

func (s *SessionRow) view(x id.ID, now clock.Micros) Session {
	v := Session{
		ID: x, Customer: s.Customer, Merchant: s.Merchant, Amount: s.amount(), ExpiresAt: s.ExpiresAt, Status: s.Status,
		Noted: s.Noted,
	}
	if s.lapsed(now) {
		v.Status = Expired
	}
	return v
}

// first returns the session as the reply that opened it said.
func (s *SessionRow) first(x id.ID) Session {
	return Session{
		ID: x, Customer: s.Customer, Merchant: s.Merchant, Amount: s.amount(), ExpiresAt: s.OpenUntil, Status: Open,
		Noted: s.Noted,
	}
}

func (s *SessionRow) amount() *money.Amount {
	if s.Minor == 0 {
		return nil
	}
	return &money.Amount{Minor: s.Minor, Currency: s.Currency}
}

// BranchStatus says what became of a branch. The numbers are stored.
type BranchStatus uint8

// The statuses of a branch.
const (
	Reserved  BranchStatus = iota + 1
	Refused                // the Try was refused
	Confirmed              // the session is used
	Cancelled              // the session was given back, or the Cancel came before any Try
)

var branchWords = [...]string{Reserved: "RESERVED", Refused: "REFUSED", Confirmed: "CONFIRMED", Cancelled: "CANCELLED"}

// String returns the status in capitals, as the tables have it.
func (s BranchStatus) String() string {
	if s < Reserved || s > Cancelled {
		return "INVALID"
	}
	return branchWords[s]
}

func parseBranchStatus(word string) (BranchStatus, bool) {
	for s := Reserved; s <= Cancelled; s++ {
		if branchWords[s] == word {
			return s, true
		}
	}
	return 0, false
}

// Branch is the row of one branch: everything that a duplicate may ask for again.
type Branch struct {
	Session id.ID
	Status  BranchStatus
	Amount  money.Amount // of the Try
	Print   [16]byte     // of the Try
	First   Answer       // to the Try; Seq 0 if it never came
	Refusal Refusal      // with Refused
	Capture uint32       // with Confirmed: the first capture
	Taken   [16]byte     // with Confirmed: the print of its request
	End     Answer       // to the Confirm or the Cancel
}

// Answer is what a verb was answered with.
type Answer struct {
	Seq uint64
	At  clock.Micros
}

func (a Answer) receipt(book string) tcc.Receipt {
	return tcc.Receipt{Book: book, Seq: a.Seq, At: a.At}
}

// Refusal is a refusal that is told again to every duplicate.
type Refusal struct{ Code, Message, Param string }

func (r *Refusal) fault() *fault.Error { return fault.Decode(r.Code, "", r.Message, r.Param) }
