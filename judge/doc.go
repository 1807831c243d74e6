// Package judge holds the books to the platform's invariants, by rules of its own.
//
// A Judge is fed the blocks of every book, each book's in its order. A Witness for each service reads the journal's
// messages (package gen, the stored contract) and says what they mean: entries, holds, what became of a branch, keys. The
// judge adds up by itself. It shares no line with the machines' Apply, so that a fault there is seen and not repeated.
//
//   - Block judges one block: what must hold within its book holds after every event.
//   - Cut says that all books have been fed up to one moment: what must hold between books is judged, of the payments that
//     were touched since the last cut.
//   - Settled says that nothing is under way any more: payments have ended, clearing is empty, nothing is held.
//   - Row compares one row of a state table with what the journal says of it, at the block that the tables stand for.
//
// The simulator, koban verify and the watchman of a running platform use it (docs/decisions/0008). It has no goroutines, no
// clock and no I/O. Which invariant is checked where stands in docs/reference/invariants.md.
//
// # Memory
//
// Accounts, and payments with all that belongs to them, are kept in full while something may still happen to them, and for
// Config.Keep after that. What ended before is kept as what a later event could contradict: that it ended, which keys are
// taken, and what may still be refunded.
package judge
