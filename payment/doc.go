// Package payment is one payment from request to outcome: the coordinator that moves value between participants by
// Try–Confirm–Cancel, in kinds, with refunds and three layers of recovery.
//
// # Vocabulary
//
// A payment is one resource with three fields. Status is the business state, the only one callers see. Resource says
// whether the platform still owes something. Phase and Rollback name the last completed step forward and backward. A
// kind (kinds.go) is data: its steps, what undoes them, how long it may stay undecided. A part is what one participant
// holds, releases or receives for the payment; its branch is the payment's id with the part's number as facet.
//
// # Invariants
//
//	PAY1  The decision to confirm or to cancel is durable before the first call of the second phase, and never changes.
//	PAY2  A payment whose status is final has no part that is held: all holds are confirmed, or all are cancelled.
//	PAY3  captured ≤ amount; refunded plus what refunds under way will give back ≤ captured, source by source.
//	PAY4  One key meets one payment or operation, for as long as that exists.
//	PAY5  What a caller was told of a settled request stays so: the answer's facts are part of the row.
//	PAY6  While something is owed, the resource is WORK_IN_PROGRESS, and what is owed follows from the row alone.
//
// Sources of the rules: "A case study of distributed transactions in a payment service" (Merpay Tech Fest 2021) for the
// three fields, the phases and the layers of recovery.
package payment
