package points

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// What happens to accounts outside payments.

func (m *Machine) decideOpen(now clock.Micros, c *Open, out *book.Decision) {
	x := c.Owner.Facet(tcc.PointsAccount)
	blank := newAccount(Customer)
	blank.Owner, blank.OpenedAt = c.Owner.Root(), now
	if a := m.customer(c.Tenant, x); a != nil {
		blank.OpenedAt = a.OpenedAt // the first reply again
	} else {
		out.Emit(&opened{Tenant: c.Tenant, Account: x, Owner: c.Owner.Root()})
	}
	out.Reply(blank.view(x, now))
}

func (m *Machine) decideRead(now clock.Micros, c *Read, out *book.Decision) {
	a := m.accounts.Get(book.Key{Tenant: c.Tenant, ID: c.Account})
	if k := Kind(c.Account.Part()); a == nil && k >= Redeemed && k < Customer && c.Account == m.ownID(k) {
		a = m.ownAccount(c.Tenant, k)
	}
	if a == nil {
		out.Refuse(fault.AccountNotFound.New(""))
		return
	}
	out.Reply(a.view(c.Account, now))
}

func (m *Machine) decideStatus(now clock.Micros, c *SetStatus, out *book.Decision) {
	a := m.customer(c.Tenant, c.Account)
	if a == nil {
		out.Refuse(fault.AccountNotFound.New(""))
		return
	}
	if a.Status != c.Status {
		if err := a.CanBecome(c.Status); err != nil {
			out.Refuse(err)
			return
		}
		out.Emit(&statusSet{Tenant: c.Tenant, Account: c.Account, Status: c.Status})
	}
	v := a.view(c.Account, now)
	v.Status = c.Status
	out.Reply(v)
}

func (m *Machine) decideGrant(now clock.Micros, c *Grant, out *book.Decision) {
	if e := m.keys.Get(book.Key{Tenant: c.Tenant, ID: c.Key}); e != nil {
		if e.Fingerprint != c.Fingerprint {
			out.Refuse(fault.IdempotencyKeyReused.New(""))
		} else {
			out.Reply(Repeated{e.Target})
		}
		return
	}
	if err := m.checkGrant(now, c); err != nil {
		out.Refuse(err) // a request that is not valid does not bind its key
		return
	}
	k := book.Key{Tenant: c.Tenant, ID: c.ID}
	a := m.customer(c.Tenant, c.Account)
	day := businessDay(dayOf(c.EffectiveAt), a)
	err := a.CanReceive(c.Amount, day)
	if err == nil && !a.hasRoom(c.Class, c.ExpiresAt) {
		err = fault.LimitExceeded.New("the account has points of %d different expiries, and no more are kept apart: grant "+
			"points that expire when others do, such as at the end of a day", len(a.Lots))
	}
	if err != nil {
		out.Emit(&grantRefused{
			Tenant: c.Tenant, ID: c.ID, Account: c.Account, Key: c.Key, Fingerprint: c.Fingerprint, Amount: c.Amount.Minor,
			Refusal: branch.RefusalOf(err),
		})
		out.Refuse(err)
		return
	}
	p := placer{account: a}
	out.Emit(&granted{
		Tenant: c.Tenant, ID: c.ID, Account: c.Account, Key: c.Key, Fingerprint: c.Fingerprint,
		Lot: Part{p.place(c.Class, c.ExpiresAt), c.Class, c.ExpiresAt, c.Amount.Minor}, Day: day, EffectiveAt: c.EffectiveAt,
		Owner: a.Owner, Posted: a.Posted() + c.Amount.Minor, Held: a.Held(),
	})
	name := out.Book
	out.ReplyAfter(func() any { return m.grants.Get(k).reply(c.ID, name) })
}

func (m *Machine) checkGrant(now clock.Micros, c *Grant) *fault.Error {
	if err := checkAmount(c.Amount); err != nil {
		return err
	}
	switch {
	case c.Class != Free && c.Class != Paid:
		return fault.InvalidRequest.New("the class is %d; expected free or paid", c.Class).WithParam("class")
	case c.ExpiresAt < 0 || gone(c.ExpiresAt, now):
		return fault.InvalidRequest.New("the lot expires at %v, which is over", c.ExpiresAt).WithParam("expires_at")
	case m.customer(c.Tenant, c.Account) == nil:
		return fault.AccountNotFound.New("")
	}
	if room := ledger.Supply(m.volumes) + m.ownAccount(c.Tenant, Suspense).Posted(); c.Amount.Minor > room {
		return fault.SupplyExhausted.New("%d points are asked for, and at most %d more can be granted here", c.Amount.Minor, max(room, 0))
	}
	return nil
}

func (m *Machine) decideReadGrant(c *ReadGrant, out *book.Decision) {
	g := m.grants.Get(book.Key{Tenant: c.Tenant, ID: c.ID})
	switch {
	case g == nil:
		out.Refuse(fault.DataDamaged.New("a key names a grant that does not exist"))
	case g.Refusal.Code != "":
		out.Refuse(g.Refusal.Fault())
	default:
		out.Reply(g.reply(c.ID, out.Book))
	}
}

func (m *Machine) decideExpire(now clock.Micros, k book.Key, out *book.Decision) {
	a := m.customer(k.Tenant, k.ID)
	if a == nil {
		return
	}
	parts := a.Lots.expired(now)
	if len(parts) == 0 {
		return
	}
	out.Emit(&expired{
		Tenant: k.Tenant, Account: k.ID, Lots: parts, Day: businessDay(dayOf(now), a), Owner: a.Owner, Posted: a.Posted() - sumParts(parts),
		Held: a.Held(),
	})
}

func points(n int64) money.Amount { return money.Amount{Minor: n, Currency: money.PT} }
