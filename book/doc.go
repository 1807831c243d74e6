// Package book is the kernel: a state machine with one writer and a journal, as a pure core and a runner that feeds it.
//
// A service writes a Machine: commands are decided on state and give events, events change state. Everything else is
// here. The Core (core.go) has no goroutine, clock or I/O, so that the simulator drives it from one thread. The
// runner (Book, Writer, Saver) drives the same core in production: callers decide under the book's lock, a Writer
// group-commits the blocks of all books of the process, and a Saver lets the state tables follow.
//
// The rules B1 … B15 that this package keeps stand in ARCHITECTURE.md; docs/reference/invariants.md names the test
// of each.
package book
