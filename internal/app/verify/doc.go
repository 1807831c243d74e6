// Package verify is the judge of the books: it reads the journal from the first block on, rebuilds every table from it
// elsewhere, and has journal, tables and rebuilt rows held to the platform's invariants. It changes nothing, and works beside
// a running platform as on a stopped one. The rules are those of package judge; the rebuilt tables are a second opinion.
//
// What is compared at one moment:
//
//   - A book's tables are compared with tables rebuilt up to the block that they stand for, in one snapshot.
//   - What spans books is judged at a cut: the heads of all books in one snapshot of the journal. A hold's block comes after
//     the block of the payment that asked for it, and a payment's end after the blocks that it ended in, so that whatever
//     must hold between books holds at every cut, however much is under way.
//
// Tables are rebuilt in temporary files, so that memory stays small while a long journal is replayed; then the rows of one
// volume at a time are held in memory.
package verify
