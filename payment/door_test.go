package payment

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// sessions are those that tests have opened.
type sessions struct {
	codec *id.Codec
	mu    sync.Mutex
	open  map[string]*codev1.Session
}

func (s *sessions) GetSession(_ context.Context, q *codev1.GetSessionRequest) (*codev1.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.open[q.Id]; m != nil {
		return m, nil
	}
	return nil, fault.SessionNotFound.New("")
}

// scan opens a session, whose code carries an amount or does not.
func (s *sessions) scan(session, customer, merchant id.ID, amount *typev1.Money) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]*codev1.Session{}
	}
	m := &codev1.Session{
		Id: s.codec.Encode(id.Session, session), Customer: s.codec.Encode(id.Customer, customer), Amount: amount,
		Merchant: &codev1.Shop{Id: s.codec.Encode(id.Merchant, merchant), Name: "shop"},
	}
	s.open[m.Id] = m
	return m.Id
}

// nobody is a customer or merchant who does not exist; everybody else does.
var nobody = id.ID{0x20, 1, 0xff, 0xff, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

type accounts struct{}

func (accounts) Currency(_ context.Context, _ id.Tenant, account id.ID) (money.Currency, error) {
	if account.Root() == nobody {
		return money.None, nil
	}
	return money.JPY, nil
}

var operator = rpc.Principal{Tenant: 1, Role: rpc.Operator, Name: "operator"}

// reply is an answer as a caller sees it.
type reply struct {
	status  int    // of a success; 0 is the standard one
	body    string // to the byte
	code    fault.Code
	param   string
	payment string // public id
	retry   time.Duration
	message *paymentv1.Payment
}

// visit is one caller with one key.
type visit struct {
	p        *proc
	who      rpc.Principal
	key      string
	deadline clock.Micros
	pace     clock.Clock
	ctx      context.Context
}

// visit returns a caller who comes with a key; "" only reads.
func (p *proc) visit(who rpc.Principal, key string) visit {
	return visit{p: p, who: who, key: key, ctx: context.Background()}
}

// call makes the call that the front door would make for q.
func (v visit) call(q proto.Message) (context.Context, *rpc.Reply) {
	c := rpc.Call{Principal: v.who, RequestID: "req_" + v.key, Deadline: v.deadline, Pace: v.pace}
	if v.key != "" {
		plain := proto.Clone(q)
		if f := plain.ProtoReflect().Descriptor().Fields().ByName("async"); f != nil {
			plain.ProtoReflect().Clear(f)
		}
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(plain)
		check(v.p.t, err)
		key, print := sha256.Sum256([]byte(fmt.Sprint(v.who.Tenant, v.who.Name, v.key))), sha256.Sum256(body)
		c.Key, c.Fingerprint = rpc.Key(key[:16]), rpc.Fingerprint(print[:16])
	}
	return rpc.With(v.ctx, c)
}

func (v visit) post(q proto.Message) (a reply) {
	v.p.t.Helper()
	ctx, sent := v.call(q)
	var m *paymentv1.Payment
	var err error
	h := v.p.handler
	switch q := q.(type) {
	case *paymentv1.CreatePaymentRequest:
		m, err = h.CreatePayment(ctx, q)
	case *paymentv1.CapturePaymentRequest:
		m, err = h.CapturePayment(ctx, q)
	case *paymentv1.VoidPaymentRequest:
		m, err = h.VoidPayment(ctx, q)
	case *paymentv1.CreateRefundRequest:
		m, err = h.CreateRefund(ctx, q)
	case *paymentv1.GetPaymentRequest:
		m, err = h.GetPayment(ctx, q)
	default:
		v.p.t.Fatalf("no address for %T", q)
	}
	a = v.answer(m, err)
	a.status, a.retry = sent.Status, sent.RetryAfter
	return a
}

func (v visit) answer(m *paymentv1.Payment, err error) (a reply) {
	v.p.t.Helper()
	if err == nil {
		body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		check(v.p.t, err)
		return reply{body: string(body), message: m, payment: m.Id}
	}
	f := fault.Of(err)
	a.code, a.param = f.Code, f.Param
	var o *rpc.Outcome
	request := "req_" + v.key
	if errors.As(err, &o) {
		if a.payment = o.Payment; o.RequestID != "" {
			request = o.RequestID
		}
	}
	a.body = fmt.Sprint(f.Code, f.Kind, f.Message, f.Param, request, a.payment)
	return a
}

// wants holds an answer to a code and a param.
func (a reply) wants(t interface{ Errorf(string, ...any) }, what string, code fault.Code, param string) {
	if a.code != code || a.param != param {
		t.Errorf("%s: answered %q %q, expected %q %q", what, a.code, a.param, code, param)
	}
}

func (p *proc) customer(x id.ID) *string { s := p.codec.Encode(id.Customer, x); return &s }
func (p *proc) merchant(x id.ID) *string { s := p.codec.Encode(id.Merchant, x); return &s }
func (p *proc) public(x id.ID) string    { return p.codec.Encode(id.Payment, x) }

func yen(n int64) *typev1.Money { return &typev1.Money{Currency: "JPY", Value: n} }

// order asks for ¥1,200 of a fresh customer for a fresh merchant, without a code.
func (p *proc) order() *paymentv1.CreatePaymentRequest {
	return &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Customer: p.customer(p.fresh()),
		Merchant: p.merchant(p.fresh()), Amount: yen(1200),
	}
}

func balanceSource(m *typev1.Money) *paymentv1.SourceRequest {
	return &paymentv1.SourceRequest{Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE, Amount: m}
}

func pointsSource(m *typev1.Money) *paymentv1.SourceRequest {
	return &paymentv1.SourceRequest{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Amount: m}
}

var _ tcc.Participant = (*fake)(nil)
