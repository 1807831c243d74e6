package sim

import (
	"encoding/binary"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
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

// build lets everybody move in, and every service make what stands when the world begins.
func (t *town) build(w *World) {
	for i := range tenants * customersPerOne {
		t.customers = append(t.customers, person{id.Tenant(1 + i%tenants), w.fresh(w.ids.Slot())})
	}
	for i := range tenants * merchantsPerOne {
		t.merchants = append(t.merchants, person{id.Tenant(1 + i%tenants), w.fresh(w.ids.Slot())})
	}
	for _, s := range platform {
		s.morning(w)
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
	return &code.Scan{
		Tenant: k.Tenant, Key: k.ID, Fingerprint: print, ID: w.fresh(id.SlotOf(k.ID[:])), Customer: o.customer.id,
		Merchant: o.merchant.id, Currency: money.JPY,
	}
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
