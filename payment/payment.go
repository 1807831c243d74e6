package payment

import (
	"slices"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Kind says what a payment does. The numbers are stored.
type Kind uint8

// The kinds.
const (
	Charge Kind = 1 // a customer pays a merchant
	Refund Kind = 2 // a merchant gives back part or all of a charge
)

// Capture says when a charge's amount is taken.
type Capture uint8

// The capture modes.
const (
	Automatic Capture = 1 // at once
	Manual    Capture = 2 // by a capture that follows the authorization
)

// Status is the business state. The numbers are stored and are those of the public contract.
type Status uint8

// The statuses.
const (
	Accepted          Status = 1
	Authorized        Status = 2
	Captured          Status = 3
	PartiallyRefunded Status = 4
	Refunded          Status = 5
	Voided            Status = 6
	Expired           Status = 7
	Failed            Status = 8
	Succeeded         Status = 9
)

var statusNames = [...]string{
	"", "ACCEPTED", "AUTHORIZED", "CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED", "VOIDED",
	"EXPIRED", "FAILED", "SUCCEEDED",
}

// String returns the word of the public contract.
func (s Status) String() string { return name(statusNames[:], int(s)) }

// Resource says whether the platform still has something to do.
type Resource uint8

// The resource statuses.
const (
	WorkInProgress Resource = 1 // something is owed; recovery drives only these
	Wait           Resource = 2 // nothing is owed, and something may follow
	Completed      Resource = 3 // nothing is owed, and nothing can follow
	ResourceFailed Resource = 4 // ended without effect
)

var resourceNames = [...]string{"", "WORK_IN_PROGRESS", "WAIT", "COMPLETED", "FAILED"}

// String returns the word of the public contract.
func (r Resource) String() string { return name(resourceNames[:], int(r)) }

// Phase is the last completed step forward.
type Phase uint8

// The phases.
const (
	Init          Phase = 0
	Tried         Phase = 1 // every participant has set its part aside
	Authorization Phase = 2 // the authorization stands: the session is used, the amount is held
	ConfirmPhase  Phase = 3 // the decision to confirm is durable
	Confirmed     Phase = 4 // every participant has confirmed, and the receivers have added
	Notified      Phase = 5 // the outcome is on the feed
)

var phaseNames = [...]string{"init", "tried", "authorized", "confirm_decided", "confirmed", "notified"}

// String returns the phase's word.
func (p Phase) String() string { return name(phaseNames[:], int(p)) }

// Rollback is the last completed step backward.
type Rollback uint8

// The rollback phases.
const (
	NoRollback        Rollback = 0
	CancelPhase       Rollback = 1 // the decision to cancel is durable
	Released          Rollback = 2 // every participant has let go
	RollbackCompleted Rollback = 3 // the outcome is on the feed
)

var rollbackNames = [...]string{"", "cancel_decided", "released", "rollback_completed"}

// String returns the rollback phase's word, "" for none.
func (r Rollback) String() string { return name(rollbackNames[:], int(r)) }

// Decision is what was decided about the parts. Authorize holds them; Confirm and Cancel never change (PAY1).
type Decision uint8

// The decisions.
const (
	Undecided Decision = 0
	Authorize Decision = 1
	Confirm   Decision = 2
	Cancel    Decision = 3
)

var decisionNames = [...]string{"", "authorize", "confirm", "cancel"}

// String returns the decision's word, "" for none.
func (d Decision) String() string { return name(decisionNames[:], int(d)) }

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

// SourceType names what a payment is paid from.
type SourceType uint8

// The source types.
const (
	FromBalance SourceType = 1
	FromPoints  SourceType = 2
)

// Source is one account that a payment is paid from. Amounts are minor units of the payment's currency.
type Source struct {
	Type      SourceType
	Account   id.ID
	Amount    int64
	Captured  int64
	Refunded  int64
	Refunding int64 // what refunds under way will give back
}

// Participant names who holds a part. The numbers are stored.
type Participant uint8

// The participants.
const (
	Balance Participant = 1
	Points  Participant = 2
	Code    Participant = 3

	participants = 4 // more than any
)

var participantNames = [...]string{"", "balance", "points", "code"}

// String returns the participant's service.
func (p Participant) String() string { return name(participantNames[:], int(p)) }

// Role is what a part is for.
type Role uint8

// The roles.
const (
	Hold  Role = 1 // set aside, then taken or let go
	Claim Role = 2 // set aside, and taken as soon as the authorization stands: a session
	Add   Role = 3 // added once confirming was decided
)

// PartState is where a part stands.
type PartState uint8

// The states of a part.
const (
	Idle     PartState = 0
	Held     PartState = 1
	Refusing PartState = 2 // its Try was refused
	Unsure   PartState = 3 // its last verb has no known outcome
	Taken    PartState = 4
	LetGo    PartState = 5
	Added    PartState = 6
)

var partStateNames = [...]string{"idle", "held", "refused", "unknown", "confirmed", "cancelled", "added"}

// String returns the state's word.
func (s PartState) String() string { return name(partStateNames[:], int(s)) }

// Part is one participant's part in a payment.
type Part struct {
	Number      uint8 // facet of the branch, from 1
	Participant Participant
	Role        Role
	Account     id.ID // the account, or the session
	Amount      money.Amount
	Funding     []tcc.Funding // of a hold: where its Confirm puts the amount; of an add: what it is paid out of
	Origin      id.ID         // of a refund of points: the branch that took them
	Source      uint8         // which source it moves, from 1; 0 for none

	State   PartState
	Code    fault.Code // of the last refusal or unknown answer
	Answers []Answer   // the last answer to each verb; one that stands here is never changed
}

// Verb is one of the calls to a participant. The numbers are stored.
type Verb uint8

// The verbs.
const (
	VerbTry     Verb = 1
	VerbConfirm Verb = 2
	VerbCancel  Verb = 3
	VerbAdd     Verb = 4
)

var verbNames = [...]string{"", "try", "confirm", "cancel", "add"}

// String returns the verb's word.
func (v Verb) String() string { return name(verbNames[:], int(v)) }

// Answer is what a participant said to one verb.
type Answer struct {
	Number   uint8 // of the part
	Verb     Verb
	Outcome  tcc.Outcome
	Suspense bool       // an add that landed in suspense
	Attempts uint32     // calls made for this answer, since the last one
	Code     fault.Code // unless done
	At       clock.Micros
	Book     string // where the effect is written
	Seq      uint64
}

// Standing is where a payment stands. It changes as a whole.
type Standing struct {
	Status   Status
	Resource Resource
	Phase    Phase
	Rollback Rollback
	Decision Decision
	Aim      Status     // what a decided cancel ends in: FAILED, VOIDED or EXPIRED
	Failure  fault.Code // why it failed
	Refuser  uint8      // number of the part whose refusal decided that; 0 if none did
}

// Payment is one payment or refund, as it stood after one event. What a book answers with is what its row holds, and both
// share it with the answers before: it is never changed. Whoever wants another makes a copy.
type Payment struct {
	Standing
	Tenant      id.Tenant
	ID          id.ID
	Kind        Kind
	Capture     Capture
	Noted       bool // the caller's reference or metadata, or the code's labels stand in a note
	Marks       Marks
	Amount      money.Amount
	Customer    id.ID
	Merchant    id.ID
	Session     id.ID // nil: paid without a code
	Parent      id.ID // of a refund
	Sources     []Source
	Parts       []Part
	Captured    int64
	Refunded    int64
	CreatedAt   clock.Micros
	UpdatedAt   clock.Micros
	EffectiveAt clock.Micros // the business time, which travels with every leg
	CapturedAt  clock.Micros // the business time of a capture that came later, which its legs carry; 0 if none did
	GiveUpAt    clock.Micros // undecided until then: cancelled
	ExpiresAt   clock.Micros // of an authorization

	DeferredUntil clock.Micros // when the queue (recovery layer 2) drives it again; 0 if it is not queued
	Attempts      uint32       // times it was queued
	DeferredCode  fault.Code

	SettledAt     clock.Micros // when it was first stable, and as what: the answer to its request (PAY5)
	SettledStatus Status
	Operation     id.ID    // the capture or void under way
	Blocks        []uint64 // of its book, that hold its events
}

// Marks are what a payment is found by: HMACs of texts that stand in its note, 0 for a text that there is not. The texts
// themselves may be personal, and stand in no journal (rule B14).
type Marks struct {
	Reference      uint64 // the caller's own
	BillNumber     uint64 // of the code, as are the rest
	ReferenceLabel uint64
	TerminalLabel  uint64
}

// takenAt returns the business time of what is taken: a capture's own, if it came after the authorization.
func (p *Payment) takenAt() clock.Micros {
	if p.CapturedAt > 0 {
		return p.CapturedAt
	}
	return p.EffectiveAt
}

// version is what a payment's row holds. What it points to is never changed once an event was applied; the next event puts
// another payment in its place.
type version struct{ *Payment }

// next puts a copy in the place of what the row holds, to be changed by one event. It shares with what came before:
//   - Sources and Parts, of which an event that changes one makes its own (ownSources, ownParts);
//   - Blocks, and the Answers of parts, which grow at their end only: an older payment has less of them and does not see
//     what comes after, and only the newest one is added to.
func (v *version) next() *Payment {
	p := *v.Payment
	v.Payment = &p
	return &p
}

// inSuspense returns how many adds were placed in suspense, because the account could not take them.
func (p *Payment) inSuspense() (n int64) {
	for i := range p.Parts {
		for _, a := range p.Parts[i].Answers {
			if a.Suspense {
				n++
			}
		}
	}
	return n
}

func (p *Payment) ownSources() { p.Sources = slices.Clone(p.Sources) }

func (p *Payment) ownParts() { p.Parts = slices.Clone(p.Parts) }

// Operation is a capture or a void: what it was asked for, and how it ended.
type Operation struct {
	Cause   Cause
	Payment id.ID
	Code    fault.Code // declined, with this
	DoneAt  clock.Micros
	Status  Status // of the payment when it was done, or declined
}

// Cause says what brought about a decision. The numbers are stored.
type Cause uint8

// The causes.
const (
	ByCapture Cause = 1
	ByVoid    Cause = 2
	ByGiveUp  Cause = 3 // undecided for too long
	ByExpiry  Cause = 4 // an authorization lapsed
	ByRefund  Cause = 5 // only of declined operations: a refund that was not accepted
)

var causeNames = [...]string{"", "capture", "void", "give_up", "expiry", "refund"}

// String returns the cause's word.
func (c Cause) String() string { return name(causeNames[:], int(c)) }
