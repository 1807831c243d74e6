package balance

import (
	"context"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

func newHandler(t *testing.T) (*onThread, *Handler) {
	s := newOnThread(t)
	ids, err := id.NewCodec([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return s, &Handler{Service: s.Service, IDs: ids, New: s.ids, Clock: s.Clock}
}

func as(t *testing.T, p rpc.Principal, key byte) context.Context {
	p.Tenant = tenant
	ctx, _ := rpc.With(t.Context(), rpc.Call{Principal: p, Key: rpc.Key{key}, Fingerprint: rpc.Fingerprint{key}})
	return ctx
}

func TestWhoSeesWhichAccount(t *testing.T) {
	s, h := newHandler(t)
	cash, shop, other := s.yen(Balance, 900), s.yen(Payable, 20), s.yen(Payable, 0)
	own := s.machine().Own(Suspense, money.JPY)
	operator, app := rpc.Principal{Role: rpc.Operator}, rpc.Principal{Role: rpc.CustomerApp}
	merchant := rpc.Principal{Role: rpc.Merchant, Merchant: shop.Root()}
	for _, c := range []struct {
		who  rpc.Principal
		x    id.ID
		sees bool
	}{
		{operator, cash, true},
		{operator, shop, true},
		{operator, own, true},
		{operator, cash.Facet(tcc.PointsAccount), false},
		{app, cash, true},
		{app, shop, false},
		{app, own, false},
		{merchant, shop, true},
		{merchant, other, false},
		{merchant, cash, false},
		{merchant, own, false},
		{rpc.Principal{}, cash, false},
	} {
		got, err := h.GetAccount(as(t, c.who, 0), &balancev1.GetAccountRequest{Id: h.IDs.Encode(id.Account, c.x)})
		if c.sees && (err != nil || got.Id != h.IDs.Encode(id.Account, c.x)) || !c.sees && !fault.HasCode(err, fault.AccountNotFound) {
			t.Errorf("%v of kind %v: %v %v", c.who.Role, KindOf(c.x), got, err)
		}
	}
	_, err := h.GetAccount(as(t, operator, 0), &balancev1.GetAccountRequest{Id: h.IDs.Encode(id.Customer, cash)})
	refused(t, err, fault.InvalidID)
}

func TestAccountMessage(t *testing.T) {
	s, h := newHandler(t)
	cash := s.yen(Balance, 900)
	done(t)(s.Try(t.Context(), s.tryRequest(cash, 300)))
	if _, err := s.Suspend(t.Context(), tenant, cash, ledger.NoOut); err != nil {
		t.Fatal(err)
	}
	for x, want := range map[id.ID]*balancev1.Account{
		cash: {
			Owner: h.IDs.Encode(id.Customer, cash.Root()), Kind: "balance", Currency: "JPY", Posted: 900, Held: 300, Available: 600,
			Status: balancev1.AccountStatus_ACCOUNT_STATUS_SUSPENDED,
		},
		s.machine().Own(Suspense, money.JPY): {
			Owner: "balance/00", Kind: "suspense", Currency: "JPY", Posted: -900, Available: -900,
			Status: balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE,
		},
	} {
		want.Id = h.IDs.Encode(id.Account, x)
		if got, err := h.Account(t.Context(), tenant, x); err != nil || !proto.Equal(got, want) {
			t.Errorf("%v %v\nwant %v", got, err, want)
		}
	}
}

func TestCreditOverTheWire(t *testing.T) {
	s, h := newHandler(t)
	cash := s.yen(Balance, 0)
	operator := rpc.Principal{Role: rpc.Operator}
	q := &balancev1.CreditAccountRequest{Id: h.IDs.Encode(id.Account, cash), Amount: &typev1.Money{Currency: "JPY", Value: 500}}
	first, err := h.CreditAccount(as(t, operator, 1), q)
	if err != nil || first.Posted != 500 {
		t.Fatal(first, err)
	}
	if _, err := h.CreditAccount(as(t, operator, 2), q); err != nil {
		t.Fatal(err)
	}
	if again, err := h.CreditAccount(as(t, operator, 1), q); err != nil || !proto.Equal(again, first) {
		t.Fatal(again, err)
	}
	for want, m := range map[fault.Code]*typev1.Money{
		fault.InvalidAmount:    {Currency: "JPY", Value: money.MaxWire + 1},
		fault.InvalidCurrency:  {Currency: "jpy", Value: 1},
		fault.CurrencyMismatch: {Currency: "USD", Value: 1},
	} {
		_, err := h.CreditAccount(as(t, operator, 3+byte(len(want))), &balancev1.CreditAccountRequest{Id: q.Id, Amount: m})
		refused(t, err, want)
	}
	s.expect(cash, 1000, 0)
}

// TestFeed reads the public events back out of the journal.
func TestFeed(t *testing.T) {
	s, h := newHandler(t)
	cash := s.yen(Balance, 900)
	try := s.tryRequest(cash, 300)
	done(t)(s.Try(t.Context(), try))
	if _, err := h.CreditAccount(as(t, rpc.Principal{Role: rpc.Operator}, 1), &balancev1.CreditAccountRequest{
		Id: h.IDs.Encode(id.Account, cash), Amount: &typev1.Money{Currency: "JPY", Value: 50},
	}); err != nil {
		t.Fatal(err)
	}
	done(t)(s.Confirm(t.Context(), confirmOf(try, 1, 300, true)))
	for _, to := range []ledger.Status{ledger.Suspended, ledger.Open} {
		if _, err := s.Do(&SetStatus{tenant, cash, to}); err != nil {
			t.Fatal(err)
		}
	}
	last := s.tryRequest(cash, 650)
	done(t)(s.Try(t.Context(), last))
	done(t)(s.Confirm(t.Context(), confirmOf(last, 1, 650, true)))
	if _, err := s.Close(t.Context(), tenant, cash); err != nil {
		t.Fatal(err)
	}
	base := balancev1.AccountEvent{
		Account: h.IDs.Encode(id.Account, cash), Owner: h.IDs.Encode(id.Customer, cash.Root()), Kind: "balance",
		Currency: "JPY", Status: balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE,
	}
	want := []struct {
		typ                             string
		amount, posted, held, available int64
		status                          balancev1.AccountStatus
	}{
		{"account.opened", 900, 900, 0, 900, balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE},
		{"account.credited", 50, 950, 300, 650, balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE},
		{"account.suspended", 0, 650, 0, 650, balancev1.AccountStatus_ACCOUNT_STATUS_SUSPENDED},
		{"account.restored", 0, 650, 0, 650, balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE},
		{"account.closed", 0, 0, 0, 0, balancev1.AccountStatus_ACCOUNT_STATUS_CLOSED},
	}
	n := 0
	s.eachEvent(func(typ uint32, body []byte) {
		ev, err := decode(typ, body)
		if err != nil {
			t.Fatal(err)
		}
		what, got, err := s.machine().Announce(typ, body, h.IDs)
		if who, public := s.machine().Public(ev); public != (err == nil) || public && who != tenant {
			t.Fatalf("%T: public to %d: %v, announced: %v", ev, who, public, err)
		}
		if err != nil {
			return
		}
		w := want[n]
		e := proto.Clone(&base).(*balancev1.AccountEvent)
		e.Amount, e.Posted, e.Held, e.Available, e.Status = w.amount, w.posted, w.held, w.available, w.status
		if what != w.typ || !proto.Equal(got, e) {
			t.Errorf("%s %v\nwant %s %v", what, got, w.typ, e)
		}
		n++
	})
	if n != len(want) {
		t.Fatalf("%d public events", n)
	}
	if _, _, err := s.machine().Announce(typeAdded+1, nil, h.IDs); err == nil {
		t.Fatal("an unknown event was announced")
	}
}

func (s *onThread) eachEvent(f func(typ uint32, body []byte)) {
	for seq := uint64(1); ; seq++ {
		blocks, err := s.Log.Read(context.Background(), "balance/00", seq, 1)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(blocks) == 0 {
			return
		}
		for _, e := range blocks[0].Events {
			if e.Type >= book.FirstEventType {
				f(e.Type, e.Body)
			}
		}
	}
}
