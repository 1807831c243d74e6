// Package watch judges the books of a running platform in the background, and never stands in their way.
//
// It follows the journal of all books from its own place and has the judge (judge) compare every row of every state
// table with what the journal says, again and again. A row is compared at the very block that its tables stand for: rows and
// place are read in one snapshot, and the judge is fed exactly up to there, which is never before where it is, because it is fed
// no further than a head that the tables have reached since.
//
// It takes a share of one core, a twentieth unless told otherwise: after each piece of work it rests nineteen times as long. On a small
// platform a whole sweep takes milliseconds and one begins every five seconds.
//
// What it finds is counted, logged once and shown by /healthz; payments go on (docs/decisions/0008).
package watch
