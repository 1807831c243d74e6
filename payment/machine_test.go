package payment

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// desk is a coordinator's book on one thread, with a source of ids and keys.
type desk struct {
	*booktest.Harness
	t   *testing.T
	ids *id.Source
	n   byte
}

func newDesk(t *testing.T) *desk {
	return &desk{Harness: booktest.New(t, "payment", func() book.Machine { return NewMachine(0, 1) }), t: t, ids: id.NewSource(nil)}
}

func (d *desk) caller() Caller {
	d.n++
	return Caller{Key: book.Key{Tenant: 1, ID: id.ID{d.n, 7}}, Fingerprint: [16]byte{d.n}}
}

func (d *desk) fresh() id.ID { return d.ids.New(d.Clock.Now(), 0) }

// charge is a request for ¥1,200, of which 200 in points.
func (d *desk) charge(capture Capture) Start {
	customer, merchant := d.fresh(), d.fresh()
	return Start{Caller: d.caller(), Payment: Payment{
		Tenant: 1, ID: d.fresh(), Kind: Charge, Capture: capture,
		Amount: money.Yen(1200), Customer: customer, Merchant: merchant, Session: d.fresh(),
		Sources: []Source{
			{Type: FromPoints, Account: customer.Facet(tcc.PointsAccount), Amount: 200},
			{Type: FromBalance, Account: customer.Facet(tcc.BalanceAccount), Amount: 1000},
		},
		ExpiresAt: d.Clock.Now().Add(7 * 24 * time.Hour),
	}}
}

func (d *desk) do(cmd any) Reply {
	d.t.Helper()
	r, err := d.Do(cmd)
	if err != nil {
		d.t.Fatalf("%T: %v", cmd, err)
	}
	return r.(Reply)
}

// ask is do for what may come too early: then it has the payment as it stands, and no trace is left.
func (d *desk) ask(x id.ID, cmd any) Reply {
	d.t.Helper()
	r, err := d.Do(cmd)
	switch {
	case err == nil:
		return r.(Reply)
	case !fault.HasCode(err, fault.PaymentBusy):
		d.t.Fatalf("%T: %v", cmd, err)
	}
	return Reply{Payment: d.get(x)}
}

func (d *desk) get(x id.ID) *Payment { return d.do(Get{1, x}).Payment }

// answer reports the given outcome for every step that is owed; say overrides it for single parts.
func (d *desk) answer(x id.ID, out tcc.Outcome, say map[uint8]fault.Code) *Payment {
	d.t.Helper()
	var list []Answer
	for _, st := range Owed(d.get(x)) {
		a := Answer{Number: st.Part.Number, Verb: st.Verb, Outcome: out, Attempts: 1, At: d.Clock.Now(), Book: "x/00", Seq: 1}
		if c, ok := say[st.Part.Number]; ok {
			a.Outcome, a.Code = tcc.Refused, c
		}
		list = append(list, a)
	}
	return d.do(Report{1, x, list}).Payment
}

func stands(t *testing.T, p *Payment, want string) {
	t.Helper()
	if got := fmt.Sprintf("%s %s %s %s", p.Status, p.Resource, p.Phase, p.Rollback); got != want {
		t.Errorf("stands at %q, expected %q", got, want)
	}
}

func owed(p *Payment) (out string) {
	for _, st := range Owed(p) {
		out += fmt.Sprintf("%s %s;", st.Verb, st.Part.Participant)
	}
	return out
}

func TestChargeIsCaptured(t *testing.T) {
	d := newDesk(t)
	p := d.do(d.charge(Automatic)).Payment
	stands(t, p, "ACCEPTED WORK_IN_PROGRESS init ")
	if got := owed(p); got != "try points;try balance;try code;" {
		t.Errorf("owed first: %s", got)
	}
	p = d.answer(p.ID, tcc.Done, nil)
	stands(t, p, "ACCEPTED WORK_IN_PROGRESS confirm_decided ")
	if got := owed(p); got != "confirm points;confirm balance;confirm code;add balance;" {
		t.Errorf("owed after the decision: %s", got)
	}
	d.Restart()
	p = d.answer(p.ID, tcc.Done, nil)
	stands(t, p, "CAPTURED WAIT notified ")
	if p.Captured != 1200 || p.Sources[0].Captured != 200 || p.Sources[1].Captured != 1000 || len(Owed(p)) != 0 {
		t.Errorf("captured: %+v", p)
	}
	add := p.Parts[3]
	if add.Amount != money.Yen(1200) || fmt.Sprint(add.Funding) != "[{points_funding JPY 200} {payment_clearing JPY 1,000}]" {
		t.Errorf("the merchant's part: %v", add)
	}
	d.Rebuild()
}

func TestRefusedTryRollsBack(t *testing.T) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	p := d.answer(x, tcc.Done, map[uint8]fault.Code{2: fault.InsufficientFunds})
	stands(t, p, "ACCEPTED WORK_IN_PROGRESS init cancel_decided")
	if got := owed(p); got != "cancel points;cancel balance;cancel code;" {
		t.Errorf("the refused Try is cancelled, too: %s", got)
	}
	p = d.answer(x, tcc.Done, nil)
	stands(t, p, "FAILED FAILED init rollback_completed")
	if p.Failure != fault.InsufficientFunds || p.Captured != 0 {
		t.Errorf("failure %s, captured %d", p.Failure, p.Captured)
	}
	d.Rebuild()
}

func TestUnknownIsNeverTakenForANo(t *testing.T) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	p := d.answer(x, tcc.Unknown, nil)
	stands(t, p, "ACCEPTED WORK_IN_PROGRESS init ")
	if got := owed(p); got != "try points;try balance;try code;" {
		t.Errorf("unknown answers are asked again: %s", got)
	}
}

func TestUndecidedIsGivenUp(t *testing.T) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	d.answer(x, tcc.Unknown, nil)
	d.do(Defer{Tenant: 1, ID: x, Code: fault.Timeout})
	d.Advance(29 * time.Second)
	stands(t, d.get(x), "ACCEPTED WORK_IN_PROGRESS init ")
	d.Advance(2 * time.Second)
	stands(t, d.get(x), "ACCEPTED WORK_IN_PROGRESS init cancel_decided")
	p := d.answer(x, tcc.Done, nil)
	stands(t, p, "FAILED FAILED init rollback_completed")
	if p.Failure != fault.GaveUp {
		t.Errorf("failure %s", p.Failure)
	}
}

func TestNothingTurnsADecisionRound(t *testing.T) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	d.answer(x, tcc.Done, nil)
	d.answer(x, tcc.Unknown, nil)
	d.Advance(time.Hour)
	p := d.get(x)
	stands(t, p, "ACCEPTED WORK_IN_PROGRESS confirm_decided ")
	late := []Answer{{Number: 1, Verb: VerbTry, Outcome: tcc.Refused, Code: fault.TryTooLate}}
	if p = d.do(Report{1, x, late}).Payment; p.Decision != Confirm {
		t.Errorf("a late refusal turned the decision to %s", p.Decision)
	}
	stands(t, d.answer(x, tcc.Done, nil), "CAPTURED WAIT notified ")
}

func TestLateAnswersMoveNoPartBack(t *testing.T) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	d.answer(x, tcc.Done, nil)
	taken := []Answer{{Number: 1, Verb: VerbConfirm, Outcome: tcc.Done}}
	before := owed(d.do(Report{1, x, taken}).Payment)
	for _, late := range []Answer{
		{Number: 1, Verb: VerbTry, Outcome: tcc.Done},
		{Number: 1, Verb: VerbTry, Outcome: tcc.Unknown},
		{Number: 1, Verb: VerbTry, Outcome: tcc.Refused, Code: fault.TryTooLate},
		{Number: 1, Verb: VerbCancel, Outcome: tcc.Done},
	} {
		p := d.do(Report{1, x, []Answer{late}}).Payment
		if got := owed(p); p.Parts[0].State != Taken || got != before {
			t.Errorf("after a late %s %s: %s, owed %s", late.Verb, late.Outcome, p.Parts[0].State, got)
		}
	}
}

func TestAuthorizeThen(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(d *desk, x id.ID)
		want string
	}{
		{"capture", func(d *desk, x id.ID) {
			r := d.do(Operate{Caller: d.caller(), Tenant: 1, Cause: ByCapture, Operation: d.fresh(), Payment: x})
			if got := owed(r.Payment); got != "confirm points;confirm balance;add balance;" {
				t.Errorf("owed by the capture: %s", got)
			}
		}, "CAPTURED WAIT notified "},
		{"void", func(d *desk, x id.ID) {
			d.do(Operate{Caller: d.caller(), Tenant: 1, Cause: ByVoid, Operation: d.fresh(), Payment: x})
		}, "VOIDED COMPLETED authorized rollback_completed"},
		{"expiry", func(d *desk, x id.ID) { d.Advance(8 * 24 * time.Hour) }, "EXPIRED COMPLETED authorized rollback_completed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			x := d.do(d.charge(Manual)).Payment.ID
			p := d.answer(x, tcc.Done, nil)
			if got := owed(p); got != "confirm code;" {
				t.Errorf("the authorization uses the session: %s", got)
			}
			stands(t, d.answer(x, tcc.Done, nil), "AUTHORIZED WAIT authorized ")
			c.then(d, x)
			stands(t, d.answer(x, tcc.Done, nil), c.want)
			d.Rebuild()
		})
	}
}

func captured(t *testing.T) (*desk, id.ID) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	d.answer(x, tcc.Done, nil)
	d.answer(x, tcc.Done, nil)
	return d, x
}

func (d *desk) refund(x id.ID, yen int64) Reply {
	q := StartRefund{Caller: d.caller(), Tenant: 1, ID: d.fresh(), Parent: x}
	if yen > 0 {
		q.Amount = money.Yen(yen)
	}
	return d.do(q)
}

func TestRefundGivesBackInReverseOrder(t *testing.T) {
	d, x := captured(t)
	r := d.refund(x, 1100).Payment
	if got := fmt.Sprint(r.Parts[0].Funding); got != "[{payment_clearing JPY 1,000} {points_funding JPY 100}]" {
		t.Errorf("the merchant's part: %s", got)
	}
	if r.Parts[2].Origin != x.Facet(1) || r.Parts[2].Amount != money.Of(100, money.PT) {
		t.Errorf("points return to the branch that took them: %+v", r.Parts[2])
	}
	d.answer(r.ID, tcc.Done, nil)
	stands(t, d.answer(r.ID, tcc.Done, nil), "SUCCEEDED COMPLETED notified ")
	stands(t, d.get(x), "PARTIALLY_REFUNDED WAIT notified ")
	rest := d.refund(x, 0).Payment
	if rest.Amount != money.Yen(100) {
		t.Errorf("a refund without amount takes the rest: %v", rest.Amount)
	}
	d.answer(rest.ID, tcc.Done, nil)
	d.answer(rest.ID, tcc.Done, nil)
	p := d.get(x)
	stands(t, p, "REFUNDED COMPLETED notified ")
	if p.Refunded != 1200 || p.Sources[0].Refunded != 200 || p.Sources[1].Refunded != 1000 {
		t.Errorf("refunded: %+v", p.Sources)
	}
	if o := d.refund(x, 1).Operation; o == nil || o.Code != fault.AlreadyRefunded {
		t.Errorf("a refund of nothing: %+v", o)
	}
	d.Rebuild()
}

func TestRefundsUnderWayCount(t *testing.T) {
	d, x := captured(t)
	first := d.refund(x, 720).Payment
	if o := d.refund(x, 720).Operation; o == nil || o.Code != fault.ExceedsCaptured {
		t.Fatalf("the second 60 %% was accepted while the first is under way: %+v", o)
	}
	d.answer(first.ID, tcc.Done, map[uint8]fault.Code{1: fault.InsufficientFunds})
	p := d.answer(first.ID, tcc.Done, nil)
	stands(t, p, "FAILED FAILED init rollback_completed")
	if p.Failure != fault.MerchantFundsShort {
		t.Errorf("a merchant without funds: %s", p.Failure)
	}
	stands(t, d.get(x), "CAPTURED WAIT notified ")
	if r := d.refund(x, 720); r.Operation != nil {
		t.Errorf("what a failed refund did not take can be refunded: %+v", r.Operation)
	}
}

func TestKeysMeetWhatTheyMade(t *testing.T) {
	d := newDesk(t)
	q := d.charge(Automatic)
	first := d.do(q)
	if !first.New {
		t.Error("the first is new")
	}
	again := q
	again.Payment.ID = d.fresh()
	if r := d.do(again); r.New || r.Payment.ID != first.Payment.ID {
		t.Errorf("the same key made another payment: %+v", r)
	}
	d.Restart()
	d.Clock.Advance(90 * 24 * time.Hour)
	if r := d.do(again); r.New || r.Payment.ID != first.Payment.ID {
		t.Errorf("90 days later the key made another payment: %+v", r)
	}
	again.Fingerprint[0]++
	if _, err := d.Do(again); !errors.Is(err, fault.IdempotencyKeyReused) {
		t.Errorf("the same key with another body: %v", err)
	}
}

func TestDeclinedOperationsBindTheirKeys(t *testing.T) {
	d, x := captured(t)
	q := Operate{Caller: d.caller(), Tenant: 1, Cause: ByVoid, Operation: d.fresh(), Payment: x}
	for range 2 {
		if o := d.do(q).Operation; o == nil || o.Code != fault.NotVoidable || o.DoneAt == 0 {
			t.Fatalf("void of a captured payment: %+v", o)
		}
		d.Restart()
	}
}

func TestQueueBacksOff(t *testing.T) {
	d := newDesk(t)
	x := d.do(d.charge(Automatic)).Payment.ID
	d.answer(x, tcc.Done, nil)
	var waits []time.Duration
	for range 8 {
		p := d.do(Defer{Tenant: 1, ID: x, Code: fault.Timeout}).Payment
		waits = append(waits, p.DeferredUntil.Sub(d.Clock.Now()))
	}
	if got := fmt.Sprint(waits); got != "[1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s 1h0m0s]" {
		t.Errorf("waits: %s", got)
	}
}
