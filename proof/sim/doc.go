// Package sim is the platform in one thread: the real machines, book cores and drivers, under a simulated clock, network and
// store, with every fault drawn from one seed, judged by the invariants of the platform.
//
// A World holds processes, and processes hold books: book.Core over a journal and tables in memory that outlive every
// crash. Everything that happens is one event of an agenda, ordered by time and number, so that one seed always gives
// one history, and its trace one hash. No goroutine, no wall clock; worlds live side by side, each on a goroutine of its own.
//
// What decides is what decides in production: the machines of every service, book.Core, payment.Driver. What is written here
// is what surrounds them: a host for a book (the runner of book in production), a desk for a driver, the network,
// callers, and what goes wrong. Each service takes part by a page of code (service.go).
//
// The books are judged by judge after every block. What only a simulator can see is judged here: what callers and
// participants are told, what is called before its decision is durable, what queries show, whether everything comes to an
// end, and whether the tables are what a replay of the journal makes. The judge never looks into the memory of what it judges.
//
// docs/internals/simulator.md says how to run it and how to read a trace.
package sim
