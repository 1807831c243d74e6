// Package feed numbers the public events of one service without gaps per tenant, and serves them by long poll.
//
// A service's public events lie in the journals of its volumes, each its own chain. A sequencing book, "<service>.feed/00",
// follows them: for each volume it keeps the block it has followed to, for each tenant the last number given and which
// blocks hold which numbers. The events themselves are not copied: reading a page looks up the blocks and takes the
// tenant's events out of them.
//
// Vocabulary. A step is one block of a volume, as it was followed. A run is a tenant's public events in one step. A page
// holds where 256 numbers of a tenant are found.
//
// Invariants
//
//	F1  A tenant's numbers are 1, 2, 3 … without gaps, whatever other tenants do.
//	F2  Each public event of a followed block has exactly one number: the position stands in the block that gives it (B9).
//	F3  Events of one volume are numbered in the order of their journal.
//	F4  A block that does not follow the one before it (a gap, a repeat of another hash) stops the feed with an alarm. Nothing is skipped.
//	F5  No number is told before the block that gives it is durable (B2).
//	F6  A reader learns nothing of other tenants: neither their events nor how many there are.
package feed
