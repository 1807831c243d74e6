package payment

import (
	"time"
)

// A kind of payment is data: the steps forward, what undoes them, and how long it may stay undecided. The machine
// knows how to walk such a table; it knows nothing of charges.

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
	after   Resource // the resource once it succeeded
	duties  map[Decision][]duty
}

// giveUpAfter is how long a payment may stay undecided: a till cannot wait.
const giveUpAfter = 30 * time.Second

var kinds = map[Kind]kind{
	Charge: {name: "charge", word: "payment", giveUp: giveUpAfter, success: Captured, after: Wait, duties: map[Decision][]duty{
		Undecided: {{VerbTry, Hold}, {VerbTry, Claim}},
		Authorize: {{VerbConfirm, Claim}},
		Confirm:   {{VerbConfirm, Hold}, {VerbConfirm, Claim}, {VerbAdd, Add}},
		Cancel:    {{VerbCancel, Hold}, {VerbCancel, Claim}},
	}},
	Refund: {name: "refund", word: "refund", giveUp: giveUpAfter, success: Succeeded, after: Completed, duties: map[Decision][]duty{
		Undecided: {{VerbTry, Hold}},
		Confirm:   {{VerbConfirm, Hold}, {VerbAdd, Add}},
		Cancel:    {{VerbCancel, Hold}},
	}},
}

// String returns the kind's word.
func (k Kind) String() string {
	if d, ok := kinds[k]; ok {
		return d.name
	}
	return "unknown"
}
