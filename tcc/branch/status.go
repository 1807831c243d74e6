package branch

import "fmt"

// Status is where a branch stands. The numbers are stored.
type Status uint8

// The statuses.
const (
	Held      Status = iota + 1 // a Try succeeded; parts may be captured already
	Confirmed                   // captured, and what was left let go
	Cancelled                   // let go, or a tombstone
	Refused                     // a Try was refused
	Added                       // an Add came in, on the account or in suspense
)

var words = [...]string{Held: "HELD", Confirmed: "CONFIRMED", Cancelled: "CANCELLED", Refused: "REFUSED", Added: "ADDED"}

// String returns the status in capitals, as the tables have it.
func (s Status) String() string {
	if s < Held || s > Added {
		return ""
	}
	return words[s]
}

// ParseStatus is the inverse of String.
func ParseStatus(word string) (Status, bool) {
	for s := Held; s <= Added; s++ {
		if words[s] == word {
			return s, true
		}
	}
	return 0, false
}

// edges is the transition table of a branch. What it does not list cannot happen; 0 is a branch that does
// not exist.
var edges = [...][2]Status{
	{0, Held},
	{0, Refused},
	{0, Cancelled},
	{0, Added},
	{Held, Held},
	{Held, Confirmed},
	{Held, Cancelled},
}

// become moves a branch on. An event that the table does not know is a bug, or of a damaged journal.
func (r *Row) become(to Status) {
	for _, e := range edges {
		if e == [2]Status{r.Status, to} {
			r.Status = to
			return
		}
	}
	if !mayBecome(r.Status, to) {
		panic(fmt.Sprintf("branch: %+v became %v", r, to))
	}
	r.Status = to
}
