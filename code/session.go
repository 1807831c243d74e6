package code

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
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
	case !belongs(s, r.Customer):
		return fault.SessionForeign.New("").WithParam("customer")
	case s.Merchant != r.Merchant:
		return fault.SessionMismatch.New("the code is of another merchant").WithParam("merchant")
	case s.Currency != r.Amount.Currency:
		return fault.SessionMismatch.New("the code is in %v, not in %v", s.Currency, r.Amount.Currency).WithParam("amount.currency")
	case s.Minor != 0 && s.Minor != r.Amount.Minor:
		return fault.SessionMismatch.New("the code carries %v, not %v", money.Amount{Minor: s.Minor, Currency: s.Currency}, r.Amount).
			WithParam("amount")
	case taken(s):
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

// Branch is the row of one branch; its account is the session.
type Branch struct {
	branch.Row
	Amount money.Amount // of the Try
}
