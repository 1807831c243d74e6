package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// Verb is one of the contract's, as the last part of an address.
type Verb string

// The verbs.
const (
	Try     Verb = "try"
	Confirm Verb = "confirm"
	Cancel  Verb = "cancel"
	Add     Verb = "add" // of a receiver only
)

// Limits of the wire.
const (
	maxBody  = 64 << 10                                  // bytes of a request, and of an answer
	maxText  = 64                                        // characters of an id, a code or a book
	maxValue = 1<<53 - 1                                 // minor units: what every JSON reader takes for the same integer
	maxParts = 16                                        // fundings of one amount
	patience = time.Minute                               // the longest a call may last, whatever its context says
	maxTime  = clock.Micros(253402300799) * clock.Second // the last second that RFC 3339 can write
)

// Amount is money on the wire.
type Amount struct {
	Currency string `json:"currency"`
	Value    int64  `json:"value"`
}

// Time is a point in time on the wire: RFC 3339 in UTC.
type Time clock.Micros

// MarshalJSON writes t with microseconds.
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(clock.Micros(t).String()) }

// UnmarshalJSON reads RFC 3339 and cuts what is finer than a microsecond.
func (t *Time) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("expected a time as text, such as 2026-11-22T07:00:00Z")
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() < 1970 {
		return fmt.Errorf("expected a time of RFC 3339 since 1970, such as 2026-11-22T07:00:00Z")
	}
	*t = Time(clock.FromTime(at))
	return nil
}

// Funding is a part of an amount, and where it comes from or goes to within the participant's books.
type Funding struct {
	Kind   string `json:"kind"`
	Amount Amount `json:"amount"`
}

// TryBody is the body of a Try.
type TryBody struct {
	Branch      string `json:"branch"`
	Tenant      uint32 `json:"tenant"`
	Account     string `json:"account"`
	Amount      Amount `json:"amount"`
	Purpose     string `json:"purpose"`
	NotAfter    Time   `json:"not_after"`
	EffectiveAt Time   `json:"effective_at"`
	Customer    string `json:"customer,omitempty"`
	Merchant    string `json:"merchant,omitempty"`
}

// ConfirmBody is the body of a Confirm.
type ConfirmBody struct {
	Branch      string    `json:"branch"`
	Tenant      uint32    `json:"tenant"`
	Account     string    `json:"account"`
	Capture     uint32    `json:"capture"`
	Amount      Amount    `json:"amount"`
	Final       bool      `json:"final"`
	EffectiveAt Time      `json:"effective_at"`
	To          []Funding `json:"to,omitempty"`
}

// CancelBody is the body of a Cancel.
type CancelBody struct {
	Branch      string `json:"branch"`
	Tenant      uint32 `json:"tenant"`
	Account     string `json:"account"`
	NotAfter    Time   `json:"not_after"`
	EffectiveAt Time   `json:"effective_at"`
}

// AddBody is the body of an Add.
type AddBody struct {
	Branch      string    `json:"branch"`
	Tenant      uint32    `json:"tenant"`
	Account     string    `json:"account"`
	Amount      Amount    `json:"amount"`
	Purpose     string    `json:"purpose"`
	Funding     []Funding `json:"funding,omitempty"`
	Origin      string    `json:"origin,omitempty"`
	EffectiveAt Time      `json:"effective_at"`
}

// Receipt is the body of an answer that says done. Every member may be left out.
type Receipt struct {
	Book      string `json:"book,omitempty"`
	Seq       uint64 `json:"seq,omitempty"`
	At        *Time  `json:"at,omitempty"`
	Suspense  bool   `json:"suspense,omitempty"`
	Available int64  `json:"available,omitempty"`
}

// Refusal is the member error of an answer that says no, or not now.
type Refusal struct {
	Code    string `json:"code"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
}

type refusalBody struct {
	Error *Refusal `json:"error"`
}

func toReceipt(r tcc.Receipt) Receipt {
	out := Receipt{Book: r.Book, Seq: r.Seq, Suspense: r.Suspense, Available: r.Available}
	if r.At != 0 {
		at := Time(r.At)
		out.At = &at
	}
	return out
}

func (r Receipt) receipt() tcc.Receipt {
	out := tcc.Receipt{Book: r.Book, Seq: r.Seq, Suspense: r.Suspense, Available: r.Available}
	if r.At != nil {
		out.At = clock.Micros(*r.At)
	}
	return out
}
