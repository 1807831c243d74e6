package payment

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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

// history makes payments of a few parties at different times, refunds among them, and returns all, newest first.
func (p *proc) history(luck *rand.Rand, parties []id.ID) (all []*Payment) {
	p.t.Helper()
	var made []id.ID
	for range 40 {
		p.manual.Advance(time.Duration(1+luck.IntN(90)) * time.Minute)
		q := fromBalance(p.request(Automatic))
		if luck.IntN(4) == 0 {
			q.Capture = Manual
		}
		q.Customer, q.Merchant = parties[luck.IntN(len(parties))], parties[luck.IntN(len(parties))]
		q.Marks = Marks{uint64(luck.IntN(3)), uint64(luck.IntN(3)), uint64(luck.IntN(3)), uint64(luck.IntN(3)) << 62}
		x := p.pay(q)
		if made = append(made, x.ID); x.Status == Captured && luck.IntN(2) == 0 {
			made = append(made, p.settle(p.refund(x.ID, int64(1+luck.IntN(1200)))).ID)
		}
	}
	for _, x := range newestFirst(made...) {
		all = append(all, p.see(x))
	}
	return all
}

// fits is what a filter means.
func (f Filter) fits(p *Payment) bool {
	same := func(want, is id.ID) bool { return want.IsNil() || want == is }
	return same(f.Customer, p.Customer) && same(f.Merchant, p.Merchant) && same(f.Parent, p.Parent) &&
		marked(f.Marks, p.Marks) && (f.Kind == 0 || f.Kind == p.Kind) && (f.Status == 0 || f.Status == p.Status) &&
		(!f.Suspense || p.inSuspense() > 0) && (f.From == 0 || p.CreatedAt >= f.From) && (f.Until == 0 || p.CreatedAt < f.Until)
}

func marked(want, is Marks) bool {
	fits := func(want, is uint64) bool { return want == 0 || want == is }
	return fits(want.Reference, is.Reference) && fits(want.BillNumber, is.BillNumber) &&
		fits(want.ReferenceLabel, is.ReferenceLabel) && fits(want.TerminalLabel, is.TerminalLabel)
}

// Whatever is asked for, the pages together are what fits, newest first, each once: however long the pages are, and however
// few rows one of them looks at.
func TestPagesAreWhatFits(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		luck := rand.New(rand.NewPCG(7, 11))
		parties := []id.ID{r.fresh(), r.fresh(), r.fresh(), r.fresh()}
		all := p.history(luck, parties)
		maybe := func(one, of int) bool { return luck.IntN(of) < one }
		short := 0
		for range 150 {
			f := Filter{Tenant: 1, Limit: 1 + luck.IntN(9)}
			if maybe(1, 3) {
				f.Customer = parties[luck.IntN(len(parties))]
			}
			if maybe(1, 3) {
				f.Merchant = parties[luck.IntN(len(parties))]
			}
			f.Suspense = maybe(1, 12)
			if maybe(1, 5) {
				f.Parent = all[luck.IntN(len(all))].ID
			}
			if maybe(1, 3) {
				f.Kind = Kind(1 + luck.IntN(2))
			}
			if maybe(1, 3) {
				f.Status = Status(1 + luck.IntN(9))
			}
			for _, m := range []*uint64{&f.Marks.Reference, &f.Marks.BillNumber, &f.Marks.ReferenceLabel} {
				if maybe(1, 8) {
					*m = uint64(1 + luck.IntN(2))
				}
			}
			if maybe(1, 8) {
				f.Marks.TerminalLabel = 1 << 63
			}
			if maybe(1, 3) { // at the edge: the payment itself is in
				f.From = all[luck.IntN(len(all))].CreatedAt
			}
			if maybe(1, 3) { // and here it is not
				f.Until = all[luck.IntN(len(all))].CreatedAt
			}
			p.Service.tables.look = 1 + luck.IntN(12)
			var want, got []id.ID
			for _, x := range all {
				if f.fits(x) {
					want = append(want, x.ID)
				}
			}
			for q := f; ; {
				list, next, err := p.List(t.Context(), q)
				check(t, err)
				for _, x := range list {
					got = append(got, x.ID)
				}
				if len(list) > f.Limit || !next.IsNil() && !q.Before.IsNil() && next.Compare(q.Before) >= 0 {
					t.Fatalf("%+v: a page of %d, and the next starts at %x", q, len(list), next)
				}
				if next.IsNil() {
					break
				}
				if len(list) < f.Limit {
					short++
				}
				q.Before = next
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v, looking at %d rows: %d payments, expected %d", f, p.Service.tables.look, len(got), len(want))
			}
		}
		if short == 0 {
			t.Error("no page ended before it was full")
		}
	})
}

// A page of something that there is none of ends after a bounded number of rows, and says where to go on.
func TestNoPageReadsAWholeVolume(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		p.history(rand.New(rand.NewPCG(3, 5)), []id.ID{r.fresh()})
		p.Service.tables.look = 4
		list, next, err := p.List(t.Context(), Filter{Tenant: 1, Status: Expired, Limit: 20})
		if err != nil || len(list) != 0 || next.IsNil() {
			t.Errorf("%d payments, the next page at %x, %v; expected none, and where to go on", len(list), next, err)
		}
	})
}

// What the address takes is what the service filters by.
func TestListsByKindParentAndTime(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		first := p.pay(fromBalance(r.request(Automatic)))
		r.manual.Advance(time.Millisecond)
		refund := p.settle(p.refund(first.ID, 100))
		r.manual.Advance(48 * time.Hour)
		second := p.pay(fromBalance(r.request(Automatic)))
		merchant := rpc.Principal{Tenant: 1, Role: rpc.Merchant, Merchant: first.Merchant}
		rival := rpc.Principal{Tenant: 1, Role: rpc.Merchant, Merchant: second.Merchant}
		day := (second.CreatedAt - second.CreatedAt%clock.Day).String()[:10]
		for _, c := range []struct {
			what string
			who  rpc.Principal
			q    *paymentv1.ListPaymentsRequest
			want []string
		}{
			{"charges", operator, &paymentv1.ListPaymentsRequest{Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE}, []string{p.public(second.ID), p.public(first.ID)}},
			{"refunds", operator, &paymentv1.ListPaymentsRequest{Kind: paymentv1.PaymentKind_PAYMENT_KIND_REFUND}, []string{p.public(refund.ID)}},
			{"of a parent", operator, &paymentv1.ListPaymentsRequest{Parent: proto.String(p.public(first.ID))}, []string{p.public(refund.ID)}},
			{"from a day", operator, &paymentv1.ListPaymentsRequest{CreatedFrom: &day}, []string{p.public(second.ID)}},
			{"until a day", operator, &paymentv1.ListPaymentsRequest{CreatedUntil: &day}, []string{p.public(refund.ID), p.public(first.ID)}},
			{"until a time", operator, &paymentv1.ListPaymentsRequest{CreatedUntil: proto.String(first.CreatedAt.String())}, nil},
			{"from a time", operator, &paymentv1.ListPaymentsRequest{CreatedFrom: proto.String(second.CreatedAt.String())}, []string{p.public(second.ID)}},
			{"a merchant's, of its payment", merchant, &paymentv1.ListPaymentsRequest{Parent: proto.String(p.public(first.ID))}, []string{p.public(refund.ID)}},
			{"a merchant's, of another's", rival, &paymentv1.ListPaymentsRequest{Parent: proto.String(p.public(first.ID))}, nil},
		} {
			if got := p.visit(c.who, "").list(c.q, func() {}); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, expected %v", c.what, got, c.want)
			}
		}
		ask := func(who rpc.Principal) ([]*paymentv1.Payment, error) {
			ctx, _ := p.visit(who, "").call(&paymentv1.ListRefundsRequest{})
			m, err := p.handler.ListRefunds(ctx, &paymentv1.ListRefundsRequest{Id: p.public(first.ID)})
			return m.GetItems(), err
		}
		for _, who := range []rpc.Principal{operator, merchant} {
			if list, err := ask(who); err != nil || len(list) != 1 || list[0].Id != p.public(refund.ID) || list[0].GetParent() != p.public(first.ID) {
				t.Errorf("the refunds: %v, %v", list, err)
			}
		}
		if _, err := ask(rival); !fault.HasCode(err, fault.PaymentNotFound) {
			t.Errorf("the refunds of another's payment: %v", err)
		}
		ctx, _ := p.visit(operator, "").call(&paymentv1.ListPaymentsRequest{})
		for _, bad := range []string{"", "yesterday", "2026-13-01", "1969-12-31", "2026-11-30T09:00", "2026-11-30 09:00:00Z", "20261130"} {
			_, err := p.handler.ListPayments(ctx, &paymentv1.ListPaymentsRequest{CreatedFrom: &bad})
			p.visit(operator, "").answer(nil, err).wants(t, "from "+bad, fault.InvalidRequest, "created_from")
			_, err = p.handler.ListPayments(ctx, &paymentv1.ListPaymentsRequest{CreatedUntil: &bad})
			p.visit(operator, "").answer(nil, err).wants(t, "until "+bad, fault.InvalidRequest, "created_until")
		}
		_, err := p.handler.ListPayments(ctx, &paymentv1.ListPaymentsRequest{Parent: proto.String("x")})
		p.visit(operator, "").answer(nil, err).wants(t, "a made-up parent", fault.InvalidID, "parent")
	})
}

// A page has no metadata, of which each payment may have 16 KiB: a hundred of them would be 1.6 MB for every reader who
// does not read. The payment itself has it.
func TestAPageIsSmallWhateverItsPaymentsCarry(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		const n = 30
		for i := range n {
			q := p.order()
			q.Reference = proto.String(strings.Repeat("参", 255))
			q.Metadata = map[string]string{}
			for k := range 30 {
				q.Metadata[fmt.Sprint("k", k)] = strings.Repeat("x", 500)
			}
			a := p.visit(operator, fmt.Sprint(i)).post(q)
			if a.code != "" || len(a.message.Metadata) != 30 {
				t.Fatalf("%s, %d texts", a.code, len(a.message.GetMetadata()))
			}
			if one := p.visit(operator, "").post(&paymentv1.GetPaymentRequest{Id: a.payment}); len(one.message.GetMetadata()) != 30 {
				t.Fatalf("the payment itself has %d texts", len(one.message.GetMetadata()))
			}
		}
		ctx, _ := p.visit(operator, "").call(&paymentv1.ListPaymentsRequest{})
		m, err := p.handler.ListPayments(ctx, &paymentv1.ListPaymentsRequest{Limit: proto.Int64(100)})
		check(t, err)
		if size := proto.Size(m); len(m.Items) != n || size > n*2048 {
			t.Errorf("%d payments in %d bytes", len(m.Items), size)
		}
		for _, x := range m.Items {
			if x.Metadata != nil || len(x.GetReference()) != 3*255 {
				t.Errorf("in a page: %d texts, a reference of %d bytes", len(x.Metadata), len(x.GetReference()))
			}
		}
	})
}

// An order is found by what the shop knows of it: the reference that it was sent with, or what its code said; by the text as
// a whole, in its own field and company.
func TestAPaymentIsFoundByItsOrder(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(once, Layers{})
		s := p.handler.Sessions.(*sessions)
		ann, shop := p.fresh(), p.fresh()
		session := s.scan(p.fresh(), ann, shop, yen(500))
		s.open[session].Labels = &typev1.Labels{
			BillNumber: proto.String("INV-1"), ReferenceLabel: proto.String("注文7"), TerminalLabel: proto.String("till 3"),
			StoreLabel: proto.String("Ginza"),
		}
		paid := p.visit(operator, "scanned").post(&paymentv1.CreatePaymentRequest{
			Kind:    paymentv1.PaymentKind_PAYMENT_KIND_CHARGE,
			Session: &session, Reference: proto.String("order 7"),
		})
		if l := paid.message.GetLabels(); paid.code != "" || l.GetBillNumber() != "INV-1" || l.GetReferenceLabel() != "注文7" ||
			l.GetTerminalLabel() != "till 3" || l.GetStoreLabel() != "Ginza" || paid.message.GetReference() != "order 7" {
			t.Fatalf("%+v", paid)
		}
		back := p.visit(operator, "back").post(&paymentv1.CreateRefundRequest{Id: paid.payment, Reference: proto.String("return 7")})
		other := p.order()
		other.Reference = proto.String("INV-1") // in another field
		p.visit(operator, "other").post(other)
		p.visit(operator, "none").post(p.order())
		p = p.again()
		owner := rpc.Principal{Tenant: 1, Role: rpc.Merchant, Merchant: shop}
		rival := rpc.Principal{Tenant: 1, Role: rpc.Merchant, Merchant: p.fresh()}
		elsewhere := rpc.Principal{Tenant: 2, Role: rpc.Operator}
		for _, c := range []struct {
			what string
			who  rpc.Principal
			q    *paymentv1.ListPaymentsRequest
			want []string
		}{
			{"reference", owner, &paymentv1.ListPaymentsRequest{Reference: proto.String("order 7")}, []string{paid.payment}},
			{"a refund's", owner, &paymentv1.ListPaymentsRequest{Reference: proto.String("return 7")}, []string{back.payment}},
			{"bill number", operator, &paymentv1.ListPaymentsRequest{BillNumber: proto.String("INV-1")}, []string{paid.payment}},
			{"reference label", owner, &paymentv1.ListPaymentsRequest{ReferenceLabel: proto.String("注文7")}, []string{paid.payment}},
			{"terminal", owner, &paymentv1.ListPaymentsRequest{TerminalLabel: proto.String("till 3")}, []string{paid.payment}},
			{"both", operator, &paymentv1.ListPaymentsRequest{BillNumber: proto.String("INV-1"), Reference: proto.String("order 7")}, []string{paid.payment}},
			{"not both", operator, &paymentv1.ListPaymentsRequest{BillNumber: proto.String("INV-1"), Reference: proto.String("order 8")}, nil},
			{"a part of it", operator, &paymentv1.ListPaymentsRequest{BillNumber: proto.String("INV")}, nil},
			{"another merchant's", rival, &paymentv1.ListPaymentsRequest{BillNumber: proto.String("INV-1")}, nil},
			{"another company's", elsewhere, &paymentv1.ListPaymentsRequest{BillNumber: proto.String("INV-1")}, nil},
		} {
			if got := p.visit(c.who, "").list(c.q, func() {}); !slices.Equal(got, c.want) {
				t.Errorf("by %s: %v, expected %v", c.what, got, c.want)
			}
		}
		said := 0
		for v := range rigVolumes {
			blocks, err := r.journal.Read(t.Context(), book.Name("payment", v), 1, 1000)
			check(t, err)
			for _, b := range blocks {
				for _, e := range b.Events {
					for _, text := range []string{"INV-1", "注文7", "till 3", "Ginza", "order 7"} {
						if bytes.Contains(e.Body, []byte(text)) {
							t.Errorf("block %d tells %s (rule B14)", b.Seq, text)
						}
					}
					if e.Type != typeStarted && e.Type != typeAdvanced {
						continue
					}
					_, m, err := p.handler.PublicEvent(t.Context(), &owner, e.Type, e.Body)
					check(t, err)
					if m != nil && m.Id == paid.payment {
						if said++; m.GetReference() != "order 7" || m.Labels.GetBillNumber() != "INV-1" {
							t.Errorf("the event says %v", m)
						}
					}
				}
			}
		}
		if said < 2 {
			t.Errorf("%d events tell of the order", said)
		}
	})
}
