// Package booktest drives one machine on one thread, so that its rules can be tested without a database.
//
// It is harsher than production on purpose: after every few commands it saves and forgets every row, so a machine that
// reads a row it did not declare panics at once; Restart replays; Rebuild compares the tables with a replay of the
// whole journal.
package booktest
