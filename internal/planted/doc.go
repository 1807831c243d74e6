// Package planted names bugs that can be put into the platform on purpose, to see that the simulator finds them.
//
// A proof that finds nothing may be blind. So each rule that keeps money right is broken here once, by name: the bugs of
// other payment systems, as their issue trackers tell of them, as far as they can exist in this one. The code asks
//
//	if planted.Bug == planted.NoTombstone { … }
//
// and nothing else (internal/arch holds it to that). In every ordinary build Bug is a constant, the empty string, and the
// compiler leaves no trace of what stands behind the question. Built with the tag planted, a program has the bug that
// KOBAN_PLANTED names, and no other.
//
// planted.txt says which invariant finds each bug, and how many worlds that took; docs/internals/planted-bugs.md says what
// each breaks, and whose bug it was. `make planted` finds them all.
package planted
