package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// TestPlantedFaults breaks one rule at a time on purpose: a judge that does not notice proves nothing.
func TestPlantedFaults(t *testing.T) {
	for _, x := range []struct {
		name       string
		plant      Plant
		seeds      int      // within which it has to be found
		invariants []string // any of which shows it
	}{
		{"answer before the commit", Plant{TellEarly: true}, 40, []string{"I16", "I20", "I21", "I23", "I15", "I24"}},
		{"no fence against a Try after its Cancel", Plant{Machine: withoutFence}, 300, []string{"I14", "I5"}},
		{"refund: check, then insert", Plant{Machine: checkThenInsert}, 40, []string{"I18"}},
		{"nobody wakes what waits", Plant{Machine: withoutWakes}, 40, []string{"I19", "I5"}},
		{"a clock that is never followed", Plant{Stands: true}, 40, []string{"I19", "I5"}},
		{"queries from a copy that lags", Plant{Machine: fromACopy}, 40, []string{"I20"}},
		{"a feed that skips an event", Plant{Machine: skipping}, 40, []string{"I25"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			for seed := range x.seeds {
				r := simulate(t, Options{Seeds: 1, First: uint64(seed + 1), Plant: x.plant})
				for _, v := range r.Violations {
					if slices.Contains(x.invariants, v.Invariant) {
						t.Logf("found by %s with seed %d: %s", v.Invariant, v.Seed, firstLine(v.Message))
						return
					}
					t.Errorf("seed %d shows %s instead: %s", v.Seed, v.Invariant, firstLine(v.Message))
				}
			}
			t.Errorf("nobody noticed within %d worlds", x.seeds)
		})
	}
}

// TestReplayNotices lets a machine depend on something outside its world: a seed that lives twice has to tell.
func TestReplayNotices(t *testing.T) {
	tries := 0
	r := simulate(t, Options{Seeds: 1, First: 1, Plant: Plant{Machine: func(_ string, m book.Machine) book.Machine {
		if b, ok := m.(*balance.Machine); ok {
			return fickle{b, &tries}
		}
		return m
	}}})
	if len(r.Violations) == 0 || r.Violations[0].Invariant != "replay" {
		t.Errorf("a world that depends on another one was not noticed: %+v", r.Violations)
	}
}

// fickle is a balance book that has no time for every 20th Try of the whole run.
type fickle struct {
	*balance.Machine
	tries *int
}

// Decide implements book.Machine.
func (f fickle) Decide(now clock.Micros, cmd any, out *book.Decision) {
	if _, ok := cmd.(*branch.Try); ok {
		if *f.tries++; *f.tries%20 == 0 {
			out.Refuse(fault.Overloaded.New(""))
			return
		}
	}
	f.Machine.Decide(now, cmd, out)
}

// asleep is a coordinator that does not look at what it is told to look at: what a crash has left stays as it is.
type asleep struct{ *payment.Machine }

func withoutWakes(_ string, m book.Machine) book.Machine {
	if p, ok := m.(*payment.Machine); ok {
		return asleep{p}
	}
	return m
}

// Decide implements book.Machine.
func (a asleep) Decide(now clock.Micros, cmd any, out *book.Decision) {
	if _, ok := cmd.(payment.Wake); ok {
		out.Refuse(fault.Overloaded.New(""))
		return
	}
	a.Machine.Decide(now, cmd, out)
}

// lagging is a balance book that answers queries from a copy, which is as old as the query before.
type lagging struct {
	*balance.Machine
	copies map[book.Key]any
}

func fromACopy(_ string, m book.Machine) book.Machine {
	if b, ok := m.(*balance.Machine); ok {
		return lagging{b, make(map[book.Key]any)}
	}
	return m
}

// Decide implements book.Machine.
func (l lagging) Decide(now clock.Micros, cmd any, out *book.Decision) {
	l.Machine.Decide(now, cmd, out)
	if q, ok := cmd.(*balance.Get); ok {
		k := book.Key{Tenant: q.Tenant, ID: q.Account}
		before, asked := l.copies[k]
		l.EachAccount(func(at book.Key, a *balance.Account) {
			if at == k {
				l.copies[k] = *a
			}
		})
		if asked {
			out.Reply(before)
		}
	}
}

// inattentive is a feed that gives no numbers to the events of the last block, where it follows several at a time.
type inattentive struct{ *feed.Machine }

func skipping(_ string, m book.Machine) book.Machine {
	if f, ok := m.(*feed.Machine); ok {
		return inattentive{f}
	}
	return m
}

// Decide implements book.Machine.
func (f inattentive) Decide(now clock.Micros, cmd any, out *book.Decision) {
	if a, ok := cmd.(feed.Advance); ok && len(a.Blocks) > 1 {
		a.Blocks = slices.Clone(a.Blocks)
		a.Blocks[len(a.Blocks)-1].Counts = nil
		cmd = a
	}
	f.Machine.Decide(now, cmd, out)
}

func firstLine(s string) string { line, _, _ := strings.Cut(s, "\n"); return line }

// hanging is a balance book whose Cancel leaves no fence: a Try that comes after it is let through, under a name that
// nobody will ever confirm or cancel.
type hanging struct{ *balance.Machine }

func withoutFence(name string, m book.Machine) book.Machine {
	if b, ok := m.(*balance.Machine); ok {
		return hanging{b}
	}
	return m
}

// Touch implements book.Machine: a Try needs the row that it may end up in, too.
func (h hanging) Touch(cmd any, t *book.Touch) {
	h.Machine.Touch(cmd, t)
	if c, ok := cmd.(*branch.Try); ok {
		h.Machine.Touch(elsewhere(c), t)
	}
}

// Decide implements book.Machine.
func (h hanging) Decide(now clock.Micros, cmd any, out *book.Decision) {
	if c, ok := cmd.(*branch.Try); ok && h.cancelled(c.Branch) {
		cmd = elsewhere(c)
	}
	h.Machine.Decide(now, cmd, out)
}

func elsewhere(c *branch.Try) *branch.Try {
	other := *c
	other.Branch.ID = c.Branch.ID.Facet(c.Branch.ID.Part() + 100)
	return &other
}

func (h hanging) cancelled(b tcc.Branch) (found bool) {
	h.EachBranch(func(k book.Key, row *balance.Branch) {
		found = found || k == (book.Key{Tenant: b.Tenant, ID: b.ID}) && row.Status == branch.Cancelled
	})
	return found
}

// careless is a coordinator that looks whether a refund is possible when it is asked for, and never again: what
// refunds under way will give back does not count.
type careless struct{ *payment.Machine }

func checkThenInsert(name string, m book.Machine) book.Machine {
	if p, ok := m.(*payment.Machine); ok {
		return careless{p}
	}
	return m
}

// Decide implements book.Machine: the check sees only refunds that have ended.
func (c careless) Decide(now clock.Micros, cmd any, out *book.Decision) {
	r, ok := cmd.(payment.StartRefund)
	charge := c.charge(r)
	if !ok || charge == nil {
		c.Machine.Decide(now, cmd, out)
		return
	}
	under := make([]int64, len(charge.Sources))
	for i := range charge.Sources {
		under[i], charge.Sources[i].Refunding = charge.Sources[i].Refunding, 0
	}
	c.Machine.Decide(now, cmd, out)
	for i := range charge.Sources {
		charge.Sources[i].Refunding = under[i]
	}
}

// charge returns the row of the charge itself, not a copy.
func (c careless) charge(r payment.StartRefund) (found *payment.Payment) {
	c.EachPayment(func(p *payment.Payment) {
		if p.Tenant == r.Tenant && p.ID == r.Parent {
			found = p
		}
	})
	return found
}

// Apply implements book.Machine without the last line of defence, which would end the book.
func (c careless) Apply(at clock.Micros, seq uint64, ev any) {
	defer func() {
		if p := recover(); p != nil && !strings.Contains(p.(string), "PAY3") {
			panic(p)
		}
	}()
	c.Machine.Apply(at, seq, ev)
}
