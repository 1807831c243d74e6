package points

import (
	"fmt"
	"iter"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/ledger"
)

// EachAccount calls f for every account in memory, the volume's own included. f must not change it.
func (m *Machine) EachAccount(f func(book.Key, *Account)) { m.accounts.Each(f) }

// EachBranch calls f for every branch in memory. f must not change it.
func (m *Machine) EachBranch(f func(book.Key, *Branch)) { m.branches.Each(f) }

// Finding says how often an invariant was checked, and where it did not hold.
type Finding struct {
	Invariant  string // as doc.go and the ledger number them
	Checked    int
	Violations []string
}

func (f *Finding) check(k book.Key, err error) {
	f.Checked++
	if err != nil {
		f.Violations = append(f.Violations, fmt.Sprintf("%v: %v", k, err))
	}
}

// Check holds a machine that has all its rows in memory to the invariants.
func (m *Machine) Check() []Finding {
	i2, i4, i5, i6 := Finding{Invariant: "I2"}, Finding{Invariant: "I4"}, Finding{Invariant: "I5"}, Finding{Invariant: "I6"}
	p1, p2, p3, p4 := Finding{Invariant: "P1"}, Finding{Invariant: "P2"}, Finding{Invariant: "P3"}, Finding{Invariant: "P4"}
	type lot struct {
		account book.Key
		n       int64
	}
	held := make(map[lot]int64)
	pending := make(map[book.Key]int64)
	m.EachBranch(func(k book.Key, b *Branch) {
		on := book.Key{Tenant: k.Tenant, ID: b.Account}
		for i := range b.Lots {
			held[lot{on, b.Lots[i].Lot}] += b.Lots[i].open()
		}
		pending[on] += b.Hold.Open()
		if b.Hold.Amount > 0 {
			i6.check(k, b.Hold.Check())
		}
		p3.check(k, b.checkLots())
		p4.check(k, b.checkReturned())
	})
	tenants := make(map[uint32][]*ledger.Account)
	m.EachAccount(func(k book.Key, a *Account) {
		tenants[uint32(k.Tenant)] = append(tenants[uint32(k.Tenant)], &a.Account)
		i4.check(k, a.Check())
		i5.check(k, same("the account holds", a.Held(), "its branches", pending[k]))
		p1.check(k, a.checkLots())
		for i := range a.Lots {
			l := &a.Lots[i]
			p2.check(k, same(fmt.Sprintf("of lot %d is held", l.N), l.Held, "by branches", held[lot{k, l.N}]))
			delete(held, lot{k, l.N})
		}
	})
	for l, n := range held {
		p2.check(l.account, same(fmt.Sprintf("of lot %d, which is gone, is held", l.n), 0, "by branches", n))
	}
	for t, accounts := range tenants {
		i2.check(book.Key{}, balanced(t, slices.Values(accounts)))
	}
	return []Finding{i2, i4, i5, i6, p1, p2, p3, p4}
}

func balanced(tenant uint32, accounts iter.Seq[*ledger.Account]) error {
	for _, t := range ledger.Total(accounts) {
		if !t.Balanced() {
			return fmt.Errorf("tenant %d has %v debited and %v credited", tenant, t.Debits, t.Credits)
		}
	}
	return nil
}

func same(what string, got int64, than string, want int64) error {
	if got != want {
		return fmt.Errorf("%s %d, %s %d", what, got, than, want)
	}
	return nil
}

// checkLots returns nil if the lots sum to the ledger's balance (P1), stand in order, and have numbers of their own.
func (a *Account) checkLots() error {
	var left, held int64
	for i := range a.Lots {
		l := &a.Lots[i]
		left, held = left+l.Left, held+l.Held
		if l.Left <= 0 || l.Held < 0 || l.Held > l.Left || l.N >= a.NextLot {
			return fmt.Errorf("impossible lot %+v", *l)
		}
		if i > 0 && !first(&a.Lots[i-1], l) {
			return fmt.Errorf("lot %d stands behind lot %d", l.N, a.Lots[i-1].N)
		}
	}
	if a.Kind == Customer && (left != a.Posted() || held != a.Held()) {
		return fmt.Errorf("lots of %d with %d held, on an account of %d with %d held", left, held, a.Posted(), a.Held())
	}
	return nil
}

// checkLots returns nil if the branch's lots sum to its hold, and no lot ended more often than it was held (P3).
func (b *Branch) checkLots() error {
	var held, posted, released int64
	for i := range b.Lots {
		l := &b.Lots[i]
		held, posted, released = held+l.Held, posted+l.Posted, released+l.Released
		if l.open() < 0 || l.Posted < 0 || l.Released < 0 {
			return fmt.Errorf("impossible part %+v", *l)
		}
	}
	if held != b.Hold.Amount || posted != b.Hold.Posted || released != b.Hold.Released {
		return fmt.Errorf("lots of %d, %d posted, %d released, under a hold of %d, %d, %d", held, posted, released, b.Hold.Amount, b.Hold.Posted,
			b.Hold.Released)
	}
	return nil
}

// checkReturned returns nil if no more returned than was taken (P4).
func (b *Branch) checkReturned() error {
	for i := range b.Lots {
		if l := &b.Lots[i]; l.Returned < 0 || l.Returned > l.Posted {
			return fmt.Errorf("of lot %d returned %d, of %d taken", l.Lot, l.Returned, l.Posted)
		}
	}
	return nil
}
