package payment

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// list reads all pages, and calls between after each.
func (v visit) list(q *paymentv1.ListPaymentsRequest, between func()) (ids []string) {
	v.p.t.Helper()
	for {
		ctx, _ := v.call(q)
		m, err := v.p.handler.ListPayments(ctx, q)
		check(v.p.t, err)
		for _, x := range m.Items {
			ids = append(ids, x.Id)
		}
		if len(m.Items) > int(q.GetLimit()) || m.NextCursor == nil {
			return ids
		}
		q.Cursor = m.NextCursor
		between()
	}
}

func newestFirst(ids ...id.ID) []id.ID {
	slices.SortFunc(ids, func(a, b id.ID) int { return b.Compare(a) })
	return ids
}

// TestListFiltersAndPages: every filter, page by page, while new payments keep coming.
func TestListFiltersAndPages(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		ann, shop, other := r.fresh(), r.fresh(), r.fresh()
		pay := func(customer, merchant id.ID, capture Capture) id.ID {
			r.manual.Advance(time.Millisecond)
			q := r.request(capture)
			q.Customer, q.Merchant = customer, merchant
			return p.pay(fromBalance(q)).ID
		}
		var anns, shops, held, all []id.ID
		for i := range 25 {
			customer, merchant, capture := r.fresh(), other, Automatic
			if i%3 == 0 {
				customer = ann
			}
			if i%2 == 0 {
				merchant = shop
			}
			if i%5 == 0 {
				capture = Manual
			}
			x := pay(customer, merchant, capture)
			if all = append(all, x); customer == ann {
				anns = append(anns, x)
			}
			if merchant == shop {
				shops = append(shops, x)
			}
			if capture == Manual {
				held = append(held, x)
			}
		}
		elsewhere := r.request(Automatic)
		elsewhere.Tenant, elsewhere.Key.Tenant, elsewhere.Customer = 2, 2, ann
		p.settle(must(p.Create(t.Context(), elsewhere)))

		merchant := rpc.Principal{Tenant: 1, Role: rpc.Merchant, Merchant: shop}
		authorized := paymentv1.PaymentStatus_PAYMENT_STATUS_AUTHORIZED
		for _, c := range []struct {
			what string
			who  rpc.Principal
			q    *paymentv1.ListPaymentsRequest
			want []id.ID
		}{
			{"everything", operator, &paymentv1.ListPaymentsRequest{}, all},
			{"of a customer", operator, &paymentv1.ListPaymentsRequest{Customer: p.customer(ann)}, anns},
			{"of a merchant", operator, &paymentv1.ListPaymentsRequest{Merchant: p.merchant(shop)}, shops},
			{"of a status", operator, &paymentv1.ListPaymentsRequest{Status: authorized}, held},
			{
				"of all three", operator, &paymentv1.ListPaymentsRequest{Customer: p.customer(ann), Merchant: p.merchant(shop), Status: authorized},
				[]id.ID{all[0]},
			},
			{"a merchant's own", merchant, &paymentv1.ListPaymentsRequest{}, shops},
			{"a merchant's own, by name", merchant, &paymentv1.ListPaymentsRequest{Merchant: p.merchant(shop)}, shops},
			{"a merchant's customer", merchant, &paymentv1.ListPaymentsRequest{Customer: p.customer(ann)}, intersect(anns, shops)},
			{"another's", merchant, &paymentv1.ListPaymentsRequest{Merchant: p.merchant(other)}, nil},
			{"of nobody", operator, &paymentv1.ListPaymentsRequest{Customer: p.customer(r.fresh())}, nil},
		} {
			var want []string
			for _, x := range newestFirst(slices.Clone(c.want)...) {
				want = append(want, p.public(x))
			}
			for _, size := range []int64{1, 4, 100} {
				q := proto.Clone(c.q).(*paymentv1.ListPaymentsRequest)
				q.Limit = &size
				got := p.visit(c.who, "").list(q, func() {})
				if !slices.Equal(got, want) {
					t.Errorf("%s, %d a page: %d payments, expected %d", c.what, size, len(got), len(want))
				}
			}
		}
		before := p.visit(operator, "").list(&paymentv1.ListPaymentsRequest{Limit: proto.Int64(100)}, func() {})
		during := p.visit(operator, "").list(&paymentv1.ListPaymentsRequest{Limit: proto.Int64(7)}, func() { pay(ann, shop, Automatic) })
		if !slices.Equal(before, during) {
			t.Errorf("while payments come in the pages show\n%v, expected\n%v", during, before)
		}
		ctx, _ := p.visit(operator, "").call(&paymentv1.ListPaymentsRequest{})
		_, err := p.handler.ListPayments(ctx, &paymentv1.ListPaymentsRequest{Cursor: proto.String("pay_1")})
		p.visit(operator, "").answer(nil, err).wants(t, "a made-up cursor", fault.InvalidCursor, "cursor")
		_, err = p.handler.ListPayments(ctx, &paymentv1.ListPaymentsRequest{Customer: proto.String("x")})
		p.visit(operator, "").answer(nil, err).wants(t, "a made-up customer", fault.InvalidID, "customer")
	})
}

func intersect(a, b []id.ID) (out []id.ID) {
	for _, x := range a {
		if slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// explain tells a payment's story as lines.
func (p *proc) explain(x id.ID) (m *paymentv1.Explanation, steps []string) {
	p.t.Helper()
	q := &paymentv1.ExplainPaymentRequest{Id: p.public(x)}
	ctx, _ := p.visit(operator, "").call(q)
	m, err := p.handler.ExplainPayment(ctx, q)
	check(p.t, err)
	for _, s := range m.Steps {
		steps = append(steps, fmt.Sprintf("%s %s %s %s", s.Event, s.Status, s.Phase, s.RollbackPhase))
	}
	return m, steps
}

// TestExplainAFinishedPayment: every step, answer, entry and block, and the refund.
func TestExplainAFinishedPayment(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		x := p.pay(r.request(Automatic)).ID
		refund := p.settle(p.refund(x, 100))
		m, steps := p.explain(x)
		if got := fmt.Sprint(steps); got != "[started PAYMENT_STATUS_ACCEPTED init  answered PAYMENT_STATUS_ACCEPTED confirm_decided  "+
			"answered PAYMENT_STATUS_CAPTURED notified  refunded PAYMENT_STATUS_PARTIALLY_REFUNDED notified ]" {
			t.Errorf("steps: %s", got)
		}
		if m.GetDecision() != "confirm" || m.Phase != "notified" || len(m.Owed) != 0 || len(m.Parts) != 4 {
			t.Errorf("%+v", m)
		}
		if len(m.Entries) != 7 { // three tries, three confirms, one add
			t.Errorf("%d entries", len(m.Entries))
		}
		events := int64(0)
		for _, b := range m.Blocks {
			if events += b.Events; len(b.Hash) != 64 {
				t.Errorf("block %+v", b)
			}
		}
		if events != int64(len(m.Steps)+len(m.Entries)) {
			t.Errorf("blocks with %d events for %d steps and %d entries", events, len(m.Steps), len(m.Entries))
		}
		if len(m.Refunds) != 1 || m.Refunds[0].Id != p.public(refund.ID) {
			t.Errorf("refunds: %v", m.Refunds)
		}
		for _, part := range m.Parts {
			for _, a := range part.Answers {
				if a.Outcome != "done" || a.Attempts != 1 || a.Block == nil {
					t.Errorf("part %d: %+v", part.Number, a)
				}
			}
		}
	})
}

// TestExplainTrouble: what is owed next, when, and which layer of recovery has it.
func TestExplainTrouble(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		r.balance.plays(just(VerbConfirm, unknown, fault.Timeout))
		x := p.create(r.request(Automatic)).ID
		v := p.queued(x, 1)
		r.manual.Set(v.DeferredUntil)
		v = p.queued(x, 2)
		m, steps := p.explain(x)
		want := "[started PAYMENT_STATUS_ACCEPTED init  answered PAYMENT_STATUS_ACCEPTED confirm_decided " +
			" answered PAYMENT_STATUS_ACCEPTED confirm_decided  answered PAYMENT_STATUS_ACCEPTED confirm_decided " +
			" deferred PAYMENT_STATUS_ACCEPTED confirm_decided  answered PAYMENT_STATUS_ACCEPTED confirm_decided " +
			" deferred PAYMENT_STATUS_ACCEPTED confirm_decided ]"
		if got := fmt.Sprint(steps); got != want {
			t.Errorf("steps: %s", got)
		}
		if len(m.Owed) != 1 {
			t.Fatalf("owed: %v", m.Owed)
		}
		d := m.Owed[0]
		if d.Verb != "confirm" || d.Participant != "balance" || d.Layer != "queue" || d.DueAt != int64(v.DeferredUntil) || d.Attempts != 2 ||
			d.GetCode() != string(fault.Timeout) || d.Amount.GetValue() != 1000 {
			t.Errorf("owed: %+v", d)
		}
		if a := m.Parts[1].Answers[1]; a.Verb != "confirm" || a.Outcome != "unknown" || a.Attempts != 2 || a.Failure.GetCode() != string(fault.Timeout) {
			t.Errorf("answer: %+v", a)
		}

		r.balance.plays(just(VerbTry, unknown, fault.Timeout))
		undecided := p.queued(p.create(r.request(Automatic)).ID, 1)
		if m, _ := p.explain(undecided.ID); m.Decision != nil || m.Owed[0].Layer != "queue" || m.Owed[0].DueAt != int64(undecided.GiveUpAt) {
			t.Errorf("undecided, it is looked at when it is given up: %+v", m.Owed)
		}
		p.stop()
		p = r.start(busy, Layers{NoQueue: true})
		if m, _ := p.explain(undecided.ID); m.Owed[0].Layer != "sweep" {
			t.Errorf("without a queue: %+v", m.Owed)
		}
		r.balance.plays(just(VerbTry, waits, ""))
		running := p.create(r.request(Automatic)).ID
		if m, _ := p.explain(running); len(m.Owed) != 3 || m.Owed[1].Layer != "worker" || m.Owed[1].DueAt != int64(r.clk.Now()) {
			t.Errorf("while it is driven: %+v", m.Owed)
		}
		r.balance.letGo(nil)
	})
}
