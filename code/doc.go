// Package code turns what is scanned into something that can be paid once: shops with printed codes, and sessions.
//
// Vocabulary
//
//   - A shop is a merchant's place that has a printed code, in the JPQR form of EMV merchant-presented codes. Its store
//     id (the four levels 26.01 to 26.04) says where its row stands; see Store.
//   - A shop's name and address are text of its own choosing. They stand in a note that can be erased, never in the
//     journal (rule B14); the row keeps the note's id, and the payload of the code is made from both when it is asked for.
//   - A session is one scan of one code by one customer. It is for one payment, and takes part in it as a participant
//     with nothing to hold but itself: Try reserves it, Confirm uses it up, Cancel opens it again.
//   - An idle session, which no payment has reserved, expires Rules.Idle after it was opened or given back.
//   - A static code leaves the amount to the payer. A dynamic one carries it, and no other is taken.
//
// Invariants, beside the contract's I12 to I15
//
//   - C1 A session is reserved exactly while one branch holds it; it is used exactly if one branch was confirmed.
//   - C2 A session is never reserved by two payments at once, and never after it was used or has expired.
//   - C3 While a payment is under way, its session does not expire.
//   - C4 A session is paid by the customer who opened it, to the merchant of its code, with the amount of its code.
//   - C5 No two shops have one store id, and every store id leads to its shop.
package code
