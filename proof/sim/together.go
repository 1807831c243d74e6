package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/payment"
)

// part is where a branch stands at its participant, whoever that is.
type part uint8

const (
	absent part = iota
	held
	taken
	letGo
	refused
	added
)

var partWords = [...]string{"absent", "held", "taken", "let go", "refused", "added"}

func (p part) String() string { return partWords[p] }

// parts reads every branch of every participant.
func (j *judge) parts() map[book.Key]part {
	out := make(map[book.Key]part)
	for _, s := range platform {
		if p, ok := s.(participant); ok {
			j.shadows(s, func(s *shadow) { p.branches(s.honest, func(k book.Key, at part) { out[k] = at }) })
		}
	}
	return out
}

// ended judges a world whose faults have ended long enough ago: everything is over (I19), what callers were told is so
// (I20).
func (j *judge) ended() {
	for _, k := range slices.SortedFunc(maps.Keys(j.since), compareKeys) {
		if s := j.standing[k]; j.stuck(k) {
			j.fail("I19", "payment %v is %v, and still in progress: %q decided", k, s.Status, s.Decision)
		}
	}
	j.audited(j.audit.Sums)
	if len(j.since) == 0 {
		j.audited(func() { j.audit.Settled(j.w.now, 0) })
	}
	j.truths()
}

// stored judges what survives: the chains from their first blocks on (I7), and the tables, which are what the journal says
// (I24).
func (j *judge) stored() {
	j.chains()
	j.tables()
}

// emptied judges a world in which nothing can follow any more: nothing is held.
func (j *judge) emptied() {
	j.ended()
	j.stored()
	parts := j.parts()
	for _, b := range slices.SortedFunc(maps.Keys(parts), compareKeys) {
		if parts[b] == held {
			j.fail("I5", "branch %v is still held", b)
		}
	}
	for _, s := range platform {
		s.settled(j.w)
	}
}

// chains recomputes the hash of every block, from genesis to head (I7).
func (j *judge) chains() {
	for _, name := range j.w.names {
		blocks, _ := j.w.disk.log.Read(context.Background(), name, 1, 1<<30)
		last := journal.Head{Book: name}
		for _, b := range blocks {
			again := *b
			journal.Seal(&again)
			if b.Seq != last.Seq+1 || b.Prev != last.Hash || again.Hash != b.Hash || b.Epoch < last.Epoch {
				j.fail("I7", "%s block %d does not follow block %d", name, b.Seq, last.Seq)
			}
			last = b.Head()
		}
	}
}

// tables compares the saved tables with those that a replay makes from nothing.
func (j *judge) tables() {
	ctx := context.Background()
	if !j.w.rests() {
		j.fail("I24", "the books cannot be saved at rest")
	}
	for _, name := range j.w.names {
		if err := book.SaveNow(ctx, j.books[name].core, j.state); err != nil {
			j.fail("I24", "%s: the replay cannot be saved: %v", name, err)
		}
	}
	saved, rebuilt := j.w.disk.tables.Dump(), j.state.Dump()
	for i := range max(len(saved), len(rebuilt)) {
		if i >= len(saved) || i >= len(rebuilt) || saved[i] != rebuilt[i] {
			j.fail("I24", "row %d of %d saved and %d rebuilt differs", i, len(saved), len(rebuilt))
			return
		}
	}
}

// truths looks up whatever callers were told: it exists, and ended as they heard (I20).
func (j *judge) truths() {
	facts := make(map[book.Key]string)
	j.eachPayment(func(k book.Key, p *payment.Payment) { facts[k] = settled(p) })
	for _, k := range slices.SortedFunc(maps.Keys(j.answers), compareKeys) {
		t := j.answers[k]
		is, ok := facts[book.Key{Tenant: k.Tenant, ID: t.target}]
		switch {
		case !ok:
			j.fail("I20", "a caller was told of payment %x, which does not exist", t.target)
		case !j.keys[k]:
			j.fail("I20", "a caller was told of payment %x under key %v, which is not bound", t.target, k)
		case t.final != "" && !t.operation && t.final != is:
			j.fail("I20", "a caller was told that payment %x ended as %s; it ended as %s", t.target, t.final, is)
		}
	}
}

// settled is how the request ended that made a payment.
func settled(p *payment.Payment) string { return fmt.Sprint(p.SettledAt, p.SettledStatus) }

// accounts returns what stands on every account, as lines to compare.
func (j *judge) accounts() (lines []string) {
	for _, s := range platform {
		if k, ok := s.(keeper); ok {
			j.shadows(s, func(at *shadow) {
				k.accounts(at.honest, func(a account) {
					lines = append(lines, fmt.Sprintf("%s %v %s %d %d %v", s.name(), a.key, a.kind, a.posted, a.held, a.currency))
				})
			})
		}
	}
	slices.Sort(lines)
	return lines
}
