package payment

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

func async(q *paymentv1.CreatePaymentRequest) *paymentv1.CreatePaymentRequest {
	c := proto.Clone(q).(*paymentv1.CreatePaymentRequest)
	c.Async = true
	return c
}

// inBackground posts, and returns where the answer will come.
func (v visit) inBackground(q proto.Message) <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- v.post(q) }()
	return ch
}

func (r *rig) receive(ch <-chan reply) (a reply) {
	r.t.Helper()
	select {
	case a = <-ch:
	case <-time.After(patience):
		r.t.Fatal("no answer")
	}
	return a
}

// TestSyncAndAsyncAreOnePayment: one key is one payment, whichever way it is asked for.
func TestSyncAndAsyncAreOnePayment(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		r.balance.plays(just(VerbTry, waits, ""))
		q, v := p.order(), p.visit(operator, "one")
		first := v.inBackground(q)
		eventually(t, "the first is under way", func() bool { now, _ := r.balance.flying(); return now == 1 })
		same := v.post(q)
		same.wants(t, "a copy while it runs", fault.InProgress, "")
		if same.payment == "" || same.retry != time.Second {
			t.Errorf("a copy while it runs: %+v", same)
		}
		now := v.post(async(q))
		if now.status != 202 || now.retry != time.Second || now.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_ACCEPTED ||
			now.payment != same.payment {
			t.Errorf("the same, async: %+v", now)
		}
		r.balance.letGo(nil)
		done := r.receive(first)
		if done.status != 0 || done.payment != same.payment || done.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED {
			t.Errorf("the first: %+v", done)
		}
		for _, again := range []reply{v.post(q), v.post(async(q))} {
			if again.status != 0 || again.body != done.body {
				t.Errorf("a replay differs:\n%q\n%q", again.body, done.body)
			}
		}
		if n := r.balance.count(VerbTry); n != 1 {
			t.Errorf("%d tries", n)
		}
	})
}

// TestManyCopiesOfOneKey: 50 copies at once, in both modes, make one payment.
func TestManyCopiesOfOneKey(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		q, v := p.order(), p.visit(operator, "storm")
		var answers []<-chan reply
		for i := range 50 {
			if i%2 == 0 {
				answers = append(answers, v.inBackground(q))
			} else {
				answers = append(answers, v.inBackground(async(q)))
			}
		}
		ids := map[string]bool{}
		for _, ch := range answers {
			a := r.receive(ch)
			if ids[a.payment] = true; a.code != "" && a.code != fault.InProgress {
				t.Errorf("a copy was answered %s", a.code)
			}
		}
		p.idle()
		// A copy may drive the payment beside the first (rule B8): the fakes see to it that nothing takes effect twice.
		if n := r.balance.count(VerbTry); len(ids) != 1 || n == 0 || n > 2 {
			t.Errorf("%d payments, %d tries", len(ids), n)
		}
	})
}

// TestCallersWaitInRealTime: on a platform to rehearse on the clock jumps. What becomes due then happens; a caller who
// waits is not answered early.
func TestCallersWaitInRealTime(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(busy, Layers{})
		r.balance.plays(always(waits))
		v, real := p.visit(operator, "patient"), clock.NewManual(rigStart)
		v.pace, v.deadline = real, real.Now()+10*clock.Second
		ch := v.inBackground(p.order())
		eventually(t, "it is under way", func() bool { now, _ := r.balance.flying(); return now == 1 })
		r.manual.Advance(15 * time.Second)
		r.balance.letGo(nil)
		if a := r.receive(ch); a.code != "" || a.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED {
			t.Errorf("after a jump of the platform's clock: %+v", a)
		}
	})
}

// TestDeadlineOnSomethingDurable: the payment as it stands, and never an error.
func TestDeadlineOnSomethingDurable(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(busy, Layers{})
		r.balance.plays(always(waits))
		stands := func(what string, a reply) {
			t.Helper()
			if a.code != "" || a.status != 202 || a.retry != time.Second || a.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_ACCEPTED ||
				a.message.GetReference() != "till 7" {
				t.Errorf("%s: %+v", what, a)
			}
		}
		order := func() *paymentv1.CreatePaymentRequest {
			q := p.order()
			q.Reference = proto.String("till 7")
			return q
		}
		v := p.visit(operator, "in time")
		v.deadline = r.clk.Now() + 10*clock.Second
		ch := v.inBackground(order())
		eventually(t, "it is under way", func() bool { now, _ := r.balance.flying(); return now == 1 })
		r.manual.Set(v.deadline - replyMargin)
		stands("near its deadline", r.receive(ch))
		v = p.visit(operator, "too late")
		v.deadline = r.clk.Now() - 1
		stands("after its deadline", v.post(order()))
		ctx, hangUp := context.WithCancel(t.Context())
		v = p.visit(operator, "gone")
		v.ctx = ctx
		ch = v.inBackground(order())
		eventually(t, "it is under way", func() bool { now, _ := r.balance.flying(); return now == 3 })
		hangUp()
		stands("after the caller hung up", r.receive(ch))
		r.balance.letGo(nil)
	})
}

// TestWorkerGivesUpAndTheCallerHears: a driver that hands over to the queue does not keep its caller.
func TestWorkerGivesUpAndTheCallerHears(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		r.balance.plays(always(unknown))
		v := p.visit(operator, "k")
		q := p.order()
		a := v.post(q)
		if a.status != 202 || a.message.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_ACCEPTED || a.message.ExpiresAt == nil {
			t.Errorf("%+v", a)
		}
		v.post(q).wants(t, "again", fault.InProgress, "")
	})
}

// TestReplaysAreEqualToTheByte: whatever was settled is answered the same for ever, refusals and request ids included,
// and however the payment goes on.
func TestReplaysAreEqualToTheByte(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		type said struct {
			key  string
			q    proto.Message
			body string
			code fault.Code
		}
		var all []said
		say := func(key string, q proto.Message, code fault.Code) reply {
			t.Helper()
			r.manual.Advance(time.Second)
			a := p.visit(operator, key).post(q)
			if a.code != code {
				t.Fatalf("%s: answered %q, expected %q", key, a.code, code)
			}
			all = append(all, said{key, q, a.body, code})
			return a
		}
		manual := p.order()
		manual.Capture = paymentv1.CaptureMode_CAPTURE_MODE_MANUAL
		manual.Metadata = map[string]string{"b": "2", "a": "1"}
		x := say("authorize", manual, "").payment
		say("refund too early", &paymentv1.CreateRefundRequest{Id: x}, fault.NotRefundable)
		say("capture too much", &paymentv1.CapturePaymentRequest{Id: x, Amount: yen(1201)}, fault.CaptureMismatch)
		say("capture", &paymentv1.CapturePaymentRequest{Id: x}, "")
		say("capture twice", &paymentv1.CapturePaymentRequest{Id: x}, fault.NotCapturable)
		say("void", &paymentv1.VoidPaymentRequest{Id: x}, fault.NotVoidable)
		say("refund 200", &paymentv1.CreateRefundRequest{Id: x, Amount: yen(200), Reference: proto.String("r")}, "")
		say("refund 1100", &paymentv1.CreateRefundRequest{Id: x, Amount: yen(1100)}, fault.ExceedsCaptured)
		r.balance.plays(just(VerbTry, refuses, fault.InsufficientFunds))
		say("short", p.order(), fault.InsufficientFunds)
		say("merchant short", &paymentv1.CreateRefundRequest{Id: x}, fault.MerchantFundsShort)
		r.balance.plays(nil)
		say("refund all", &paymentv1.CreateRefundRequest{Id: x}, "")
		say("refund again", &paymentv1.CreateRefundRequest{Id: x}, fault.AlreadyRefunded)
		for life := range 3 {
			for _, s := range all {
				v := p.visit(operator, s.key)
				if a := v.post(s.q); a.body != s.body || a.code != s.code || a.status != 0 {
					t.Errorf("life %d: %s: the replay differs:\n%q\n%q", life, s.key, a.body, s.body)
				}
				r.differ(v, s.q).wants(t, s.key+" with another body", fault.IdempotencyKeyReused, "")
			}
			p = p.again()
			r.manual.Advance(90 * 24 * time.Hour)
		}
	})
}

// differ posts another body under the same key.
func (r *rig) differ(v visit, q proto.Message) reply {
	switch q := proto.Clone(q).(type) {
	case *paymentv1.CreatePaymentRequest:
		q.Amount.Value++
		return v.post(q)
	case *paymentv1.CapturePaymentRequest:
		q.Amount = yen(77)
		return v.post(q)
	case *paymentv1.VoidPaymentRequest: // has nothing that could differ: the fingerprint of something else
		ctx, sent := v.call(&paymentv1.CreateRefundRequest{Id: q.Id, Amount: yen(77)})
		m, err := v.p.handler.VoidPayment(ctx, q)
		a := v.answer(m, err)
		a.status = sent.Status
		return a
	case *paymentv1.CreateRefundRequest:
		q.Amount = yen(77)
		return v.post(q)
	}
	panic("no such request")
}

// TestInvalidRequestsBindNoKey: after a correction the same key can be used.
func TestInvalidRequestsBindNoKey(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		v := p.visit(operator, "k")
		q := p.order()
		q.Amount = yen(0)
		v.post(q).wants(t, "nothing", fault.InvalidAmount, "amount.value")
		q.Amount = yen(100)
		if a := v.post(q); a.code != "" {
			t.Errorf("corrected: %s", a.code)
		}
	})
}

type order = paymentv1.CreatePaymentRequest

// TestCreatePaymentIsValidated holds every rule of a request to its code and the field it names (catalogue A 1–3, 6, 7).
func TestCreatePaymentIsValidated(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		usd := func(n int64) *typev1.Money { return &typev1.Money{Currency: "USD", Value: n} }
		pt := func(n int64) *typev1.Money { return &typev1.Money{Currency: "PT", Value: n} }
		in := func(c string) func(*order) {
			return func(q *order) { q.Amount = &typev1.Money{Currency: c, Value: 100} }
		}
		from := func(list ...*paymentv1.SourceRequest) func(*order) { return func(q *order) { q.Sources = list } }
		for i, c := range []struct {
			what  string
			edit  func(*order)
			code  fault.Code
			param string
		}{
			{"as it should be", func(*order) {}, "", ""},
			{"no kind", func(q *order) { q.Kind = 0 }, fault.InvalidRequest, "kind"},
			{"a refund", func(q *order) { q.Kind = paymentv1.PaymentKind_PAYMENT_KIND_REFUND }, fault.InvalidRequest, "kind"},
			{"no amount", func(q *order) { q.Amount = nil }, fault.MissingField, "amount"},
			{"zero", func(q *order) { q.Amount = yen(0) }, fault.InvalidAmount, "amount.value"},
			{"negative", func(q *order) { q.Amount = yen(-1) }, fault.InvalidAmount, "amount.value"},
			{"largest", func(q *order) { q.Amount = yen(1<<53 - 1) }, "", ""},
			{"beyond the largest", func(q *order) { q.Amount = yen(1 << 53) }, fault.InvalidAmount, "amount.value"},
			{"max int64", func(q *order) { q.Amount = yen(math.MaxInt64) }, fault.InvalidAmount, "amount.value"},
			{"min int64", func(q *order) { q.Amount = yen(math.MinInt64) }, fault.InvalidAmount, "amount.value"},
			{"not the accounts' currency", in("KWD"), fault.CurrencyMismatch, "amount.currency"},
			{"with four decimals", in("CLF"), fault.CurrencyMismatch, "amount.currency"},
			{"unknown currency", in("ABC"), fault.InvalidCurrency, "amount.currency"},
			{"no currency code", in("XXX"), fault.InvalidCurrency, "amount.currency"},
			{"retired", in("DEM"), fault.InvalidCurrency, "amount.currency"},
			{"lower case", in("jpy"), fault.InvalidCurrency, "amount.currency"},
			{"empty currency", in(""), fault.InvalidCurrency, "amount.currency"},
			{"in points", in("PT"), fault.InvalidCurrency, "amount.currency"},

			{"nobody pays", func(q *order) { q.Customer = nil }, fault.MissingField, "session"},
			{"nobody is paid", func(q *order) { q.Merchant = nil }, fault.MissingField, "session"},
			{"not an id", func(q *order) { q.Customer = proto.String("cus_1") }, fault.InvalidID, "customer"},
			{"an id of another kind", func(q *order) { q.Merchant = q.Customer }, fault.InvalidID, "merchant"},
			{"unknown customer", func(q *order) { q.Customer = p.customer(nobody) }, fault.CustomerNotFound, "customer"},
			{"unknown merchant", func(q *order) { q.Merchant = p.merchant(nobody) }, fault.MerchantNotFound, "merchant"},
			{"not a session", func(q *order) { q.Session = proto.String("ses_1") }, fault.InvalidID, "session"},
			{"unknown session", func(q *order) { q.Session = proto.String(p.codec.Encode(id.Session, p.fresh())) }, fault.SessionNotFound, "session"},

			{"points and the rest", from(pointsSource(pt(200)), balanceSource(nil)), "", ""},
			{"points in yen", from(pointsSource(yen(200)), balanceSource(yen(1000))), "", ""},
			{"points in another currency", from(pointsSource(usd(200)), balanceSource(nil)), fault.CurrencyMismatch, "sources.0.amount.currency"},
			{"balance in points", from(balanceSource(pt(200)), pointsSource(nil)), fault.CurrencyMismatch, "sources.0.amount.currency"},
			{"balance in another currency", from(balanceSource(usd(1200))), fault.CurrencyMismatch, "sources.0.amount.currency"},
			{"all points", from(pointsSource(nil)), "", ""},
			{"points cover it all", from(pointsSource(pt(1200)), balanceSource(nil)), "", ""},
			{"too little", from(pointsSource(pt(200)), balanceSource(yen(999))), fault.SourcesMismatch, "sources"},
			{"too much", from(pointsSource(pt(200)), balanceSource(yen(1001))), fault.SourcesMismatch, "sources"},
			{"one is too much", from(pointsSource(pt(1201)), balanceSource(nil)), fault.SourcesMismatch, "sources"},
			{"two rests", from(pointsSource(nil), balanceSource(nil)), fault.SourcesMismatch, "sources"},
			{"twice the balance", from(balanceSource(yen(600)), balanceSource(yen(600))), fault.InvalidRequest, "sources"},
			{"nothing of a source", from(pointsSource(pt(0)), balanceSource(nil)), fault.InvalidAmount, "sources.0.amount.value"},
			{"less than nothing", from(pointsSource(pt(-1)), balanceSource(yen(1201))), fault.InvalidAmount, "sources.0.amount.value"},
			{"huge sources", from(pointsSource(pt(1<<53-1)), balanceSource(yen(1<<53-1))), fault.SourcesMismatch, "sources"},
			{"an unknown source currency", from(balanceSource(&typev1.Money{Currency: "abc", Value: 1})), fault.InvalidCurrency, "sources.0.amount.currency"},
			{"too long a note", func(q *order) { q.Metadata = map[string]string{"k": string(make([]byte, 17<<10))} }, fault.RequestTooLarge, "metadata"},
			{"a nameless datum", func(q *order) { q.Metadata = map[string]string{"": "v"} }, fault.InvalidRequest, "metadata"},
		} {
			q := p.order()
			c.edit(q)
			tries := r.balance.count(VerbTry) + r.points.count(VerbTry)
			p.visit(operator, fmt.Sprint(i)).post(q).wants(t, c.what, c.code, c.param)
			if after := r.balance.count(VerbTry) + r.points.count(VerbTry); c.code != "" && after != tries {
				t.Errorf("%s: somebody was asked", c.what)
			}
		}
	})
}

// TestSessionFillsIn: a scanned code says who pays whom, and how much if it carries an amount.
func TestSessionFillsIn(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		s := p.handler.Sessions.(*sessions)
		ann, shop := p.fresh(), p.fresh()
		charge := paymentv1.PaymentKind_PAYMENT_KIND_CHARGE
		session := s.scan(p.fresh(), ann, shop, yen(500))
		a := p.visit(operator, "fixed").post(&order{Kind: charge, Session: &session})
		if m := a.message; a.code != "" || m.GetAmount().GetValue() != 500 || m.GetCustomer() != *p.customer(ann) || m.GetMerchant() != *p.merchant(shop) ||
			m.GetSession() != session {
			t.Errorf("%+v", a)
		}
		open := s.scan(p.fresh(), ann, shop, nil)
		p.visit(operator, "open").post(&order{Kind: charge, Session: &open}).wants(t, "no amount anywhere", fault.MissingField, "amount")
		// Who scanned it and what it carries is the session's to judge, so that what passes is what is true when it is used.
		for code, q := range map[fault.Code]*order{
			fault.SessionForeign:  {Kind: charge, Session: &open, Amount: yen(500), Customer: p.customer(p.fresh())},
			fault.SessionMismatch: {Kind: charge, Session: &session, Amount: yen(501)},
			fault.SessionUsed:     {Kind: charge, Session: &session},
		} {
			r.code.plays(just(VerbTry, refuses, code))
			a := p.visit(operator, string(code)).post(q)
			a.wants(t, "a session that refuses", code, "session")
			failed := p.visit(operator, "").post(&paymentv1.GetPaymentRequest{Id: a.payment}).message
			if failed.GetStatus() != paymentv1.PaymentStatus_PAYMENT_STATUS_FAILED || failed.GetFailure().GetCode() != string(code) {
				t.Errorf("%s: %+v", code, failed)
			}
		}
	})
}

// TestMerchantsSeeTheirOwn: another merchant's payment does not exist for them, whatever they try.
func TestMerchantsSeeTheirOwn(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		mine, other := p.fresh(), p.fresh()
		q := p.order()
		q.Merchant = p.merchant(mine)
		x := p.visit(operator, "pay").post(q).payment
		as := func(m id.ID) rpc.Principal {
			return rpc.Principal{Tenant: 1, Role: rpc.Merchant, Merchant: m, Name: p.codec.Encode(id.Merchant, m)}
		}
		elsewhere := operator
		elsewhere.Tenant = 2
		for i, who := range []rpc.Principal{as(other), elsewhere} {
			for j, q := range []proto.Message{
				&paymentv1.GetPaymentRequest{Id: x}, &paymentv1.CreateRefundRequest{Id: x},
				&paymentv1.CapturePaymentRequest{Id: x}, &paymentv1.VoidPaymentRequest{Id: x},
			} {
				key := ""
				if j > 0 {
					key = fmt.Sprint(i, j)
				}
				p.visit(who, key).post(q).wants(t, fmt.Sprintf("%s %T", who.Name, q), fault.PaymentNotFound, "")
			}
		}
		if a := p.visit(as(mine), "").post(&paymentv1.GetPaymentRequest{Id: x}); a.code != "" {
			t.Errorf("the merchant's own: %s", a.code)
		}
		if a := p.visit(as(mine), "r").post(&paymentv1.CreateRefundRequest{Id: x}); a.code != "" {
			t.Errorf("the merchant's own refund: %s", a.code)
		}
		p.visit(operator, "").post(&paymentv1.GetPaymentRequest{Id: p.public(p.fresh())}).wants(t, "no such payment", fault.PaymentNotFound, "")
		p.visit(operator, "").post(&paymentv1.GetPaymentRequest{Id: "pay_1"}).wants(t, "no id at all", fault.PaymentNotFound, "")
	})
}

// A request that came before must not leave a second note behind: nobody would find it to erase it (rule B14).
func TestARetryLeavesNoNoteBehind(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(DefaultTiming, Layers{})
		v, q := p.visit(operator, "once"), p.order()
		q.Reference = proto.String("till 7")
		for range 3 {
			if a := v.post(q); a.code != "" {
				t.Fatalf("refused with %s", a.code)
			}
		}
		if n := r.kept(); n != 1 {
			t.Errorf("%d notes were kept; expected one", n)
		}
		q.Reference = proto.String("till 8")
		if a := v.post(q); a.code != fault.IdempotencyKeyReused || r.kept() != 1 {
			t.Errorf("another body: %s, and %d notes", a.code, r.kept())
		}
	})
}

// Whose payment it is comes first: for somebody else's nothing is kept, and nothing is written.
func TestNothingIsKeptForAnothersPayment(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(DefaultTiming, Layers{})
		paid := p.visit(operator, "paid").post(p.order())
		before := r.written()
		q := &paymentv1.CreateRefundRequest{Id: paid.payment, Reference: proto.String("佐藤様")}
		for _, who := range []rpc.Principal{{Tenant: 1, Role: rpc.Merchant, Merchant: p.fresh(), Name: "rival"}, {Tenant: 2, Role: rpc.Operator}} {
			p.visit(who, "theirs").post(q).wants(t, who.Name, fault.PaymentNotFound, "")
		}
		if after := r.written(); r.kept() != 0 || after != before {
			t.Errorf("%d notes were kept, and %d blocks written", r.kept(), after-before)
		}
	})
}

// written returns how many blocks the books have.
func (r *rig) written() (n int) {
	r.t.Helper()
	for v := range rigVolumes {
		blocks, err := r.journal.Read(r.t.Context(), book.Name("payment", v), 1, 10_000)
		check(r.t, err)
		n += len(blocks)
	}
	return n
}

// kept returns how many notes stand.
func (r *rig) kept() int64 {
	r.t.Helper()
	n, damaged, err := r.journal.CheckNotes(r.t.Context())
	if err != nil || len(damaged) > 0 {
		r.t.Fatalf("the notes: %v, %v", damaged, err)
	}
	return n
}

// What becomes of a refund that is declined is its own event, and nothing else is kept; a customer who is forgotten takes along
// what was said about every payment and refund of his, and nobody else's.
func TestForgettingReachesEveryNote(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(DefaultTiming, Layers{})
		var paid reply
		q := p.order()
		for i := range 3 {
			q.Reference = proto.String(fmt.Sprint("till ", i))
			paid = p.visit(operator, q.GetReference()).post(q)
		}
		refund := &paymentv1.CreateRefundRequest{Id: paid.payment, Reference: proto.String("broken")}
		if a := p.visit(operator, "back").post(refund); a.code != "" {
			t.Fatalf("refund: %s", a.code)
		}
		if a := p.visit(operator, "again").post(refund); a.code != fault.AlreadyRefunded {
			t.Fatalf("a second refund: %s", a.code)
		}
		if n := r.kept(); n != 4 {
			t.Fatalf("%d notes were kept; expected those of three payments and a refund", n)
		}
		x, err := p.codec.Decode(id.Payment, paid.payment)
		check(t, err)
		v, err := p.Get(t.Context(), 1, x)
		check(t, err)
		check(t, p.Forget(t.Context(), 1, p.fresh()))
		if n := r.kept(); n != 4 {
			t.Errorf("%d notes are left of four when somebody else was forgotten", n)
		}
		for i := range forgetPage { // more than are looked at in one go
			q.Reference = proto.String(fmt.Sprint("more ", i))
			p.visit(operator, q.GetReference()).post(q)
		}
		check(t, p.Forget(t.Context(), 1, v.Customer))
		if n := r.kept(); n != 0 {
			t.Errorf("%d notes are left", n)
		}
		q.Reference = proto.String("till 0")
		if a := p.visit(operator, "till 0").post(q); r.kept() != 0 || a.code != "" {
			t.Errorf("what was erased has come back with a request that was sent again: %+v", a)
		}
	})
}
