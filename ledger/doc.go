// Package ledger is double entry with holds, as pure rules: no I/O, no clock, no goroutines, no memory of its own.
//
// Accounts and holds are rows that belong to the machine which embeds the ledger. Plan reads them through a View and
// returns an Entry, or the refusal; it changes nothing. Apply changes the rows by an Entry, evaluates no rule, and
// panics if the entry cannot be: so an entry may travel in an event and be replayed for ever (rule B1).
//
// Vocabulary
//
//   - An account counts what was ever debited and credited, posted and pending, in minor units. Its normal side is
//     the one that makes its balance grow: credit for what the platform owes (a person's cash), debit for what it owns.
//   - To move from A to B, "A → B", is to debit A and credit B.
//   - A hold sets an amount aside on one side of one account. It is pending until it is posted, in one part or
//     several, or released. On the side that takes, it lowers what is available; on the normal side, it is incoming.
//   - A chain is a list of transfers that stand or fall together. Each sees what those before it did. A chain that
//     stands is one journal entry, in which the legs on one side of one account are one leg.
//
// Invariants, numbered as in the list that the platform is judged by:
//
//   - I1 An entry balances per currency, has two legs or more (none, if it only holds or releases), and no leg of
//     zero or less: Entry.Check.
//   - I2 The debits of all accounts equal their credits, per currency: Total.
//   - I3 An account's version is the number of entries that touched it.
//   - I4 Held is never negative, and neither is available, but on an account that may go negative: Account.Check.
//   - I5 What is pending on an account is what is open of the holds on it.
//   - I6 A hold ends once: what was posted and released sums to what was held, and never exceeds it: Hold.Check.
//
// A refusal names its reason by code; where several apply, the first of this order:
//
//	invalid_request        no transfer, or more than MaxChain
//	invalid_amount         zero or less
//	amount_overflow        an amount above money.MaxStored
//	id_reused              the hold to be made exists already: a conflict, never a shortage
//	hold_not_found         there is no such hold
//	hold_ended             nothing of the hold is left
//	same_account           both sides are one account
//	account_not_found      there is no such account
//	currency_mismatch      the amount is not in the account's currency
//	exceeds_hold           more than is left of the hold
//
// and then, for the debited account before the credited one,
//
//	account_closed         for good
//	account_suspended      in full, or in the way that the transfer needs
//	amount_overflow        what was ever debited, or credited, would add up to more than money.MaxStored
//	limit_exceeded         the cap (of what is received), a limit a day, a limit a month
//	insufficient_funds     less is available
package ledger
