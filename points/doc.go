// Package points keeps loyalty value in lots that expire, as a participant that can be taken from and given to.
//
// Vocabulary
//
//   - A lot is a number of points of one class with one expiry. What is left of it shrinks as points are spent; a part
//     of what is left may be held for payments under way. Lots are numbered from 1 within their account.
//   - The class says how points came about: paid points were bought and are owed back in law, free ones were given away.
//   - A lot expires at a time, or never. Where a rule gives points a number of days, that is when the last of them ends in
//     Japan (Until), so that what comes on one day stands in one lot. From that time on it cannot be taken; what is left and not held moves to the
//     account points_expired as soon as the timer rings.
//   - Points are spent from the lot that expires first; among those that expire together, free before paid; then the
//     older lot. Points that return after a partial refund do so in the opposite order: last spent, first returned.
//   - A volume has three accounts of its own for each tenant: points_redeemed holds what was spent, points_expired what
//     ran out, and suspense is where points come from and where additions land that their account cannot take.
//   - A branch is one part of one payment, as the Try–Confirm–Cancel contract names it. Its row answers every duplicate
//     of what was asked under its id, for ever.
//
// Invariants, beside the ledger's I1 to I6 and the contract's I12 to I15
//
//   - P1 What is left of the lots of an account sums to its balance, and what is held of them to what the account holds.
//   - P2 What is held of a lot is what open branches hold of it.
//   - P3 A branch took its points from the lots that it names: nothing posted or released beyond what was held of each.
//   - P4 No more returns to a lot, or in its stead, than a payment took of it.
//   - P5 A lot that was held when it expired can be confirmed: expiry never stops a Confirm.
//   - P6 A lot is not taken from once it has expired, whether its timer has rung or not.
//   - P7 What was granted in a volume and is not back in its suspense is at most ledger.Supply. So points can always be
//     taken, returned and expired.
package points
