package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/rpc"
)

// Members and forms that scripts rely on.
func TestAnswersHaveTheContractsShape(t *testing.T) {
	failed := samplePayment()
	failed.Status, failed.Session, failed.Reference, failed.Sources = paymentv1.PaymentStatus_PAYMENT_STATUS_FAILED, nil, nil, nil
	failed.Failure = &typev1.Failure{Code: "insufficient_funds", Message: "不足"}
	failed.ExpiresAt, failed.Metadata = proto.Int64(0), map[string]string{"b": "2", "a": "1"}
	for _, tc := range []struct {
		m    proto.Message
		want string
	}{
		{samplePayment(), `{"id":"pay_1","kind":"charge","status":"CAPTURED","resource_status":"WAIT",` +
			`"amount":{"currency":"JPY","value":1200},"captured":{"currency":"JPY","value":1200},"refunded":{"currency":"JPY","value":0},` +
			`"customer":"cus_1","merchant":"mer_1","session":"ses_1","reference":"注文 \"7\"","sources":[` +
			`{"type":"points","account":"acc_1","amount":{"currency":"JPY","value":200},"captured":{"currency":"JPY","value":200},"refunded":{"currency":"JPY","value":0}},` +
			`{"type":"balance","account":"acc_2","amount":{"currency":"JPY","value":1000},"captured":{"currency":"JPY","value":1000},"refunded":{"currency":"JPY","value":0}}],` +
			`"failure":null,"created_at":"2026-09-21T14:13:20.000000Z","updated_at":"2026-09-21T14:13:20.001500Z"}`},
		{failed, `{"id":"pay_1","kind":"charge","status":"FAILED","resource_status":"WAIT",` +
			`"amount":{"currency":"JPY","value":1200},"captured":{"currency":"JPY","value":1200},"refunded":{"currency":"JPY","value":0},` +
			`"customer":"cus_1","merchant":"mer_1","sources":[],"failure":{"code":"insufficient_funds","message":"不足"},` +
			`"created_at":"2026-09-21T14:13:20.000000Z","updated_at":"2026-09-21T14:13:20.001500Z","expires_at":"1970-01-01T00:00:00.000000Z","metadata":{"a":"1","b":"2"}}`},
		{&paymentv1.ListPaymentsResponse{}, `{"items":[],"next_cursor":null}`},
		{&paymentv1.ListPaymentsResponse{NextCursor: proto.String("c")}, `{"items":[],"next_cursor":"c"}`},
		{
			&balancev1.Account{Id: "acc_1", Owner: "cus_1", Kind: "cash", Currency: "JPY", Posted: -5, Held: 1, Available: -6, Status: balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE},
			`{"id":"acc_1","owner":"cus_1","kind":"cash","currency":"JPY","posted":-5,"held":1,"available":-6,"status":"ACTIVE"}`,
		},
		{
			&codev1.Session{Id: "ses_1", Customer: "cus_1", Merchant: &codev1.Shop{Id: "mer_1", Name: "茶屋"}, ExpiresAt: 1, Status: codev1.SessionStatus_SESSION_STATUS_OPEN},
			`{"id":"ses_1","customer":"cus_1","merchant":{"id":"mer_1","name":"茶屋"},"expires_at":"1970-01-01T00:00:00.000001Z","status":"OPEN"}`,
		},
		{&feedv1.ReadFeedResponse{Next: 2, Events: []*feedv1.Event{
			{N: 1, Type: "payment.captured", At: int64(start), Payment: proto.String("pay_1"), Data: &feedv1.Event_PaymentEvent{PaymentEvent: &paymentv1.PaymentEvent{Id: "pay_1"}}},
			{N: 2, Type: "account.opened", At: int64(start)},
		}}, `{"events":[{"n":1,"type":"payment.captured","at":"2026-09-21T14:13:20.000000Z","payment":"pay_1","data":{"id":"pay_1","customer":"","merchant":"","failure":null}},` +
			`{"n":2,"type":"account.opened","at":"2026-09-21T14:13:20.000000Z"}],"next":2}`},
		{&typev1.Failure{Code: "\x00\x1f\"\\/<>&\u2028\u007f", Message: "a\xffb"}, `{"code":"\u0000\u001f\"\\/<>&` + "\u2028\u007f" + `","message":"a` + "\ufffd" + `b"}`},
	} {
		s, err := (schemas{}).of(tc.m.ProtoReflect().Descriptor())
		if err != nil {
			t.Fatal(err)
		}
		got := appendMessage(nil, s, tc.m.ProtoReflect())
		if string(got) != tc.want {
			t.Errorf("%s\nwant %s", got, tc.want)
		}
		if !json.Valid(got) {
			t.Errorf("not JSON: %s", got)
		}
	}
}

func TestStatuses(t *testing.T) {
	d := newDoor(t, nil)
	d.do(request{verb: "GET", path: "/v1/payments/pay_1"}).wantsStatus(t, 200)
	a := d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"})
	a.wantsStatus(t, 201)
	if a.Header.Get("Retry-After") != "" || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Request-Id") == "" {
		t.Errorf("headers: %v", a.Header)
	}
	d.on = func(ctx context.Context) error {
		rpc.SetStatus(ctx, 202)
		rpc.SetRetryAfter(ctx, 1500*time.Millisecond)
		return nil
	}
	a = d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"})
	a.wantsStatus(t, 202)
	if a.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
}

// Every code is answered with its status and shape, and with Retry-After where the same request may be sent again.
func TestEveryFault(t *testing.T) {
	d := newDoor(t, nil)
	for _, info := range fault.All() {
		d.on = func(context.Context) error { return info.Code.New("the %s of it", "why").WithParam("a.b") }
		a := d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"})
		a.wants(t, info.Code, "a.b")
		message := "the why of it"
		if info.Kind == fault.Internal {
			message = info.Summary
		}
		retry := info.HTTP == 429 || info.HTTP == 503 || info.Kind == fault.Busy || info.Code == fault.InProgress
		if a.Message != message || a.Retryable != retry || (a.Header.Get("Retry-After") == "1") != retry || a.RequestID != a.Header.Get("Request-Id") {
			t.Errorf("%s: %s %v", info.Code, a.Body, a.Header)
		}
		if strings.Contains(a.Body, `"payment"`) {
			t.Errorf("%s: a payment: %s", info.Code, a.Body)
		}
	}
}

// A replayed failure is equal to the byte, the request id in it included.
func TestFailedPayments(t *testing.T) {
	d := newDoor(t, nil)
	d.on = func(context.Context) error {
		return rpc.Failed(fault.InsufficientFunds.New("short of ¥300"), "pay_9", "req_first")
	}
	a := d.do(request{verb: "POST", path: "/v1/payments", body: charge})
	b := d.do(request{verb: "POST", path: "/v1/payments", body: charge})
	const want = `{"error":{"code":"insufficient_funds","kind":"refused","message":"short of ¥300","retryable":false,"request_id":"req_first","payment":"pay_9"}}` + "\n"
	if a.Status != 402 || a.Body != want || b.Body != want {
		t.Errorf("%d %s%s", a.Status, a.Body, b.Body)
	}
	if a.Header.Get("Request-Id") == b.Header.Get("Request-Id") {
		t.Error("two requests have one name in the logs")
	}
}

// What is not a fault is unknown, and what it says stays inside.
func TestErrorsStayInside(t *testing.T) {
	d := newDoor(t, nil)
	d.on = func(context.Context) error { return errors.New("dial tcp 10.0.0.7: canary") }
	a := d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"})
	a.wants(t, fault.Unavailable, "")
	d.on = func(context.Context) error { panic("canary in a panic") }
	b := d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"})
	b.wants(t, fault.Bug, "")
	if strings.Contains(a.Body+b.Body, "canary") {
		t.Errorf("an answer shows the inside: %s %s", a.Body, b.Body)
	}
	if n := strings.Count(d.log.String(), "canary"); n < 2 {
		t.Errorf("the log shows %d of 2 errors: %s", n, d.log)
	}
}

func TestDeadline(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.Timeout = 3 * time.Second })
	d.on = func(ctx context.Context) error {
		if got := rpc.From(ctx).Deadline; got != start.Add(3*time.Second) {
			t.Errorf("deadline %v", got)
		}
		d.clock.Advance(3 * time.Second)
		<-ctx.Done()
		return ctx.Err()
	}
	d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"}).wants(t, fault.Timeout, "")
}

// A caller beyond its rate waits; another one does not notice.
func TestRate(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.Rate, c.Burst, c.Ease = 0.5, 2, nil })
	get := request{verb: "GET", path: "/v1/payments/pay_1"}
	d.do(get).wantsStatus(t, 200)
	d.do(get).wantsStatus(t, 200)
	for range 2 { // asking does not make it worse
		a := d.do(get)
		a.wants(t, fault.RateLimited, "")
		if a.Header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
		}
	}
	other := get
	other.key = d.keys.CustomerApp(ours)
	d.do(other).wantsStatus(t, 200)
	d.clock.Advance(2 * time.Second)
	d.do(get).wantsStatus(t, 200)
	d.do(get).wants(t, fault.RateLimited, "")
}

// More calls than fit are turned away at once; waiting for events has room of its own.
func TestOverload(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.MaxInFlight, c.MaxWaiting = 1, 1 })
	entered, leave := make(chan bool), make(chan bool)
	d.on = func(context.Context) error { entered <- true; <-leave; return nil }
	done := make(chan *answer)
	hold := func(path string) {
		go func() { done <- d.do(request{verb: "GET", path: path}) }()
		select {
		case <-entered:
		case a := <-done:
			t.Fatalf("%s had no room: %s", path, a.Body)
		}
	}
	hold("/v1/payments/pay_1")
	a := d.do(request{verb: "GET", path: "/v1/payments/pay_1"})
	a.wants(t, fault.Overloaded, "")
	if a.Header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	hold("/v1/feeds/payment")
	d.do(request{verb: "GET", path: "/v1/feeds/payment"}).wants(t, fault.Overloaded, "")
	close(leave)
	(<-done).wantsStatus(t, 200)
	(<-done).wantsStatus(t, 200)
}

// Drain ends what waits for events, and nothing else.
func TestDrain(t *testing.T) {
	d := newDoor(t, nil)
	d.on = func(ctx context.Context) error { d.Drain(); <-ctx.Done(); return nil }
	d.do(request{verb: "GET", path: "/v1/feeds/payment?wait=30"}).wantsStatus(t, 200)
	d.on = func(ctx context.Context) error { return ctx.Err() }
	d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"}).wantsStatus(t, 201)
}

func TestOwnAddresses(t *testing.T) {
	ready := errors.New("book balance/03 does not answer")
	var degraded []string
	d := newDoor(t, func(c *Config) {
		c.Ready, c.Degraded = func(context.Context) error { return ready }, func() []string { return degraded }
	})
	get := func(path string) *answer { return d.do(request{verb: "GET", path: path, key: anonymous}) }
	if a := get("/healthz"); a.Status != 200 || strings.Contains(a.Body, "degraded") {
		t.Errorf("/healthz: %d %s", a.Status, a.Body)
	}
	degraded = []string{"I3", "I24"}
	if a := get("/healthz"); a.Status != 200 || !strings.HasSuffix(a.Body, `,"degraded":["I3","I24"]}`+"\n") {
		t.Errorf("/healthz of what serves and is not right: %d %s", a.Status, a.Body)
	}
	a := get("/readyz")
	a.wants(t, fault.NotReady, "")
	if strings.Contains(a.Body, "balance/03") {
		t.Error("an answer shows the inside")
	}
	ready = nil
	get("/readyz").wantsStatus(t, 200)
	if a := get("/openapi.yaml"); a.Status != 200 || a.Body != string(openapi) || a.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"})
	d.do(request{verb: "GET", path: "/v1/payments/pay_1", key: anonymous})
	d.do(request{verb: "GET", path: "/wp-login.php"})
	metrics := get("/metrics").Body
	for _, line := range []string{
		`koban_http_request_seconds_count{route="POST /v1/payments/{id}/void",status="201"} 1`,
		`koban_http_request_seconds_count{route="GET /v1/payments/{id}",status="401"} 1`,
		`koban_http_request_seconds_count{route="none",status="404"} 1`,
		`koban_http_faults_total{code="credentials_required"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// The access log names the request, the route and the caller, and keeps to itself what was said.
func TestAccessLog(t *testing.T) {
	d := newDoor(t, nil)
	key := d.keys.Operator(ours)
	d.do(request{
		verb: "POST", path: "/v1/merchants", body: `{"name":"canary"}`,
		header: http.Header{"Idempotency-Key": {"canary"}, "User-Agent": {"canary"}, "X-Canary": {"canary"}},
	}).wantsStatus(t, 201)
	d.do(request{verb: "GET", path: "/v1/payments?customer=canary"})
	d.do(request{verb: "GET", path: "/canary\"%0a{"})
	log := d.log.String()
	if strings.Contains(log, "canary") || strings.Contains(log, key) || strings.Contains(log, "kbn_") {
		t.Errorf("the log says too much: %s", log)
	}
	var line struct {
		RequestID string `json:"request_id"`
		Route     string
		Status    int
		Tenant    int
		Principal string
	}
	if err := json.Unmarshal([]byte(strings.SplitN(log, "\n", 2)[0]), &line); err != nil {
		t.Fatal(err)
	}
	if line.RequestID != "req_1" || line.Route != "POST /v1/merchants" || line.Status != 201 || line.Tenant != 1 || line.Principal != "operator" {
		t.Errorf("logged %+v", line)
	}
}

// 111: bodies that are too large, announced or not.
func TestLargeBodies(t *testing.T) {
	d := newDoor(t, nil)
	post := func(body string, announced int64) *answer {
		r := httptest.NewRequest("POST", "http://koban/v1/merchants", strings.NewReader(body))
		r.ContentLength = announced
		r.Header.Set("Authorization", "Bearer "+d.keys.Operator(ours))
		r.Header.Set("Idempotency-Key", "k")
		return d.send(r)
	}
	full := `{"name":"a"` + strings.Repeat(" ", maxBody-12) + `}`
	post(full, maxBody).wantsStatus(t, 201)
	post(full, -1).wantsStatus(t, 201)
	post(full+" ", maxBody+1).wants(t, fault.RequestTooLarge, "")
	post(full+" ", -1).wants(t, fault.RequestTooLarge, "")
	post("", 1<<30).wants(t, fault.RequestTooLarge, "")
	d.do(request{verb: "POST", path: "/v1/merchants", body: `{"name":"a"}`, header: http.Header{"Content-Encoding": {"gzip"}}}).wants(t, fault.InvalidRequest, "")
}

// A handler that says nothing has a bug; its caller is not told that all went well.
func TestNoAnswer(t *testing.T) {
	d := newDoor(t, nil)
	for _, r := range d.table {
		if r.Pattern == "/v1/payments/{id}/void" {
			r.handler.call = func(context.Context, proto.Message) (proto.Message, error) { return (*paymentv1.Payment)(nil), nil }
		}
	}
	d.do(request{verb: "POST", path: "/v1/payments/pay_1/void"}).wants(t, fault.Bug, "")
}

// A gateway does not start with a handler missing, unknown, twice, or of other messages.
func TestRegistry(t *testing.T) {
	d := newDoor(t, nil)
	const get = "koban.payment.v1.PaymentService.GetPayment"
	for want, edit := range map[string]func(*Registry){
		"has no handler": func(r *Registry) { delete(r.handlers, get) },
		"is not a method": func(r *Registry) {
			Handle(r, "koban.x.v1.X.Y", meet[*feedv1.ReadFeedRequest](d, &feedv1.ReadFeedResponse{}))
		},
		"is registered twice": func(r *Registry) { Handle(r, get, meet[*paymentv1.GetPaymentRequest](d, samplePayment())) },
		"has a handler of other messages": func(r *Registry) {
			delete(r.handlers, get)
			Handle(r, get, meet[*paymentv1.VoidPaymentRequest](d, samplePayment()))
		},
		"a secret of at least 32 bytes": nil,
	} {
		r, cfg := d.registry(), d.cfg
		cfg.Metrics = nil
		if edit == nil {
			cfg.Secret = nil
		} else {
			edit(r)
		}
		if _, err := New(cfg, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q expected, got %v", want, err)
		}
	}
}
