package balance

import (
	"fmt"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// BranchStatus is where a branch stands.
type BranchStatus uint8

// The statuses.
const (
	Held      BranchStatus = iota + 1 // a Try succeeded; parts may be captured already
	Confirmed                         // captured, and what was left released
	Cancelled                         // released, or a tombstone
	Refused                           // a Try was refused
	Added                             // an Add came in, on the account or in suspense
)

var branchWords = [...]string{"", "HELD", "CONFIRMED", "CANCELLED", "REFUSED", "ADDED"}

// String returns the status in capitals, as the tables have it.
func (s BranchStatus) String() string {
	if int(s) >= len(branchWords) {
		return ""
	}
	return branchWords[s]
}

// ParseBranchStatus is the inverse of String.
func ParseBranchStatus(word string) (BranchStatus, bool) {
	for s := Held; s <= Added; s++ {
		if branchWords[s] == word {
			return s, true
		}
	}
	return 0, false
}

// edges is the transition table of a branch. What it does not list cannot happen; 0 is a branch that does not exist.
var edges = [...][2]BranchStatus{
	{0, Held},
	{0, Refused},
	{0, Cancelled},
	{0, Added},
	{Held, Held},
	{Held, Confirmed},
	{Held, Cancelled},
}

// Answer is how a verb was answered first.
type Answer struct {
	Seq       uint64 // of the block
	At        clock.Micros
	Available int64 // minor units on the account afterwards
}

func (a Answer) receipt(book string) tcc.Receipt {
	return tcc.Receipt{Book: book, Seq: a.Seq, At: a.At, Available: a.Available}
}

// Capture is one Confirm.
type Capture struct {
	Number uint32
	Amount int64 // minor units
	Print  Print
	Answer
}

// MaxCaptures is the most captures of one branch.
const MaxCaptures = 100

// Branch is the row of one branch.
type Branch struct {
	Status BranchStatus
	// Hold is what was set aside. A branch that never held has only the account and the amount that was asked for;
	// its Side is 0. A tombstone has no amount.
	Hold        ledger.Hold[id.ID]
	Currency    money.Currency
	Purpose     tcc.Purpose
	EffectiveAt clock.Micros
	Print       Print     // of the Try or Add
	First       Answer    // to the Try or Add
	Captures    []Capture // in the order they came
	Last        Answer    // to the Cancel
	Code        string    // why the Try was refused, or why the Add stands in suspense
	Message     string
}

// held reports whether there was ever a hold.
func (b *Branch) held() bool { return b.Hold.Side != 0 }

func (b *Branch) become(to BranchStatus) {
	for _, e := range edges {
		if e == [2]BranchStatus{b.Status, to} {
			b.Status = to
			return
		}
	}
	panic(fmt.Sprintf("balance: branch %+v became %v", b, to))
}

func (b *Branch) capture(number uint32) *Capture {
	for i := range b.Captures {
		if b.Captures[i].Number == number {
			return &b.Captures[i]
		}
	}
	return nil
}

func otherBody() *fault.Error {
	return fault.IDReused.New("the branch was used for another request")
}

// answerTry answers a Try of a branch that exists.
func (b *Branch) answerTry(book string, p Print) (tcc.Receipt, *fault.Error) {
	switch {
	case planted.Bug == planted.TryAfterCancel && b.Status == Cancelled:
		return b.Last.receipt(book), nil
	case b.Status == Cancelled && !b.held():
		return tcc.Receipt{}, fault.TryAfterCancel.New("")
	case b.Status == Added, b.Print != p:
		return tcc.Receipt{}, otherBody()
	case b.Status == Refused:
		return tcc.Receipt{}, refusal(b.Code, b.Message)
	case b.Status == Cancelled: // "held" would be a lie by now
		return tcc.Receipt{}, fault.TryAfterCancel.New("")
	}
	return b.First.receipt(book), nil
}

// answerConfirm answers a Confirm that needs no new capture. ok is false if it needs one.
func (b *Branch) answerConfirm(book string, r *tcc.ConfirmRequest, p Print) (_ tcc.Receipt, ok bool, _ *fault.Error) {
	switch {
	case b == nil, b.Status == Refused:
		return tcc.Receipt{}, true, fault.NotTried.New("")
	case b.Status == Added, b.Hold.Account != r.Account:
		return tcc.Receipt{}, true, otherBody()
	case planted.Bug == planted.ConfirmAfterCancel && b.Status == Cancelled:
		return b.Last.receipt(book), true, nil
	case b.Status == Cancelled:
		return tcc.Receipt{}, true, fault.AlreadyCancelled.New("")
	}
	switch c := b.capture(r.Capture); {
	case c != nil && c.Print != p:
		return tcc.Receipt{}, true, fault.IDReused.New("capture %d was made with another request", r.Capture)
	case c != nil && planted.Bug != planted.ConfirmForgotten:
		return c.receipt(book), true, nil
	case len(b.Captures) == MaxCaptures:
		return tcc.Receipt{}, true, fault.LimitExceeded.New("the branch has %d captures already", MaxCaptures)
	}
	return tcc.Receipt{}, false, nil
}

// answerCancel answers a Cancel that changes nothing. ok is false if it lets go, or leaves a tombstone.
func (b *Branch) answerCancel(book string, r *tcc.CancelRequest) (_ tcc.Receipt, ok bool, _ *fault.Error) {
	switch {
	case b == nil:
		return tcc.Receipt{}, false, nil
	case b.Status == Added, b.Hold.Account != r.Account:
		return tcc.Receipt{}, true, otherBody()
	case b.Status == Refused: // nothing was held, and every Try to come is refused as the first was
		return tcc.Receipt{Book: book, At: b.First.At}, true, nil
	case b.Status == Cancelled:
		return b.Last.receipt(book), true, nil
	case planted.Bug == planted.CancelAfterConfirm && len(b.Captures) > 0:
		return b.First.receipt(book), true, nil
	case len(b.Captures) > 0:
		return tcc.Receipt{}, true, fault.AlreadyConfirmed.New("")
	}
	return tcc.Receipt{}, false, nil
}

// answerAdd answers an Add of a branch that exists.
func (b *Branch) answerAdd(book string, p Print) (tcc.Receipt, *fault.Error) {
	if b.Status != Added || b.Print != p {
		return tcc.Receipt{}, otherBody()
	}
	r := b.First.receipt(book)
	r.Suspense = b.Code != ""
	return r, nil
}
