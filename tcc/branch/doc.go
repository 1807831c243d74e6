// Package branch keeps what every participant of the Try–Confirm–Cancel contract keeps alike, whatever it
// holds: where a branch stands, how each verb was answered, and what a request gets that comes again, late,
// or after another.
//
// A participant has a row for each branch, of which Row is the part that all have; Branches decides, and
// asks the participant's Rules only for what differs: what is set aside, taken, let go or received. Package
// tcc/verbs takes the requests to the books.
//
// Vocabulary: a request is known by its print (Print); an answer is told again to every duplicate (Answer);
// a tombstone is the row of a Cancel whose Try never came.
//
// The ladder, the same for all verbs: what is not well formed is refused and leaves no trace; a duplicate
// gets the first answer; another body under the same branch is a conflict; what comes after a Cancel is
// refused; then the rules decide.
package branch
