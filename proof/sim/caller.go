package sim

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// ask is one intent of a caller: one key, asked for again until the answer is final, the caller vanishes, or it has had
// enough.
type ask struct {
	w      *World
	caller payment.Caller
	slot   id.ID // names the book
	cmd    func(payment.Caller) any
	then   func(payment.Reply)
	tries  int
	over   bool
}

const (
	callerTime  = 20 * clock.Second // that a caller waits for one answer
	callerTries = 12
)

func (a *ask) try() {
	w := a.w
	if a.over || w.over && a.tries > 0 || a.tries == callerTries {
		return
	}
	if a.tries++; a.tries > 1 {
		w.seen("caller_retried")
	}
	c := a.caller
	if w.chance(w.mix.otherBody) { // a careless caller: the same key for something else
		c.Fingerprint[0] = 2
		w.seen("key_with_other_body")
	}
	answered := false
	if planted.Bug == planted.KeyOtherVolume && a.tries == 2 {
		a.slot = id.Compose(0, id.Slots-1-a.slot.Slot(), [9]byte{})
	}
	gone := a.patience()
	w.send("payment", a.slot, func(h *host, back reply) {
		h.front(a.cmd(c), gone, func(r any, err error) {
			rep, _ := r.(payment.Reply)
			w.judge.told(c, rep, err)
			back(r, err)
		})
	}, func(r any, err error) {
		rep, _ := r.(payment.Reply)
		if answered || a.over || gone() {
			return
		}
		answered = true
		a.hear(c, rep, err)
	})
	if w.chance(w.mix.vanish) {
		w.seen("caller_vanished")
		a.over = true
		return
	}
	w.after(callerTime, func() {
		if !answered {
			answered = true
			a.try()
		}
	})
}

// patience returns whether the caller has hung up: soon or late after it has asked, or where a crash walk says so.
func (a *ask) patience() (gone func() bool) {
	w, asked, until := a.w, a.w.now, clock.Micros(0)
	if w.chance(w.mix.hangUp) {
		w.seen("caller_hung_up")
		until = w.now + span(w.rnd, 1, clock.Second)
	}
	return func() bool {
		return until > 0 && w.now >= until || w.leftAt > 0 && asked <= w.leftAt && w.leftAt <= w.now
	}
}

// hear decides whether the answer is final.
func (a *ask) hear(c payment.Caller, r payment.Reply, err error) {
	again := func() { a.w.after(100*clock.Millisecond+a.w.draw(3*clock.Second), a.try) }
	switch {
	case c != a.caller: // it was not our body: ask with it
		again()
	case err != nil && tcc.OutcomeOf(err) == tcc.Refused, fault.HasCode(err, fault.IdempotencyKeyReused):
		a.over = true
	case err != nil, !final(r):
		again()
	default:
		a.over = true
		a.w.town.remember(r.Payment)
		if a.w.chance(150) { // and asks once more all the same: the answer has to be the same
			a.over = false
			then := a.then
			a.then = func(payment.Reply) {}
			again()
			then(r)
			return
		}
		a.then(r)
	}
}

// remember keeps what a caller was told of, to look at it later.
func (t *town) remember(p *payment.Payment) {
	if p != nil {
		t.known = append(t.known, book.Key{Tenant: p.Tenant, ID: p.ID})
	}
}

// final reports whether a reply tells how its request ended.
func final(r payment.Reply) bool {
	if r.Operation != nil {
		return r.Operation.DoneAt > 0
	}
	return r.Payment != nil && r.Payment.SettledAt > 0
}

func (t *town) ask(w *World, tenant id.Tenant, slot id.ID, cmd func(payment.Caller) any, then func(payment.Reply)) {
	k, print := t.key(tenant)
	if slot.IsNil() {
		slot = id.Compose(0, id.SlotOf(k.ID[:]), [9]byte{})
	}
	(&ask{w: w, caller: payment.Caller{Key: k, Fingerprint: print}, slot: slot, cmd: cmd, then: then}).try()
}

// charge asks for a payment and, once it stands, for what may follow.
func (t *town) charge(w *World, o order) {
	t.ask(w, o.customer.tenant, id.Nil, t.start(w, o), func(r payment.Reply) { t.follow(w, r.Payment) })
}

// start returns the command of a charge: with a fresh id each time, as the service makes it.
func (t *town) start(w *World, o order) func(payment.Caller) any {
	var sources []payment.Source
	if o.points > 0 {
		sources = append(sources, payment.Source{Type: payment.FromPoints, Account: o.customer.id.Facet(tcc.PointsAccount), Amount: o.points})
	}
	if rest := o.amount - o.points; rest > 0 {
		sources = append(sources, payment.Source{Type: payment.FromBalance, Account: o.customer.id.Facet(tcc.BalanceAccount), Amount: rest})
	}
	return func(c payment.Caller) any {
		return payment.Start{Caller: c, Payment: payment.Payment{
			Tenant: c.Key.Tenant, ID: w.fresh(id.SlotOf(c.Key.ID[:])),
			Kind: payment.Charge, Capture: o.capture, Amount: money.Yen(o.amount), Customer: o.customer.id, Merchant: o.merchant.id,
			Session: o.session, Sources: sources, ExpiresAt: w.now + w.mix.authorization,
		}, Note: remark(c)}
	}
}

// remark is what some callers say about their payments.
func remark(c payment.Caller) []byte {
	if c.Key.ID[0]%2 == 0 {
		return nil
	}
	return append([]byte("for "), c.Key.ID[:]...)
}

// follow is what callers do with a payment that stands.
func (t *town) follow(w *World, p *payment.Payment) {
	if p.SettledStatus == payment.Authorized {
		t.operate(w, p)
	}
	if p.SettledStatus == payment.Captured {
		t.refunds(w, p)
	}
}

// operate captures or voids an authorized payment, or both at once, or neither.
func (t *town) operate(w *World, p *payment.Payment) {
	do := func(cause payment.Cause) {
		w.after(w.draw(10*clock.Second), func() {
			t.operation(w, p, cause, func(r payment.Reply) {
				if r.Operation.Code == "" && r.Operation.Status == payment.Captured {
					t.refunds(w, r.Payment)
				}
			})
		})
	}
	switch w.rnd.IntN(5) {
	case 0:
		do(payment.ByVoid)
	case 1:
		do(payment.ByCapture)
		do(payment.ByVoid)
		w.seen("capture_meets_void")
	case 2:
	default:
		do(payment.ByCapture)
	}
}

func (t *town) operation(w *World, p *payment.Payment, cause payment.Cause, then func(payment.Reply)) {
	t.ask(w, p.Tenant, p.ID, func(c payment.Caller) any {
		return payment.Operate{Caller: c, Tenant: p.Tenant, Cause: cause, Operation: w.fresh(p.ID.Slot()), Payment: p.ID}
	}, then)
}

// refunds gives some payments back: in full, in parts, or in more parts at once than there is.
func (t *town) refunds(w *World, p *payment.Payment) {
	n := p.Amount.Minor
	amounts := [...][]int64{nil, nil, {0}, {n/2 + 1}, {n * 6 / 10, n * 6 / 10, n * 6 / 10}, {1, 0}}[w.rnd.IntN(6)]
	if len(amounts) > 2 {
		w.seen("refunds_at_once")
	}
	for _, minor := range amounts {
		w.after(w.draw(clock.Second), func() { t.refund(w, p, minor, func(payment.Reply) {}) })
	}
}

// refund asks for an amount back; 0 is all that is left.
func (t *town) refund(w *World, p *payment.Payment, minor int64, then func(payment.Reply)) {
	t.ask(w, p.Tenant, p.ID, func(c payment.Caller) any {
		r := payment.StartRefund{Caller: c, Tenant: p.Tenant, ID: w.fresh(p.ID.Slot()), Parent: p.ID, Note: remark(c)}
		if minor > 0 {
			r.Amount = money.Yen(minor)
		}
		return r
	}, then)
}
