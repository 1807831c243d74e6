package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	rehearsalv1 "github.com/koban-pay/koban/gen/koban/rehearsal/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

const (
	ours, theirs = id.Tenant(1), id.Tenant(2)
	start        = clock.Micros(1_790_000_000) * clock.Second
)

var (
	secret      = bytes.Repeat([]byte{7}, 32)
	shop, shop2 = id.Compose(start, 11, [9]byte{1}), id.Compose(start, 12, [9]byte{2})
)

// door is a gateway over handlers that tell what reached them. Every object belongs to tenant ours and merchant shop.
type door struct {
	*Gateway
	t     testing.TB
	ids   *id.Codec
	keys  *Keys
	clock *clock.Manual
	log   *bytes.Buffer

	mu    sync.Mutex
	calls []*rpc.Call
	last  proto.Message
	on    func(context.Context) error // decides instead, if set
}

func newDoor(t testing.TB, edit func(*Config)) *door {
	t.Helper()
	ids, err := id.NewCodec(secret[:16])
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeys(secret, ids)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{t: t, ids: ids, keys: keys, clock: clock.NewManual(start), log: &bytes.Buffer{}}
	n := 0
	cfg := Config{
		Secret: secret, Authenticator: keys, Clock: d.clock,
		Log:       slog.New(slog.NewJSONHandler(d.log, nil)),
		RequestID: func() string { d.mu.Lock(); defer d.mu.Unlock(); n++; return fmt.Sprintf("req_%d", n) },
		Ease:      func(rpc.Principal) int { return 1 << 20 },
		Rehearsal: func() string { return "the clock is 3h ahead" },
	}
	if edit != nil {
		edit(&cfg)
	}
	r := d.registry()
	if cfg.Rehearsal == nil {
		maps.DeleteFunc(r.handlers, func(method string, _ handler) bool { return strings.HasPrefix(method, rehearsalPrefix) })
	}
	if d.Gateway, err = New(cfg, r); err != nil {
		t.Fatal(err)
	}
	return d
}

// meet notes what reached a handler, and answers as a handler must: what the caller may not see does not exist.
func meet[Req, Resp proto.Message](d *door, resp Resp) func(context.Context, Req) (Resp, error) {
	return func(ctx context.Context, req Req) (Resp, error) {
		c := rpc.From(ctx)
		d.mu.Lock()
		d.calls, d.last = append(d.calls, c), req
		on := d.on
		d.mu.Unlock()
		var none Resp
		if on != nil {
			if err := on(ctx); err != nil {
				return none, err
			}
		}
		if c.Principal.Tenant != ours || !c.Principal.SeesMerchant(shop) {
			return none, fault.PaymentNotFound.New("")
		}
		return resp, nil
	}
}

func (d *door) registry() *Registry {
	r := NewRegistry(contracts)
	pay := samplePayment()
	const payment = "koban.payment.v1.PaymentService."
	Handle(r, payment+"CreatePayment", meet[*paymentv1.CreatePaymentRequest](d, pay))
	Handle(r, payment+"GetPayment", meet[*paymentv1.GetPaymentRequest](d, pay))
	Handle(r, payment+"ListPayments", meet[*paymentv1.ListPaymentsRequest](d, &paymentv1.ListPaymentsResponse{Items: []*paymentv1.Payment{pay}}))
	Handle(r, payment+"ListRefunds", meet[*paymentv1.ListRefundsRequest](d, &paymentv1.ListPaymentsResponse{}))
	Handle(r, payment+"CapturePayment", meet[*paymentv1.CapturePaymentRequest](d, pay))
	Handle(r, payment+"VoidPayment", meet[*paymentv1.VoidPaymentRequest](d, pay))
	Handle(r, payment+"CreateRefund", meet[*paymentv1.CreateRefundRequest](d, pay))
	Handle(r, payment+"ExplainPayment", meet[*paymentv1.ExplainPaymentRequest](d, &paymentv1.Explanation{Payment: pay}))
	const account = "koban.balance.v1.AccountService."
	Handle(r, account+"GetAccount", meet[*balancev1.GetAccountRequest](d, &balancev1.Account{}))
	Handle(r, account+"ListCustomerAccounts", meet[*balancev1.ListCustomerAccountsRequest](d, &balancev1.ListCustomerAccountsResponse{}))
	Handle(r, account+"ListMerchantAccounts",
		meet[*balancev1.ListMerchantAccountsRequest](d, &balancev1.ListMerchantAccountsResponse{}))
	Handle(r, account+"CreditAccount", meet[*balancev1.CreditAccountRequest](d, &balancev1.Account{}))
	Handle(r, "koban.code.v1.SessionService.CreateSession", meet[*codev1.CreateSessionRequest](d, &codev1.Session{}))
	Handle(r, "koban.code.v1.SessionService.GetSession", meet[*codev1.GetSessionRequest](d, &codev1.Session{}))
	Handle(r, "koban.platform.v1.PlatformService.CreateCustomer", meet[*platformv1.CreateCustomerRequest](d, &platformv1.Customer{}))
	Handle(r, "koban.platform.v1.PlatformService.CreateMerchant", meet[*platformv1.CreateMerchantRequest](d, &platformv1.Merchant{}))
	Handle(r, "koban.platform.v1.PlatformService.EraseCustomer", meet[*platformv1.EraseCustomerRequest](d, &platformv1.Erasure{}))
	Handle(r, "koban.platform.v1.PlatformService.EraseMerchant", meet[*platformv1.EraseMerchantRequest](d, &platformv1.Erasure{}))
	Handle(r, "koban.feed.v1.FeedService.ReadFeed", meet[*feedv1.ReadFeedRequest](d, &feedv1.ReadFeedResponse{}))
	const rehearsal = "koban.rehearsal.v1.RehearsalService."
	Handle(r, rehearsal+"ListFaults", meet[*rehearsalv1.ListFaultsRequest](d, &rehearsalv1.ListFaultsResponse{}))
	Handle(r, rehearsal+"InjectFault", meet[*rehearsalv1.InjectFaultRequest](d, &rehearsalv1.Fault{}))
	Handle(r, rehearsal+"ClearFaults", meet[*rehearsalv1.ClearFaultsRequest](d, &rehearsalv1.ClearFaultsResponse{}))
	Handle(r, rehearsal+"GetClock", meet[*rehearsalv1.GetClockRequest](d, &rehearsalv1.Clock{}))
	Handle(r, rehearsal+"AdvanceClock", meet[*rehearsalv1.AdvanceClockRequest](d, &rehearsalv1.Clock{}))
	return r
}

func yen(n int64) *typev1.Money { return &typev1.Money{Currency: "JPY", Value: n} }

func samplePayment() *paymentv1.Payment {
	return &paymentv1.Payment{
		Id: "pay_1", Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Status: paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED,
		ResourceStatus: paymentv1.ResourceStatus_RESOURCE_STATUS_WAIT,
		Amount:         yen(1200), Captured: yen(1200), Refunded: yen(0), Customer: "cus_1", Merchant: "mer_1",
		Session: proto.String("ses_1"), Reference: proto.String("注文 \"7\""),
		Sources: []*paymentv1.Source{
			{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Account: "acc_1", Amount: yen(200), Captured: yen(200), Refunded: yen(0)},
			{Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE, Account: "acc_2", Amount: yen(1000), Captured: yen(1000), Refunded: yen(0)},
		},
		CreatedAt: int64(start), UpdatedAt: int64(start) + 1500,
	}
}

// request is one request to a door. Without a key in it, it is the operator's; a POST gets an Idempotency-Key.
type request struct {
	verb, path, body string
	key              string
	header           http.Header
}

const anonymous = "-"

func (d *door) do(q request) *answer {
	d.t.Helper()
	r := httptest.NewRequest(q.verb, "http://koban"+q.path, strings.NewReader(q.body))
	if q.key == "" {
		q.key = d.keys.Operator(ours)
	}
	if q.key != anonymous {
		r.Header.Set("Authorization", "Bearer "+q.key)
	}
	if q.verb == "POST" {
		r.Header.Set("Idempotency-Key", "k1")
	}
	for k, v := range q.header {
		r.Header[k] = v
	}
	return d.send(r)
}

func (d *door) send(r *http.Request) *answer {
	d.t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	a := &answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	var shape struct{ Error *wireError }
	if err := json.Unmarshal(w.Body.Bytes(), &shape); err == nil && shape.Error != nil {
		a.wireError = *shape.Error
	}
	return a
}

type answer struct {
	Status int
	Header http.Header
	Body   string
	wireError
}

type wireError struct {
	Code, Kind, Message, Param string
	Retryable                  bool
	RequestID                  string `json:"request_id"`
	Payment                    string
}

// wants checks a fault: its status, code and param.
func (a *answer) wants(t *testing.T, code fault.Code, param string) {
	t.Helper()
	if a.Status != code.Status() || a.Code != string(code) || a.Param != param || a.Kind != string(code.Kind()) {
		t.Errorf("%d %s\nwant %d %s, param %q", a.Status, a.Body, code.Status(), code, param)
	}
}

func (a *answer) wantsStatus(t *testing.T, status int) {
	t.Helper()
	if a.Status != status {
		t.Errorf("%d %s\nwant %d", a.Status, a.Body, status)
	}
}

func (d *door) lastCall() *rpc.Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.calls) == 0 {
		d.t.Fatal("nothing reached a handler")
	}
	return d.calls[len(d.calls)-1]
}

func (d *door) reached() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}
