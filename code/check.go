package code

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc/branch"
)

// EachSession calls f for every session in memory. f must not change it.
func (m *Machine) EachSession(f func(book.Key, *SessionRow)) { m.sessions.Each(f) }

// EachBranch calls f for every branch in memory. f must not change it.
func (m *Machine) EachBranch(f func(book.Key, *Branch)) { m.branches.Each(f) }

// EachShop calls f for every shop in memory. f must not change it.
func (m *Machine) EachShop(f func(book.Key, *ShopRow)) { m.shops.Each(f) }

// Finding says how often an invariant was checked, and where it did not hold.
type Finding struct {
	Invariant  string // as doc.go numbers them
	Checked    int
	Violations []string
}

func (f *Finding) check(k book.Key, ok bool, format string, args ...any) {
	f.Checked++
	if !ok {
		f.Violations = append(f.Violations, fmt.Sprintf("%v: ", k)+fmt.Sprintf(format, args...))
	}
}

// Check holds a machine that has all its rows in memory to the invariants.
func (m *Machine) Check() []Finding {
	c1, c5 := Finding{Invariant: "C1"}, Finding{Invariant: "C5"}
	by := make(map[book.Key]id.ID) // session → the branch that has it
	m.EachBranch(func(k book.Key, b *Branch) {
		if b.Status != branch.Held && b.Status != branch.Confirmed {
			return
		}
		on := book.Key{Tenant: k.Tenant, ID: b.Account}
		other, taken := by[on]
		c1.check(on, !taken, "branches %x and %x both have it", other, k.ID)
		by[on] = k.ID
		s := m.sessions.Get(on)
		c1.check(k, s != nil && s.By == k.ID && (s.Status == Used) == (b.Status == branch.Confirmed), "%+v has %+v", *b, s)
	})
	m.EachSession(func(k book.Key, s *SessionRow) {
		c1.check(k, s.By == by[k] && (s.Status != Used || !s.By.IsNil()) && (s.Status != Expired || s.By.IsNil()), "%+v of branch %x", *s, by[k])
	})
	count := make(map[id.Tenant]int64)
	m.EachShop(func(k book.Key, s *ShopRow) {
		count[k.Tenant]++
		n := m.numbers.Get(book.Key{Tenant: k.Tenant, ID: Store{k.Tenant, k.ID.Slot(), s.Number}.key()})
		c5.check(k, n != nil && n.Merchant == k.ID, "number %d leads elsewhere", s.Number)
	})
	m.counts.Each(func(k book.Key, c *countRow) {
		c5.check(k, c.Shops == count[k.Tenant], "%d shops counted, %d there", c.Shops, count[k.Tenant])
	})
	return []Finding{c1, c5}
}
