package sim

import (
	"encoding/binary"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// town is who lives in a world: customers with cash and points, and merchants.
type town struct {
	customers []person
	merchants []person
	scanned   id.ID      // the session of a crash walk's story
	known     []book.Key // payments that callers were told of
	n         uint64     // keys that callers have used
}

type person struct {
	tenant id.Tenant
	id     id.ID
}

const (
	tenants         = 2
	customersPerOne = 2 // few, so that their payments meet
	merchantsPerOne = 1
)

// build opens the accounts of a new world and fills them.
func (t *town) build(w *World) {
	for i := range tenants * customersPerOne {
		c := person{id.Tenant(1 + i%tenants), w.fresh(w.ids.Slot())}
		t.customers = append(t.customers, c)
		cash := c.id.Facet(tcc.BalanceAccount)
		w.must("balance", cash, &balance.Open{Tenant: c.tenant, Account: cash, Terms: balance.Terms{Currency: money.JPY}})
		t.credit(w, c, cash, 4000)
		w.must("points", c.id, &points.Open{Tenant: c.tenant, Owner: c.id})
		for lot := range 3 {
			t.grant(w, c, 400, [...]clock.Micros{0, w.now + clock.Minute + w.draw(4*clock.Minute), w.now + clock.Hour}[lot])
		}
	}
	for i := range tenants * merchantsPerOne {
		m := person{id.Tenant(1 + i%tenants), w.fresh(w.ids.Slot())}
		t.merchants = append(t.merchants, m)
		payable := m.id.Facet(tcc.PayableAccount)
		w.must("balance", payable, &balance.Open{Tenant: m.tenant, Account: payable, Terms: balance.Terms{Currency: money.JPY}})
	}
	w.settle()
}

// must submits a command of the world's beginning, where nothing goes wrong.
func (w *World) must(service string, x id.ID, cmd any) {
	w.route[book.Name(service, x.Volume(w.volumes))].submit(cmd, func(_ any, err error) {
		if err != nil {
			w.judge.fail("setup", "%T: %v", cmd, err)
		}
	})
}

func (w *World) fresh(slot uint16) id.ID { return w.ids.New(w.now, slot) }

// key returns a caller's key that nobody has used, and the print of a body.
func (t *town) key(tenant id.Tenant) (k book.Key, print [16]byte) {
	t.n++
	var x id.ID
	binary.BigEndian.PutUint64(x[:], t.n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(x[8:], t.n)
	return book.Key{Tenant: tenant, ID: x}, [16]byte{1}
}

func (t *town) credit(w *World, c person, account id.ID, yen int64) {
	k, print := t.key(c.tenant)
	w.must("balance", account, &balance.AddCredit{Key: k, Print: print, ID: w.fresh(account.Slot()), Account: account,
		Amount: money.Yen(yen), EffectiveAt: w.now, Day: balance.Japan(c.tenant, w.now)})
}

func (t *town) grant(w *World, c person, amount int64, expires clock.Micros) {
	k, print := t.key(c.tenant)
	w.must("points", c.id, &points.Grant{Tenant: c.tenant, Key: k.ID, Fingerprint: print, ID: w.fresh(c.id.Slot()),
		Account: c.id.Facet(tcc.PointsAccount), Amount: money.Of(amount, money.PT), Class: points.Free, ExpiresAt: expires, EffectiveAt: w.now})
}

// suspend stops an account for a while.
func (t *town) suspend(w *World) {
	who, facet := t.customers[w.rnd.IntN(len(t.customers))], tcc.BalanceAccount
	if w.chance(300) {
		who, facet = t.merchants[w.rnd.IntN(len(t.merchants))], tcc.PayableAccount
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
}

// intend starts as many intents as asked for, at the mix's pace.
func (t *town) intend(w *World, payments int) {
	t.browse(w, payments*w.mix.reads/1000, w.mix.pace*clock.Micros(payments))
	for range payments {
		at := w.draw(w.mix.pace * clock.Micros(payments))
		w.after(at, func() {
			if w.chance(600) {
				t.scan(w)
			} else {
				t.charge(w, t.order(w))
			}
		})
	}
}

// order is what a caller wants paid.
type order struct {
	customer, merchant person
	amount, points     int64
	session            id.ID
	capture            payment.Capture
}

func (t *town) order(w *World) order {
	c := t.customers[w.rnd.IntN(len(t.customers))]
	o := order{customer: c, merchant: t.merchants[int(c.tenant)-1], amount: 1 + w.rnd.Int64N(1500), capture: payment.Automatic}
	switch w.rnd.IntN(6) {
	case 0:
		o.points = o.amount
	case 1, 2, 3:
		o.points = w.rnd.Int64N(min(o.amount, 500))
	}
	if w.chance(350) {
		o.capture = payment.Manual
	}
	return o
}

// scan opens a session, which the payment that follows may come too late for, or share with another.
func (t *town) scan(w *World) {
	o := t.order(w)
	cmd := t.scanCommand(w, o)
	if w.chance(200) {
		cmd.Minor = o.amount
	}
	o.session = cmd.ID // the caller believes in it even if nobody answers
	w.send("code", cmd.ID, func(h *host, back reply) { h.submit(cmd, book.Done(back)) }, once(func(any, error) {
		if w.chance(100) {
			o.customer = t.customers[w.rnd.IntN(customersPerOne)*tenants+int(o.customer.tenant)-1]
		}
		for range 1 + w.rnd.IntN(8)/7 {
			w.after(w.draw(5*clock.Second), func() { t.charge(w, o) })
		}
	}))
}

// scanCommand opens a session for an order under a fresh key.
func (t *town) scanCommand(w *World, o order) *code.Scan {
	k, print := t.key(o.customer.tenant)
	return &code.Scan{Tenant: k.Tenant, Key: k.ID, Fingerprint: print, ID: w.fresh(id.SlotOf(k.ID[:])), Customer: o.customer.id,
		Merchant: o.merchant.id, Currency: money.JPY}
}

// once hears the first answer only.
func once(f reply) reply {
	heard := false
	return func(r any, err error) {
		if !heard {
			heard = true
			f(r, err)
		}
	}
}
