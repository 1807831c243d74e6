package sim

import (
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// The anomalies of TCC by their numbers in docs/reference/catalogue.md, at each participant.

// bench is a world in which a test plays the coordinator of one payment with three parts.
type bench struct {
	t   *testing.T
	w   *World
	pay payment.Payment
}

// each runs a test for every participant's part, in a world of its own.
func each(t *testing.T, test func(b *bench, x *payment.Part)) {
	for i, name := range []string{"balance", "points", "code"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			test(b, &b.pay.Parts[i])
		})
	}
}

func newBench(t *testing.T) *bench {
	w := quietWorld()
	w.judge.alone = true
	c, m := w.town.customers[0], w.town.merchants[0]
	return &bench{t, w, payment.Payment{
		Tenant: c.tenant, ID: w.fresh(9), Kind: payment.Charge, Amount: money.Yen(1200), Customer: c.id,
		Merchant: m.id, Session: w.town.scanned, EffectiveAt: w.now, GiveUpAt: w.now + 30*clock.Second, Parts: []payment.Part{
			{Number: 1, Participant: payment.Balance, Role: payment.Hold, Account: c.id.Facet(tcc.BalanceAccount), Amount: money.Yen(1000)},
			{Number: 2, Participant: payment.Points, Role: payment.Hold, Account: c.id.Facet(tcc.PointsAccount), Amount: money.Of(200, money.PT)},
			{Number: 3, Participant: payment.Code, Role: payment.Claim, Account: w.town.scanned, Amount: money.Yen(1200)},
		},
	}}
}

// quietWorld is a world without faults, whose first customer has scanned the first merchant's code.
func quietWorld() *World {
	w := newWorld(7, Plant{}, nil)
	w.town.scanned = w.town.scanBy(w, w.town.customers[0])
	return w
}

// heard is one answer.
type heard struct {
	rc  tcc.Receipt
	err error
}

// ask makes the same call n times at once.
func (b *bench) ask(x *payment.Part, v payment.Verb, n int) (all []heard) {
	h := b.w.route[book.Name(participantOf(x.Participant).name(), x.Account.Volume(b.w.volumes))]
	for range n {
		h.submit(call(&b.pay, x, v), func(r any, err error) {
			rc, _ := r.(tcc.Receipt)
			all = append(all, heard{rc, err})
		})
	}
	b.w.run(b.w.now + clock.Second)
	if len(all) != n {
		b.t.Fatalf("%v: %d of %d calls were answered", v, len(all), n)
	}
	return all
}

// wants makes a call and requires the code of its refusal, "" for done.
func (b *bench) wants(x *payment.Part, v payment.Verb, code fault.Code) tcc.Receipt {
	b.t.Helper()
	a := b.ask(x, v, 1)[0]
	if code == "" && a.err != nil || code != "" && !fault.HasCode(a.err, code) {
		b.t.Errorf("%v: %v, expected %q", v, a.err, code)
	}
	return a.rc
}

// stands requires where a part's branch stands by now.
func (b *bench) stands(x *payment.Part, want part) {
	b.t.Helper()
	if got := b.w.judge.parts()[book.Key{Tenant: b.pay.Tenant, ID: b.pay.ID.Facet(x.Number)}]; got != want {
		b.t.Errorf("the branch is %v, expected %v", got, want)
	}
}

func (b *bench) drop(x *payment.Part) {
	b.w.route[book.Name(participantOf(x.Participant).name(), x.Account.Volume(b.w.volumes))].crash()
	b.w.run(b.w.now + 5*clock.Second)
}

func TestD53EmptyCancel(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		first := b.wants(x, payment.VerbCancel, "")
		if again := b.wants(x, payment.VerbCancel, ""); again != first || first.Seq == 0 {
			b.t.Errorf("answered with %+v, then with %+v", first, again)
		}
		b.stands(x, letGo)
	})
}

func TestD54HangingTry(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		b.wants(x, payment.VerbCancel, "")
		b.wants(x, payment.VerbTry, fault.TryAfterCancel)
		b.drop(x)
		b.wants(x, payment.VerbTry, fault.TryAfterCancel)
		b.wants(x, payment.VerbConfirm, fault.AlreadyCancelled)
		b.stands(x, letGo)
	})
}

func TestD55CancelAfterALostReply(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		b.ask(x, payment.VerbTry, 1) // done, and nobody hears so
		b.stands(x, held)
		b.wants(x, payment.VerbCancel, "")
		b.stands(x, letGo)
		b.wants(x, payment.VerbTry, fault.TryAfterCancel)
	})
}

func TestD56Duplicates(t *testing.T) {
	for _, way := range []payment.Verb{payment.VerbConfirm, payment.VerbCancel} {
		each(t, func(b *bench, x *payment.Part) {
			for _, v := range []payment.Verb{payment.VerbTry, way} {
				all := append(b.ask(x, v, 3), b.ask(x, v, 2)...) // in one block, and later
				for _, a := range all {
					if a != all[0] || a.err != nil {
						b.t.Errorf("%v was answered with %+v, and with %+v", v, all[0], a)
					}
				}
			}
		})
	}
}

func TestD57LostConfirms(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		b.wants(x, payment.VerbTry, "")
		first := b.wants(x, payment.VerbConfirm, "")
		for range 20 {
			if again := b.wants(x, payment.VerbConfirm, ""); again != first {
				b.t.Fatalf("answered with %+v, then with %+v", first, again)
			}
		}
		b.drop(x)
		if again := b.wants(x, payment.VerbConfirm, ""); again != first {
			b.t.Errorf("after a crash answered with %+v, before with %+v", again, first)
		}
		b.stands(x, taken)
	})
}

func TestD62TwoCancelsAtOnce(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		b.wants(x, payment.VerbTry, "")
		for _, a := range b.ask(x, payment.VerbCancel, 2) {
			if a.err != nil {
				b.t.Errorf("one of two cancels: %v", a.err)
			}
		}
		b.stands(x, letGo)
	})
}

func TestD64RunAgainAfterTheFence(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		b.wants(x, payment.VerbTry, "")
		b.wants(x, payment.VerbCancel, "")
		for range 2 {
			b.wants(x, payment.VerbTry, fault.TryAfterCancel)
			b.wants(x, payment.VerbConfirm, fault.AlreadyCancelled)
			b.wants(x, payment.VerbCancel, "")
		}
	})
}

// TestD66FenceAndEffectInOneBlock dies before and after the block of each verb: fence and effect are there, or neither.
func TestD66FenceAndEffectInOneBlock(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		die := func(v payment.Verb, m misfortune) {
			b.w.plans = map[int]misfortune{1: m}
			b.w.steps = 0
			h := b.w.route[book.Name(participantOf(x.Participant).name(), x.Account.Volume(b.w.volumes))]
			h.submit(call(&b.pay, x, v), func(any, error) {})
			b.w.run(b.w.now + 10*clock.Second)
			b.w.plans = nil
		}
		die(payment.VerbTry, diesBefore)
		b.stands(x, absent)
		die(payment.VerbTry, diesAfter)
		b.stands(x, held)
		die(payment.VerbConfirm, diesBefore)
		b.stands(x, held)
		die(payment.VerbConfirm, diesAfter)
		b.stands(x, taken)
		b.wants(x, payment.VerbCancel, fault.AlreadyConfirmed)
		b.w.judge.tables() // and the rows are what the journal says
		for _, v := range b.w.judge.violations {
			b.t.Error(v)
		}
	})
}

// TestD67ExpiryWhileAConfirmIsUnderWay lets hours pass between Try and Confirm: points expire, the session's time is
// over, the deadline of the Try is long gone. What was promised is kept.
func TestD67ExpiryWhileAConfirmIsUnderWay(t *testing.T) {
	each(t, func(b *bench, x *payment.Part) {
		b.wants(x, payment.VerbTry, "")
		b.w.run(b.w.now + 3*clock.Hour)
		b.wants(x, payment.VerbConfirm, "")
		b.stands(x, taken)
	})
}

// The anomalies that need a coordinator.

// until lets the world live until something is so, a minute at most.
func (w *World) until(so func() bool) bool {
	end := w.now + clock.Minute
	for !so() {
		if !w.step(end) {
			return false
		}
	}
	return true
}

func (w *World) standing() *payment.Standing {
	for _, s := range w.judge.standing {
		return s
	}
	return nil
}

func (w *World) decided(d payment.Decision) func() bool {
	return func() bool { s := w.standing(); return s != nil && s.Decision == d }
}

// ends requires how the world's payments have ended, and that nothing is wrong with the books.
func ends(t *testing.T, w *World, want string) {
	t.Helper()
	w.judged(w.judge.ended)
	if got, _ := w.end(); got != want || len(w.judge.violations) > 0 {
		t.Errorf("it ends as %q, expected %q; %v", got, want, w.judge.violations)
	}
}

func paying() *World {
	w := quietWorld()
	w.town.pay(w, scanned(1200, 200), nil)
	return w
}

// TestD58TwoCoordinators lets a second process take the payment's book over while the first is confirming: what the
// first writes is refused, and what it sends is the decision that stands.
func TestD58TwoCoordinators(t *testing.T) {
	w := paying()
	if !w.until(w.decided(payment.Confirm)) {
		t.Fatal("nothing was decided")
	}
	for _, v := range []int{0, 1} {
		w.usurp(book.Name("payment", v), v)
	}
	w.run(w.now + clock.Minute)
	ends(t, w, "CAPTURED")
	if w.reached["fenced_writer"] == 0 || w.reached["duplicate_confirm"] == 0 {
		t.Errorf("the first coordinator was never in the way: %v", w.reached)
	}
}

// TestD59CoordinatorCrash dies right before and right after the block of the decision.
func TestD59CoordinatorCrash(t *testing.T) {
	w, step := paying(), 0
	w.plans = map[int]misfortune{}
	w.disk.landed = func(b *journal.Block) {
		if w.landed(b); step == 0 && w.decided(payment.Confirm)() {
			step = w.steps
		}
	}
	if !w.until(w.decided(payment.Confirm)) {
		t.Fatal("nothing was decided")
	}
	for _, m := range []misfortune{diesBefore, diesAfter} {
		x := paying()
		x.mix.wholeProcess = true
		x.plans = map[int]misfortune{step: m}
		if !x.until(func() bool { return x.reached["process_crash"] > 0 }) {
			t.Fatal("it did not die")
		}
		if got := x.decided(payment.Confirm)(); got != (m == diesAfter) {
			t.Errorf("%v the decision's block: durable is %v", m, got)
		}
		x.run(x.now + clock.Minute)
		x.plans = nil
		ends(t, x, "CAPTURED")
	}
}

// TestD60OneConfirmsTheOtherIsDown keeps the points away for an hour after the decision: it is kept, and carried out.
func TestD60OneConfirmsTheOtherIsDown(t *testing.T) {
	w := paying()
	if !w.until(w.decided(payment.Confirm)) {
		t.Fatal("nothing was decided")
	}
	for v := range volumes {
		w.outages[book.Name("points", v)] = w.now + clock.Hour
	}
	w.run(w.now + 59*clock.Minute)
	if s := w.standing(); s.Decision != payment.Confirm || s.Resource != payment.WorkInProgress || w.reached["deferred"] == 0 {
		t.Errorf("after 59 minutes: %+v, %v", s, w.reached)
	}
	w.run(w.now + 2*clock.Minute)
	ends(t, w, "CAPTURED")
}

// TestD63EmptyCancelsEnd keeps every participant away until the payment is given up: the Cancels find no Try, and end.
func TestD63EmptyCancelsEnd(t *testing.T) {
	w := quietWorld()
	for _, name := range w.names {
		if !isPayment(name) {
			w.outages[name] = w.now + 45*clock.Second
		}
	}
	w.town.pay(w, scanned(1200, 200), nil)
	w.run(w.now + 105*clock.Second)
	ends(t, w, "FAILED gave_up")
	if w.reached["empty_cancel"] != 3 {
		t.Errorf("%d cancels came without a Try, expected 3", w.reached["empty_cancel"])
	}
	before := w.reached["duplicate_cancel"]
	w.run(w.now + clock.Hour)
	if w.reached["duplicate_cancel"] != before {
		t.Error("a Cancel that has ended is sent again")
	}
}

// TestD65CaptureThenTimer captures an authorization right before it lapses, while nobody can be reached: the timer finds
// the decision, and changes nothing.
func TestD65CaptureThenTimer(t *testing.T) {
	w := quietWorld()
	w.mix.authorization = 20 * clock.Second
	lapses := w.now + w.mix.authorization
	w.town.pay(w, manual, func(w *World, p *payment.Payment) {
		w.after(lapses-w.now-10*clock.Millisecond, func() {
			for _, name := range w.names {
				if !isPayment(name) {
					w.outages[name] = w.now + 15*clock.Second
				}
			}
			w.town.operation(w, p, payment.ByCapture, func(payment.Reply) {})
		})
	})
	w.run(lapses + 5*clock.Second)
	if s := w.standing(); s.Decision != payment.Confirm {
		t.Fatalf("after the timer: %+v", s)
	}
	w.run(w.now + 2*clock.Minute)
	ends(t, w, "CAPTURED")
	if w.reached["authorization_expired"] > 0 {
		t.Error("the authorization expired, too")
	}
}

// TestD68LastPartFails: points and cash are held, and the session is somebody else's: everything is let go.
func TestD68LastPartFails(t *testing.T) {
	w := quietWorld()
	_, before := w.end()
	other := w.town.customers[2] // of the same tenant
	w.town.scanned = w.town.scanBy(w, other)
	w.town.pay(w, scanned(1200, 200), nil)
	w.run(w.now + 20*clock.Second)
	ends(t, w, "FAILED "+string(fault.SessionForeign))
	if _, after := w.end(); difference(before, after) != "" {
		t.Errorf("the books have changed: %s", difference(before, after))
	}
}

// TestF95LastYen lets a hundred callers pay with the last ¥100 at once.
func TestF95LastYen(t *testing.T) {
	w := quietWorld()
	c, m := w.town.customers[0], w.town.merchants[0]
	o := order{customer: c, merchant: m, amount: 3900, capture: payment.Automatic}
	w.town.ask(w, c.tenant, id.Nil, w.town.start(w, o), func(payment.Reply) {})
	w.run(w.now + 10*clock.Second)
	o.amount = 100
	won, short := 0, 0
	for range 100 {
		w.town.ask(w, c.tenant, id.Nil, w.town.start(w, o), func(r payment.Reply) {
			switch {
			case r.Payment.Status == payment.Captured:
				won++
			case r.Payment.Status == payment.Failed && r.Payment.Failure == fault.InsufficientFunds:
				short++
			}
		})
	}
	w.run(w.now + clock.Minute)
	if won != 1 || short != 99 {
		t.Errorf("%d won and %d were refused with insufficient_funds, expected 1 and 99", won, short)
	}
	w.judged(w.judge.ended)
	if len(w.judge.violations) > 0 {
		t.Error(w.judge.violations)
	}
}

// TestF97CaptureVoidAndRefundAtOnce sends all three about one authorization at the same time, many times over.
func TestF97CaptureVoidAndRefundAtOnce(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(40) {
		w := newWorld(seed, Plant{}, nil)
		codes := map[payment.Cause]fault.Code{}
		note := func(r payment.Reply) {
			if r.Operation != nil {
				codes[r.Operation.Cause] = r.Operation.Code
			}
		}
		o := order{customer: w.town.customers[0], merchant: w.town.merchants[0], amount: 1200, capture: payment.Manual}
		w.town.ask(w, o.customer.tenant, id.Nil, w.town.start(w, o), func(r payment.Reply) {
			for _, cause := range []payment.Cause{payment.ByCapture, payment.ByVoid} {
				w.after(w.draw(3*clock.Millisecond), func() { w.town.operation(w, r.Payment, cause, note) })
			}
			w.after(w.draw(10*clock.Millisecond), func() { w.town.refund(w, r.Payment, 0, note) })
		})
		w.run(w.now + 30*clock.Second)
		status, _ := w.end()
		outcomes[status]++
		switch capture, void := codes[payment.ByCapture], codes[payment.ByVoid]; status {
		case "VOIDED":
			if capture != fault.NotCapturable || void != "" || codes[payment.ByRefund] != fault.NotRefundable {
				t.Errorf("seed %d: %s with %v", seed, status, codes)
			}
		case "CAPTURED", "REFUNDED + SUCCEEDED":
			if capture != "" || void != fault.NotVoidable || status == "CAPTURED" && codes[payment.ByRefund] != fault.NotRefundable {
				t.Errorf("seed %d: %s with %v", seed, status, codes)
			}
		default:
			t.Errorf("seed %d: it ends as %q with %v", seed, status, codes)
		}
		w.judged(w.judge.ended)
		if len(w.judge.violations) > 0 {
			t.Error(w.judge.violations)
		}
	}
	if len(outcomes) != 3 {
		t.Errorf("not every outcome was reached: %v", outcomes)
	}
}
