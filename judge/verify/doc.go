// Package verify is the judge of the books: it reads the journal from the first block on, rebuilds every table from it
// elsewhere, and has journal, tables and rebuilt rows held to the platform's invariants. It changes nothing, and works beside
// a running platform as on a stopped one. The rules are those of package judge; the rebuilt tables are a second opinion.
//
// What is compared at one moment:
//
//   - The heads of all books as they were at the beginning are the cut: the journal is judged up to there. A hold's block comes
//     after the block of the payment that asked for it, and a payment's end after the blocks that it ended in, so that whatever
//     must hold between books holds at every cut, however much is under way.
//   - A book's tables are compared a page at a time, each with tables rebuilt up to the block that the page stands for. No
//     snapshot outlives a page, so that a running platform's checkpoints are not held up; the check of SQLite's files takes one
//     for each table, and Config.Rebuild one for each book.
//
// Memory is the same however many payments there are: what ended, and what was rebuilt, goes to temporary files
// (internal/attic). The tables of one book after the other are rebuilt, as many at the same time as there are cores.
package verify
