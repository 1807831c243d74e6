package points

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// model keeps points one by one, the slow way: each is a class, an expiry, and where it is.
type model struct {
	rules Rules
	at    clock.Micros
	coins []*coin
	held  map[string][]*coin // by branch, in the order in which they were taken
	spent map[string][]*coin
	ended map[string]string // how a branch ended
}

type coin struct {
	class   Class
	expires clock.Micros
	lot     int64 // the machine's number, to break ties as it does
	held    bool
}

func (m *model) usable() (out []*coin) {
	for _, c := range m.coins {
		if !c.held && !gone(c.expires, m.at) {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *coin) int {
		x, y := &Lot{N: a.lot, Class: a.class, ExpiresAt: a.expires}, &Lot{N: b.lot, Class: b.class, ExpiresAt: b.expires}
		switch {
		case first(x, y):
			return -1
		case first(y, x):
			return 1
		}
		return 0
	})
	return out
}

func (m *model) remove(gone []*coin) {
	m.coins = slices.DeleteFunc(m.coins, func(c *coin) bool { return slices.Contains(gone, c) })
}

// back returns coins to their owner, and reports how many came.
func (m *model) back(coins []*coin, days int) {
	for _, c := range coins {
		c.held = false
		if gone(c.expires, m.at) {
			if days == 0 {
				m.remove([]*coin{c})
				continue
			}
			c.expires, c.lot = Until(m.at, days), 0
		}
		if !slices.Contains(m.coins, c) {
			m.coins = append(m.coins, c)
		}
	}
}

// TestModel runs random payments, refunds, grants and waits against the model, and holds the book to its invariants.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rules := Rules{RefundDays: rapid.SampledFrom([]int{0, 3}).Draw(r, "refund"), ReleaseDays: rapid.SampledFrom([]int{0, 2}).Draw(r, "release")}
		h := booktest.New(t, "points", func() book.Machine { return NewMachine(0, 1, RuleSet{tenant: rules}) })
		x := &walk{T: r, h: h, m: &model{rules: rules, at: h.Clock.Now(), held: map[string][]*coin{}, spent: map[string][]*coin{}, ended: map[string]string{}}}
		x.do(&Open{Tenant: tenant, Owner: name("ann")}, "")
		r.Repeat(map[string]func(*rapid.T){
			"grant": x.grant, "try": x.try, "confirm": x.confirm, "cancel": x.cancel, "refund": x.refund,
			"wait":    func(r *rapid.T) { x.wait(rapid.IntRange(1, 60).Draw(r, "hours")) },
			"restart": func(*rapid.T) { h.Restart() },
			"":        x.compare,
		})
		h.Rebuild()
		verify(t, h)
	})
}

type walk struct {
	*rapid.T
	h *booktest.Harness
	m *model
	n int
}

func (x *walk) do(cmd any, want fault.Code) any {
	reply, err := x.h.Do(branch.CommandOf(cmd, branch.Japan))
	got := fault.Code("")
	if err != nil {
		got = fault.Of(err).Code
	}
	if got != want {
		x.Fatalf("%T %+v: %q, want %q (%v)", cmd, cmd, got, want, err)
	}
	return reply
}

func (x *walk) wait(hours int) {
	x.h.Advance(time.Duration(hours) * time.Hour)
	x.m.at = x.h.Clock.Now()
	x.m.coins = slices.DeleteFunc(x.m.coins, func(c *coin) bool { return !c.held && gone(c.expires, x.m.at) })
}

func (x *walk) grant(r *rapid.T) {
	x.n++
	amount := rapid.IntRange(1, 20).Draw(r, "amount")
	c := coin{class: rapid.SampledFrom([]Class{Free, Paid}).Draw(r, "class")}
	if days := rapid.IntRange(0, 4).Draw(r, "days"); days > 0 {
		c.expires = Until(booktest.Start, 3*days+int((x.m.at-booktest.Start)/clock.Day))
	}
	reply := x.do(&Grant{
		Tenant: tenant, Key: name(fmt.Sprint("key", x.n)), ID: name(fmt.Sprint("grant", x.n)), Account: account("ann"),
		Amount: points(int64(amount)), Class: c.class, ExpiresAt: c.expires,
	}, "")
	for range amount {
		one := c
		one.lot = reply.(Granted).Lot.Lot
		x.m.coins = append(x.m.coins, &one)
	}
}

func (x *walk) try(r *rapid.T) {
	x.n++
	pay := fmt.Sprint("pay", x.n)
	amount := rapid.IntRange(1, 30).Draw(r, "amount")
	usable := x.m.usable()
	want := fault.Code("")
	if len(usable) < amount {
		want = fault.InsufficientFunds
	} else {
		for _, c := range usable[:amount] {
			c.held = true
			x.m.held[pay] = append(x.m.held[pay], c)
		}
	}
	cmd := &tcc.TryRequest{Branch: part(pay), Account: account("ann"), Amount: points(int64(amount)), NotAfter: x.m.at + clock.Minute}
	x.do(cmd, want)
	x.do(cmd, want) // a duplicate
}

// open draws one of the branches that are held.
func (x *walk) open(r *rapid.T, of map[string][]*coin) (string, []*coin) {
	var names []string
	for n, coins := range of {
		if len(coins) > 0 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		r.Skip("none")
	}
	slices.Sort(names)
	n := rapid.SampledFrom(names).Draw(r, "branch")
	return n, of[n]
}

func (x *walk) confirm(r *rapid.T) {
	pay, held := x.open(r, x.m.held)
	amount, final := rapid.IntRange(1, len(held)).Draw(r, "amount"), rapid.Bool().Draw(r, "final")
	x.n++
	x.do(&tcc.ConfirmRequest{
		Branch: part(pay), Account: account("ann"), Capture: uint32(x.n), Amount: points(int64(amount)), Final: final,
	}, "")
	x.m.spent[pay] = append(x.m.spent[pay], held[:amount]...)
	x.m.remove(held[:amount])
	x.m.held[pay] = held[amount:]
	x.m.ended[pay] = "confirmed"
	if final {
		x.m.back(held[amount:], x.m.rules.ReleaseDays)
		x.m.held[pay] = nil
	}
}

func (x *walk) cancel(r *rapid.T) {
	pay, held := x.open(r, x.m.held)
	cmd := &tcc.CancelRequest{Branch: part(pay), Account: account("ann")}
	if x.m.ended[pay] == "confirmed" {
		x.do(cmd, fault.AlreadyConfirmed)
		return
	}
	x.do(cmd, "")
	x.do(cmd, "")
	x.m.back(held, x.m.rules.ReleaseDays)
	x.m.held[pay] = nil
}

func (x *walk) refund(r *rapid.T) {
	pay, spent := x.open(r, x.m.spent)
	amount := rapid.IntRange(1, len(spent)+1).Draw(r, "amount")
	x.n++
	cmd := &tcc.AddRequest{
		Branch: part(fmt.Sprint("refund", x.n)), Account: account("ann"), Amount: points(int64(amount)), Purpose: tcc.Refund,
		Origin: part(pay).ID,
	}
	if amount > len(spent) {
		x.do(cmd, fault.ExceedsCaptured)
		return
	}
	x.do(cmd, "")
	x.do(cmd, "")
	kept := len(spent) - amount
	x.m.back(spent[kept:], x.m.rules.RefundDays)
	x.m.spent[pay] = spent[:kept]
}

// compare holds the machine to the model: what is there of each class and expiry, and what is held of it.
func (x *walk) compare(*rapid.T) {
	v := x.do(&Read{Tenant: tenant, Account: account("ann")}, "").(View)
	type sort struct {
		class   Class
		expires clock.Micros
		held    bool
	}
	want, got := map[sort]int64{}, map[sort]int64{}
	numbers := map[sort]int64{}
	for _, l := range v.Lots {
		got[sort{l.Class, l.ExpiresAt, true}] += l.Held
		got[sort{l.Class, l.ExpiresAt, false}] += l.free()
		numbers[sort{l.Class, l.ExpiresAt, false}] = l.N
	}
	for _, c := range x.m.coins {
		want[sort{c.class, c.expires, c.held}]++
		if c.lot == 0 { // it came back into a new lot, whose number the machine chose
			c.lot = numbers[sort{c.class, c.expires, false}]
		}
	}
	for k, n := range want {
		if got[k] != n {
			x.Fatalf("%+v: %d, want %d", k, got[k], n)
		}
		delete(got, k)
	}
	for k, n := range got {
		if n != 0 {
			x.Fatalf("%+v: %d, want none", k, n)
		}
	}
}
