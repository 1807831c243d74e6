package payment

import (
	"fmt"
	"time"
)

// A kind of payment is data: what is owed once something was decided, how long it may stay undecided, and what it ends in.
// The machine walks such a table.

// duty is a verb that is owed to every part of a role.
type duty struct {
	verb Verb
	role Role
}

type kind struct {
	name    string
	word    string // prefix of its public events
	giveUp  time.Duration
	success Status
	after   Resource  // the resource once it succeeded
	duties  [4][]duty // by decision
}

// giveUpAfter is how long a payment may stay undecided: a till cannot wait.
const giveUpAfter = 30 * time.Second

var kinds = [...]kind{
	Charge: {name: "charge", word: "payment", giveUp: giveUpAfter, success: Captured, after: Wait, duties: [...][]duty{
		Undecided: {{VerbTry, Hold}, {VerbTry, Claim}},
		Authorize: {{VerbConfirm, Claim}},
		Confirm:   {{VerbConfirm, Hold}, {VerbConfirm, Claim}, {VerbAdd, Add}},
		Cancel:    {{VerbCancel, Hold}, {VerbCancel, Claim}},
	}},
	Refund: {name: "refund", word: "refund", giveUp: giveUpAfter, success: Succeeded, after: Completed, duties: [...][]duty{
		Undecided: {{VerbTry, Hold}},
		Confirm:   {{VerbConfirm, Hold}, {VerbAdd, Add}},
		Cancel:    {{VerbCancel, Hold}},
	}},
}

// known reports whether there is such a kind.
func (k Kind) known() bool { return k > 0 && int(k) < len(kinds) }

// data returns what the kind is. An unknown one would owe nothing, and end as if all of it were done: it is a bug, and
// nothing that is read gives one (codec.go).
func (k Kind) data() *kind {
	if !k.known() {
		panic(fmt.Sprintf("payment: there is no kind %d", k))
	}
	return &kinds[k]
}

// dutiesOf returns what is owed once d was decided.
func (k Kind) dutiesOf(d Decision) []duty {
	if x := k.data(); int(d) < len(x.duties) {
		return x.duties[d]
	}
	return nil
}

// String returns the kind's word.
func (k Kind) String() string {
	if !k.known() {
		return "unknown"
	}
	return k.data().name
}
