package sim

import (
	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// balanceSide is balance in a world: customers' cash, and what merchants are owed.
type balanceSide struct{ quiet }

func (balanceSide) name() string { return "balance" }

func (balanceSide) machine(volume, volumes int) book.Machine {
	return balance.NewMachine(volume, volumes)
}

func (balanceSide) morning(w *World) {
	open := func(p person, facet uint8) {
		x := p.id.Facet(facet)
		w.must("balance", x, &balance.Open{Tenant: p.tenant, Account: x, Terms: balance.Terms{Currency: money.JPY}})
	}
	for _, c := range w.town.customers {
		open(c, tcc.BalanceAccount)
		x := c.id.Facet(tcc.BalanceAccount)
		k, print := w.town.key(c.tenant)
		w.must("balance", x, &balance.AddCredit{
			Key: k, Print: print, ID: w.fresh(x.Slot()), Account: x, Amount: money.Yen(4000),
			EffectiveAt: w.now, Day: branch.Japan(c.tenant, w.now),
		})
	}
	for _, m := range w.town.merchants {
		open(m, tcc.PayableAccount)
	}
}

// day suspends accounts for a while, now and then.
func (balanceSide) day(w *World, _ int) {
	w.again(w.mix.suspendEvery, func() {
		who, facet := w.town.customers[w.rnd.IntN(len(w.town.customers))], tcc.BalanceAccount
		if w.chance(300) {
			who, facet = w.town.merchants[w.rnd.IntN(len(w.town.merchants))], tcc.PayableAccount
		}
		x := who.id.Facet(facet)
		set := func(s ledger.Status) {
			if h := w.reach(book.Name("balance", x.Volume(w.volumes))); h != nil {
				h.submit(&balance.SetStatus{Tenant: who.tenant, Account: x, Status: s}, func(any, error) {})
			}
		}
		w.seen("suspended_account")
		set([...]ledger.Status{ledger.NoOut, ledger.NoIn, ledger.Suspended}[w.rnd.IntN(3)])
		w.after(w.draw(20*clock.Second), func() { set(ledger.Open) })
	})
}

func (balanceSide) role() payment.Participant { return payment.Balance }

func (balanceSide) branches(m book.Machine, f func(book.Key, part)) {
	m.(*balance.Machine).EachBranch(func(k book.Key, b *balance.Branch) {
		f(k, partOf(b.Status))
	})
}

func (balanceSide) accounts(m book.Machine, f func(account)) {
	m.(*balance.Machine).EachAccount(func(k book.Key, a *balance.Account) {
		f(account{k, a.Kind.String(), a.Posted(), a.Held(), a.Currency})
	})
}
