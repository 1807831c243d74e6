package sim

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// pointsSide is points in a world: lots of customers, some of which expire while they are held.
type pointsSide struct{ quiet }

func (pointsSide) name() string { return "points" }

func (pointsSide) machine(volume, volumes int) book.Machine {
	return points.NewMachine(volume, volumes, nil)
}

func (pointsSide) morning(w *World) {
	for _, c := range w.town.customers {
		w.must("points", c.id, &points.Open{Tenant: c.tenant, Owner: c.id})
		for _, expires := range [...]clock.Micros{0, w.now + clock.Minute + w.draw(4*clock.Minute), w.now + clock.Hour} {
			k, print := w.town.key(c.tenant)
			w.must("points", c.id, &points.Grant{
				Tenant: c.tenant, Key: k.ID, Fingerprint: print, ID: w.fresh(c.id.Slot()),
				Account: c.id.Facet(tcc.PointsAccount), Amount: money.Of(400, money.PT), Class: points.Free, ExpiresAt: expires,
				EffectiveAt: w.now,
			})
		}
	}
}

// day gives points away that soon expire.
func (pointsSide) day(w *World, payments int) {
	for range payments {
		w.after(w.draw(w.mix.pace*clock.Micros(payments)), func() {
			c := w.town.customers[w.rnd.IntN(len(w.town.customers))]
			h := w.reach(book.Name("points", c.id.Volume(w.volumes)))
			if h == nil {
				return
			}
			k, print := w.town.key(c.tenant)
			h.submit(&points.Grant{
				Tenant: c.tenant, Key: k.ID, Fingerprint: print, ID: w.fresh(c.id.Slot()), Account: c.id.Facet(tcc.PointsAccount),
				Amount: money.Of(50, money.PT), Class: points.Free, ExpiresAt: w.now + clock.Second + w.draw(20*clock.Second), EffectiveAt: w.now,
			},
				func(any, error) {})
		})
	}
}

func (pointsSide) role() payment.Participant { return payment.Points }

func (pointsSide) branches(m book.Machine, f func(book.Key, part)) {
	m.(*points.Machine).EachBranch(func(k book.Key, b *points.Branch) {
		f(k, partOf(b.Status))
	})
}

func (pointsSide) accounts(m book.Machine, f func(account)) {
	m.(*points.Machine).EachAccount(func(k book.Key, a *points.Account) {
		f(account{k, a.Kind.String(), a.Posted(), a.Held(), a.Currency})
	})
}
