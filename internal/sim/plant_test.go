package sim

import (
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
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
		{"no fence against a Try after its Cancel", Plant{Machine: withoutFence}, 60, []string{"I14", "I5"}},
		{"refund: check, then insert", Plant{Machine: checkThenInsert}, 40, []string{"I18"}},
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
	if c, ok := cmd.(*balance.Try); ok {
		h.Machine.Touch(elsewhere(c), t)
	}
}

// Decide implements book.Machine.
func (h hanging) Decide(now clock.Micros, cmd any, out *book.Decision) {
	if c, ok := cmd.(*balance.Try); ok && h.cancelled(c.Branch) {
		cmd = elsewhere(c)
	}
	h.Machine.Decide(now, cmd, out)
}

func elsewhere(c *balance.Try) *balance.Try {
	other := *c
	other.Branch.ID = c.Branch.ID.Facet(c.Branch.ID.Part() + 100)
	return &other
}

func (h hanging) cancelled(b tcc.Branch) (found bool) {
	h.EachBranch(func(k book.Key, row *balance.Branch) {
		found = found || k == (book.Key{Tenant: b.Tenant, ID: b.ID}) && row.Status == balance.Cancelled
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
		if p := recover(); p != nil && !strings.Contains(p.(string), "P3") {
			panic(p)
		}
	}()
	c.Machine.Apply(at, seq, ev)
}
