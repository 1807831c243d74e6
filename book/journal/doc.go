// Package journal keeps the record: chains of blocks, one chain per book, that only grow and that prove themselves.
//
// Vocabulary. An event is one fact of a book's machine: a type and bytes the journal does not read. A block is what one
// commit adds to one book: its events, chained to the block before by hash. A head is the last block of a book. A note
// is personal data that stands beside the record and can be erased.
//
// Invariants
//
//	J1  Block n+1 of a book exists only if block n does, and names its hash.
//	J2  Appending is a compare-and-set of the head. A block is durable before anybody is told so.
//	J3  An append that returned an error is unknown. The same bytes are offered until our hash stands there or another's.
//	J4  One book's lost compare never fails another book's append in the same commit.
//	J5  The hash of a block covers every stored byte of it. Reading recomputes it.
package journal
