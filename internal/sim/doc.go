// Package sim is the platform in one thread: the real machines of payment, balance, points and code, under a simulated
// clock, network and store, with every fault drawn from one seed, judged by the invariants of the platform.
//
// A World holds processes, and processes hold books: book.Core over a journal and tables in memory that outlive every
// crash. Everything that happens is one event of an agenda, ordered by time and number, so that one seed always gives
// one history, and its trace one hash. No goroutine, no wall clock.
//
// The coordinator's driver, which in production is goroutines, is here a small state machine over payment.Owed with the
// same duties: retries, a breaker per participant, the queue, the sweep.
//
// The judge is a follower: it replays every durable block into machines of its own, watches every answer that leaves a
// book, and never looks into the memory of what it judges.
package sim
