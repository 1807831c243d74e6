package branch

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// Row is what every participant knows of a branch: everything that a duplicate may ask for again.
type Row struct {
	Status   Status
	Account  id.ID     // the account or session that was asked
	Print    Print     // of the Try or the Add; zero in a tombstone
	First    Answer    // to the Try or the Add
	Last     Answer    // to the Cancel
	Captures []Capture // in the order they came
	Refusal  Refusal   // with Refused: why; with Added: why it stands in suspense
}

// Answer is how a verb was answered first.
type Answer struct {
	Seq       uint64 // of the block
	At        clock.Micros
	Available int64 // minor units on the account afterwards
	Suspense  bool  // an Add that landed in suspense
}

// Receipt returns the answer as the contract tells it.
func (a Answer) Receipt(book string) tcc.Receipt {
	return tcc.Receipt{Book: book, Seq: a.Seq, At: a.At, Suspense: a.Suspense, Available: a.Available}
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

// Refusal is a refusal that is told again to every duplicate.
type Refusal struct{ Code, Message, Param string }

// RefusalOf returns what a fault says.
func RefusalOf(err *fault.Error) Refusal { return Refusal{string(err.Code), err.Message, err.Param} }

// Fault is the inverse of RefusalOf.
func (r *Refusal) Fault() *fault.Error { return fault.Decode(r.Code, "", r.Message, r.Param) }

// Hold notes a Try that succeeded.
func (r *Row) Hold(account id.ID, p Print, a Answer) {
	r.become(Held)
	r.Account, r.Print, r.First = account, p, a
}

// Refuse notes a Try that was refused.
func (r *Row) Refuse(account id.ID, p Print, why Refusal, a Answer) {
	r.become(Refused)
	r.Account, r.Print, r.Refusal, r.First = account, p, why, a
}

// Capture notes a Confirm; ended says that nothing of the hold is left.
func (r *Row) Capture(c Capture, ended bool) {
	to := Held
	if ended {
		to = Confirmed
	}
	r.become(to)
	r.Captures = append(r.Captures, c)
}

// Cancel notes a Cancel: of what was held, or a tombstone.
func (r *Row) Cancel(account id.ID, a Answer) {
	r.become(Cancelled)
	r.Account, r.Last = account, a
}

// Add notes an Add; why says why it stands in suspense, nothing if it does not.
func (r *Row) Add(account id.ID, p Print, why Refusal, a Answer) {
	r.become(Added)
	r.Account, r.Print, r.Refusal, r.First = account, p, why, a
}

func (r *Row) capture(number uint32) *Capture {
	for i := range r.Captures {
		if r.Captures[i].Number == number {
			return &r.Captures[i]
		}
	}
	return nil
}

// lastCapture returns the answer to the last Confirm.
func (r *Row) lastCapture() Answer { return r.Captures[len(r.Captures)-1].Answer }
