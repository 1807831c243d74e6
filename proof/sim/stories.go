package sim

import (
	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// story is what a crash walk dies in the middle of, and how it ends when nothing happens: each kind of payment, each way
// that one can go.
type story struct {
	name string
	tell func(w *World)
	ends string // the payments, charges first
}

var stories = []story{
	{"charge", func(w *World) { w.town.pay(w, scanned(1200, 200), nil) }, "CAPTURED"},
	{"charge without a code", func(w *World) { w.town.pay(w, plain(1200, 200), nil) }, "CAPTURED"},
	{"charge from the balance alone", func(w *World) { w.town.pay(w, scanned(1200, 0), nil) }, "CAPTURED"},
	{"charge from points alone", func(w *World) { w.town.pay(w, scanned(700, 700), nil) }, "CAPTURED"},
	{"authorize and capture", func(w *World) { w.town.pay(w, manual, w.town.then(payment.ByCapture)) }, "CAPTURED"},
	{"authorize and void", func(w *World) { w.town.pay(w, manual, w.town.then(payment.ByVoid)) }, "VOIDED"},
	{"authorize and let lapse", func(w *World) {
		w.mix.authorization = 25 * clock.Second
		w.town.pay(w, manual, nil)
	}, "EXPIRED"},
	{"capture, then void", func(w *World) {
		w.town.pay(w, manual, func(w *World, p *payment.Payment) {
			w.town.operation(w, p, payment.ByCapture, func(payment.Reply) { w.town.operation(w, p, payment.ByVoid, func(payment.Reply) {}) })
		})
	}, "CAPTURED"},
	{"refused for want of funds", func(w *World) { w.town.pay(w, scanned(9999, 200), nil) }, "FAILED insufficient_funds"},
	{"refused by the last part", func(w *World) {
		w.town.scanned = w.town.scanBy(w, w.town.customers[2])
		w.town.pay(w, scanned(1200, 200), nil)
	}, "FAILED session_of_another_customer"},
	{"refused for a suspended account", func(w *World) {
		w.town.set(w, w.town.customers[0].id.Facet(tcc.BalanceAccount), ledger.NoOut)
		w.town.pay(w, scanned(1200, 200), nil)
	}, "FAILED account_suspended"},
	{"given up", func(w *World) {
		for _, name := range w.names {
			if !isPayment(name) {
				w.outages[name] = w.now + 50*clock.Second
			}
		}
		w.town.pay(w, scanned(1200, 200), nil)
	}, "FAILED gave_up"},
	{"landed in suspense", func(w *World) {
		w.town.set(w, w.town.merchants[0].id.Facet(tcc.PayableAccount), ledger.NoIn)
		w.town.pay(w, scanned(1200, 200), nil)
	}, "CAPTURED"},
	{"refund in full", func(w *World) { w.town.pay(w, scanned(1200, 200), w.town.back(0)) }, "REFUNDED + SUCCEEDED"},
	{"refund in part", func(w *World) { w.town.pay(w, scanned(1200, 200), w.town.back(500)) }, "PARTIALLY_REFUNDED + SUCCEEDED"},
	{"refunds until nothing is left", func(w *World) { w.town.pay(w, scanned(1200, 200), w.town.back(500, 700)) }, "REFUNDED + SUCCEEDED + SUCCEEDED"},
	{"refund of points", func(w *World) { w.town.pay(w, scanned(700, 700), w.town.back(300)) }, "PARTIALLY_REFUNDED + SUCCEEDED"},
	{"refund of more than there is", func(w *World) { w.town.pay(w, scanned(1200, 200), w.town.back(1201)) }, "CAPTURED"},
}

// bill is what a story pays: amounts in yen.
type bill struct {
	amount, points int64
	coded          bool
	capture        payment.Capture
}

func scanned(amount, points int64) bill { return bill{amount, points, true, payment.Automatic} }
func plain(amount, points int64) bill   { return bill{amount, points, false, payment.Automatic} }

// manual is authorized first.
var manual = bill{1200, 200, true, payment.Manual}

// pay lets the first customer pay the first merchant.
func (t *town) pay(w *World, b bill, then func(*World, *payment.Payment)) {
	o := order{customer: t.customers[0], merchant: t.merchants[0], amount: b.amount, points: b.points, capture: b.capture}
	if b.coded {
		o.session = t.scanned
	}
	t.ask(w, o.customer.tenant, id.Nil, t.start(w, o), func(r payment.Reply) {
		if then != nil {
			then(w, r.Payment)
		}
	})
}

// then captures or voids.
func (t *town) then(cause payment.Cause) func(*World, *payment.Payment) {
	return func(w *World, p *payment.Payment) { t.operation(w, p, cause, func(payment.Reply) {}) }
}

// back refunds amounts, one after the other; 0 is all that is left.
func (t *town) back(amounts ...int64) func(*World, *payment.Payment) {
	return func(w *World, p *payment.Payment) {
		if len(amounts) > 0 {
			t.refund(w, p, amounts[0], func(payment.Reply) { t.back(amounts[1:]...)(w, p) })
		}
	}
}

// scanBy opens a session at the first merchant, before a story begins.
func (t *town) scanBy(w *World, customer person) id.ID {
	scan := t.scanCommand(w, order{customer: customer, merchant: t.merchants[0]})
	w.before("code", scan.ID, scan)
	return scan.ID
}

// set gives an account of the first tenant another status, before a story begins.
func (t *town) set(w *World, account id.ID, s ledger.Status) {
	w.before("balance", account, &balance.SetStatus{Tenant: t.customers[0].tenant, Account: account, Status: s})
}

// before submits a command and lets it be done, without misfortunes.
func (w *World) before(service string, x id.ID, cmd any) {
	plans := w.plans
	w.plans = nil
	w.must(service, x, cmd)
	w.run(w.now + clock.Second)
	w.plans = plans
}
