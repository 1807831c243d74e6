package code

import (
	"context"
	"slices"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/fault"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// everybody is a customer, but for the stranger.
type everybody struct{}

var stranger = id.ID{9, 9, 9}

func (everybody) IsCustomer(_ context.Context, _ id.Tenant, customer id.ID) (bool, error) {
	return customer != stranger, nil
}

// called returns the context of a call of a tenant's operator.
func called(t *testing.T, tenant id.Tenant) context.Context {
	ctx, _ := rpc.With(t.Context(), rpc.Call{Principal: rpc.Principal{Tenant: tenant, Role: rpc.Operator}, Key: rpc.Key{8}})
	return ctx
}

// with62 puts a template of additional data into a shop's code.
func with62(t *testing.T, payload string, objects ...emv.Object) string {
	t.Helper()
	c, err := emv.Decode(payload)
	check(t, err)
	last := len(c.Objects) - 1
	out := append(slices.Clone(c.Objects[:last]), emv.Template("62", objects...), c.Objects[last])
	text, err := emv.Encode(&emv.Code{Objects: out})
	check(t, err)
	return text
}

// What a code says for the shop's books comes with its session, now and later, once for one key; what it asks the payer for,
// and what is about the payer, does not.
func TestASessionTellsWhatItsCodeSays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		shop, err := p.RegisterShop(t.Context(), Request{1, [16]byte{1}, [16]byte{1}}, Details{Name: "Cafe"})
		check(t, err)
		codec, err := id.NewCodec(make([]byte, 16))
		check(t, err)
		h := NewHandler(p.Service, codec, everybody{})
		notes := func() (n int) {
			for v := range volumes {
				blocks, err := p.log.Read(t.Context(), book.Name("code", v), 1, 1000)
				check(t, err)
				for _, b := range blocks {
					for _, e := range b.Events {
						if ev, err := (*Machine)(nil).Decode(e.Type, e.Body); e.Type == typeSessionOpened && err == nil && ev.(*sessionOpened).Noted {
							n++
						}
					}
				}
			}
			return n
		}
		for i, c := range []struct {
			objects []emv.Object
			want    Labels
		}{
			{
				[]emv.Object{emv.Text("01", "INV-1"), emv.Text("03", "Ginza"), emv.Text("05", "order 7"), emv.Text("07", "till 3")},
				Labels{"INV-1", "Ginza", "order 7", "till 3"},
			},
			{[]emv.Object{emv.Text("01", "***"), emv.Text("07", "till 3")}, Labels{TerminalLabel: "till 3"}},
			{[]emv.Object{emv.Text("02", "09012345678"), emv.Text("04", "member 9"), emv.Text("06", "Sato"), emv.Text("09", "M")}, Labels{}},
			{[]emv.Object{emv.Text("07", "***")}, Labels{}},
		} {
			before := notes()
			r := Request{1, [16]byte{2, byte(i)}, [16]byte{2, byte(i)}}
			var first Session
			for range 2 { // the request, and its replay
				s, err := p.OpenSession(t.Context(), r, id.ID{5}, with62(t, shop.Payload, c.objects...))
				check(t, err)
				if first.ID.IsNil() {
					first = s
				}
				got, err := p.Labels(t.Context(), 1, s)
				check(t, err)
				if s != first || got != c.want || s.Noted != (c.want != Labels{}) {
					t.Errorf("%v: %+v with %+v, expected %+v", c.objects, s, got, c.want)
				}
			}
			later, err := p.Session(t.Context(), 1, first.ID)
			check(t, err)
			m, err := h.session(t.Context(), 1, later)
			check(t, err)
			if l := m.Labels; (l == nil) != (c.want == Labels{}) || l.GetBillNumber() != c.want.BillNumber || l.GetReferenceLabel() != c.want.ReferenceLabel ||
				l.GetTerminalLabel() != c.want.TerminalLabel || l.GetStoreLabel() != c.want.StoreLabel {
				t.Errorf("%v: the answer says %v", c.objects, l)
			}
			if made := notes() - before; made > 1 || (made == 1) != later.Noted {
				t.Errorf("%v: %d sessions with a note", c.objects, made)
			}
		}
		_, err = h.CreateSession(called(t, 1), &codev1.CreateSessionRequest{Payload: shop.Payload, Customer: codec.Encode(id.Customer, stranger)})
		if !fault.HasCode(err, fault.CustomerNotFound) {
			t.Errorf("a session for a stranger: %v", err)
		}
	})
}
