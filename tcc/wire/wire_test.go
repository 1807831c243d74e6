package wire_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/koban-pay/koban/fault"
	tccv1 "github.com/koban-pay/koban/gen/koban/tcc/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/wire"
)

const noon = clock.Micros(1_795_000_000)*clock.Second + 123456

// stub answers what it is told to, and keeps what it was asked.
type stub struct {
	mu      sync.Mutex
	asked   []any
	receipt tcc.Receipt
	err     error
}

func (s *stub) answer(r any) (tcc.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	return s.receipt, s.err
}

func (s *stub) Try(_ context.Context, r tcc.TryRequest) (tcc.Receipt, error) { return s.answer(r) }
func (s *stub) Confirm(_ context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	return s.answer(r)
}

func (s *stub) Cancel(_ context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	return s.answer(r)
}
func (s *stub) Add(_ context.Context, r tcc.AddRequest) (tcc.Receipt, error) { return s.answer(r) }

// eachWire runs fn with clients of s over HTTP and over gRPC.
func eachWire(t *testing.T, s *stub, fn func(t *testing.T, c *wire.Client)) {
	offer := wire.Server{Participant: s, Receiver: s}
	mux := http.NewServeMux()
	mux.Handle("/points/", http.StripPrefix("/points", wire.Handler(offer)))
	mux.Handle(wire.ServicePath, wire.Service(offer))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	for name, url := range map[string]string{"http": server.URL + "/points/", "grpc": strings.Replace(server.URL, "http", "grpc", 1)} {
		t.Run(name, func(t *testing.T) { fn(t, dial(t, wire.Config{URL: url})) })
	}
}

func dial(t *testing.T, c wire.Config) *wire.Client {
	t.Helper()
	client, err := wire.Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func branch() tcc.Branch {
	return tcc.Branch{Tenant: 7, ID: id.Compose(noon, 5, [9]byte{1, 2, 3}).Facet(3)}
}

func account() id.ID { return id.Compose(noon, 9, [9]byte{9, 9}).Facet(2) }

// TestRequestsArriveAsSent: every member, over both wires.
func TestRequestsArriveAsSent(t *testing.T) {
	s := &stub{receipt: tcc.Receipt{Book: "points/03", Seq: 12, At: noon + 1, Suspense: true, Available: 940}}
	other := id.Compose(noon, 1, [9]byte{5})
	funding := []tcc.Funding{{From: "points_redeemed", Amount: money.Of(60, money.PT)}}
	try := tcc.TryRequest{
		Branch: branch(), Account: account(), Amount: money.Of(60, money.PT), Purpose: tcc.Charge,
		NotAfter: noon + clock.Hour, EffectiveAt: noon, Customer: other, Merchant: other.Facet(3),
	}
	confirm := tcc.ConfirmRequest{Branch: branch(), Account: account(), Capture: 2, Amount: money.Of(59, money.PT), Final: true, EffectiveAt: noon, To: funding}
	cancel := tcc.CancelRequest{Branch: branch(), Account: account(), NotAfter: noon + clock.Hour, EffectiveAt: noon}
	add := tcc.AddRequest{
		Branch: branch(), Account: account(), Amount: money.Of(60, money.PT), Purpose: tcc.Refund, Funding: funding,
		Origin: other.Facet(1), EffectiveAt: noon,
	}
	eachWire(t, s, func(t *testing.T, c *wire.Client) {
		ctx := t.Context()
		s.asked = nil
		for _, call := range []func() (tcc.Receipt, error){
			func() (tcc.Receipt, error) { return c.Try(ctx, try) }, func() (tcc.Receipt, error) { return c.Confirm(ctx, confirm) },
			func() (tcc.Receipt, error) { return c.Cancel(ctx, cancel) }, func() (tcc.Receipt, error) { return c.Add(ctx, add) },
		} {
			if r, err := call(); err != nil || r != s.receipt {
				t.Errorf("receipt %+v, %v", r, err)
			}
		}
		if len(s.asked) != 4 || s.asked[0] != any(try) || s.asked[2] != any(cancel) {
			t.Fatalf("asked %+v", s.asked)
		}
		if got := s.asked[1].(tcc.ConfirmRequest); got.Capture != 2 || !got.Final || got.Amount != confirm.Amount || len(got.To) != 1 || got.To[0] != funding[0] {
			t.Errorf("confirm arrived as %+v", got)
		}
		if got := s.asked[3].(tcc.AddRequest); got.Origin != add.Origin || got.Purpose != tcc.Refund || len(got.Funding) != 1 || got.Funding[0] != funding[0] {
			t.Errorf("add arrived as %+v", got)
		}
	})
}

// TestOutcomesArriveAsGiven: whatever fault a participant gives, its caller concludes the same.
func TestOutcomesArriveAsGiven(t *testing.T) {
	s := &stub{}
	eachWire(t, s, func(t *testing.T, c *wire.Client) {
		for _, info := range fault.All() {
			s.err = info.Code.New("because").WithParam("account")
			_, err := c.Cancel(t.Context(), tcc.CancelRequest{Branch: branch(), Account: account(), NotAfter: noon, EffectiveAt: noon})
			if got, want := tcc.OutcomeOf(err), tcc.OutcomeOf(s.err); got != want {
				t.Errorf("%s arrived as %v (%v), should be %v", info.Code, got, err, want)
			}
			definite := tcc.OutcomeOf(s.err) == tcc.Refused || info.Kind == fault.Conflict
			if definite && !fault.HasCode(err, info.Code) {
				t.Errorf("%s arrived as %v", info.Code, err)
			}
		}
	})
}

// TestAnswersAreUnderstood: what an HTTP answer means.
func TestAnswersAreUnderstood(t *testing.T) {
	refuse := func(code string) string { return `{"error":{"code":"` + code + `","message":"m"}}` }
	for _, x := range []struct {
		status int
		body   string
		want   tcc.Outcome
		code   fault.Code
	}{
		{200, `{}`, tcc.Done, ""},
		{200, ` {"book":"b","seq":3,"news":1}`, tcc.Done, ""},
		{201, `{}`, tcc.Done, ""},
		{200, ``, tcc.Unknown, fault.Unavailable},
		{200, `OK`, tcc.Unknown, fault.Unavailable},
		{200, `[]`, tcc.Unknown, fault.Unavailable},
		{200, `null`, tcc.Unknown, fault.Unavailable},
		{200, `{"seq":"x"}`, tcc.Unknown, fault.Unavailable},
		{200, strings.Repeat(" ", 70<<10) + `{}`, tcc.Unknown, fault.Unavailable},
		{202, `{}`, tcc.Unknown, fault.Unavailable},
		{204, ``, tcc.Unknown, fault.Unavailable},
		{302, `{}`, tcc.Unknown, fault.Unavailable},
		{402, refuse("insufficient_funds"), tcc.Refused, fault.InsufficientFunds},
		{400, refuse("insufficient_funds"), tcc.Refused, fault.InsufficientFunds},
		{422, refuse("member_blocked"), tcc.Refused, "member_blocked"},
		{404, refuse("account_not_found"), tcc.Refused, fault.AccountNotFound},
		{404, `<html>no such page</html>`, tcc.Unknown, fault.Unavailable},
		{403, `{"error":"denied"}`, tcc.Unknown, fault.Unavailable},
		{422, refuse("id_reused"), tcc.Unknown, fault.Unavailable},
		{409, refuse("id_reused"), tcc.Unknown, fault.IDReused},
		{409, refuse("my_conflict"), tcc.Unknown, "my_conflict"},
		{409, refuse("insufficient_funds"), tcc.Unknown, fault.Unavailable},
		{409, ``, tcc.Unknown, fault.Unavailable},
		{401, refuse("credentials_invalid"), tcc.Unknown, fault.BadCredentials},
		{408, refuse("insufficient_funds"), tcc.Unknown, fault.Unavailable},
		{429, refuse("rate_limited"), tcc.Unknown, fault.RateLimited},
		{500, refuse("insufficient_funds"), tcc.Unknown, fault.Unavailable},
		{503, refuse("overloaded"), tcc.Unknown, fault.Overloaded},
		{502, `bad gateway`, tcc.Unknown, fault.Unavailable},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(x.status)
			_, _ = io.WriteString(w, x.body)
		}))
		_, err := dial(t, wire.Config{URL: server.URL}).Cancel(t.Context(), tcc.CancelRequest{Branch: branch(), Account: account(), NotAfter: noon})
		if got := tcc.OutcomeOf(err); got != x.want || x.code != "" && !fault.HasCode(err, x.code) {
			t.Errorf("%d %.60q is %v (%v), should be %v %s", x.status, x.body, got, err, x.want, x.code)
		}
		server.Close()
	}
}

// TestSilenceIsUnknown: no answer, a late one and a cut one are unknown, over both wires.
func TestSilenceIsUnknown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	dead := server.URL
	cancel := tcc.CancelRequest{Branch: branch(), Account: account(), NotAfter: noon}
	for _, url := range []string{dead, strings.Replace(dead, "http", "grpc", 1)} {
		if _, err := dial(t, wire.Config{URL: url}).Cancel(t.Context(), cancel); tcc.OutcomeOf(err) != tcc.Unknown {
			t.Errorf("%s: a cut connection: %v", url, err)
		}
	}
	server.Close()
	if _, err := dial(t, wire.Config{URL: dead}).Cancel(t.Context(), cancel); tcc.OutcomeOf(err) != tcc.Unknown {
		t.Errorf("nobody listens: %v", err)
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer slow.Close()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if _, err := dial(t, wire.Config{URL: slow.URL}).Cancel(ctx, cancel); !fault.HasCode(err, fault.Timeout) {
		t.Errorf("a late answer: %v", err)
	}
}

// TestRequestsAreReadExactly: nothing that could be read in two ways is taken.
func TestRequestsAreReadExactly(t *testing.T) {
	s := &stub{}
	server := httptest.NewServer(wire.Handler(wire.Server{Participant: s}))
	defer server.Close()
	c := dial(t, wire.Config{URL: server.URL})
	good := string(c.TryBody(tcc.TryRequest{Branch: branch(), Account: account(), Amount: money.Yen(60), Purpose: tcc.Charge, NotAfter: noon, EffectiveAt: noon}))
	if _, err := c.Send(t.Context(), wire.Try, []byte(good)); err != nil || len(s.asked) != 1 {
		t.Fatalf("%s: %v", good, err)
	}
	for _, x := range []struct {
		old, new string
		code     fault.Code
	}{
		{`"value":60`, `"value":60.0`, fault.InvalidAmount},
		{`"value":60`, `"value":6e1`, fault.InvalidAmount},
		{`"value":60`, `"value":-60`, fault.InvalidAmount},
		{`"value":60`, `"value":9007199254740992`, fault.InvalidAmount},
		{`"value":60`, `"value":60,"value":61`, fault.InvalidRequest},
		{`"value":60`, `"value":60,"Value":61`, fault.InvalidRequest},
		{`"value":60`, `"value":60,"scale":2`, fault.UnknownField},
		{`"JPY"`, `"QQQ"`, fault.InvalidCurrency},
		{`"JPY"`, `"jpy"`, fault.InvalidCurrency},
		{`"charge"`, `"gift"`, fault.InvalidRequest},
		{`"tenant":7`, `"tenant":0`, fault.MissingField},
		{`"tenant":7`, `"tenant":-7`, fault.InvalidRequest},
		{`.3"`, `.300"`, fault.InvalidID},
		{`.3"`, `"`, fault.InvalidID},
		{`.3"`, `.03"`, fault.InvalidID},
		{`.3"`, `\n.3"`, fault.InvalidID},
		{good, `{}`, fault.MissingField},
		{good, `[]`, fault.InvalidRequest},
		{good, ``, fault.InvalidRequest},
		{good, good + good, fault.InvalidRequest},
		{good, strings.Repeat(" ", 65<<10), fault.RequestTooLarge},
		{good, strings.Repeat("[", 60000), fault.InvalidRequest},
		{`"not_after":"2`, `"not_after":"x2`, fault.InvalidRequest},
		{`"not_after":"2`, `"not_after":"0`, fault.InvalidRequest},
	} {
		_, err := c.Send(t.Context(), wire.Try, []byte(strings.Replace(good, x.old, x.new, 1)))
		if !fault.HasCode(err, x.code) {
			t.Errorf("%s → %.60q: %v, should be %s", x.old, x.new, err, x.code)
		}
	}
	if len(s.asked) != 1 {
		t.Errorf("%d requests reached the participant, should be 1", len(s.asked))
	}
	if _, err := c.Add(t.Context(), tcc.AddRequest{}); tcc.OutcomeOf(err) != tcc.Refused {
		t.Errorf("an Add where nothing can be added: %v", err)
	}
}

// TestEveryIDHasOneText: texts are exact both ways.
func TestEveryIDHasOneText(t *testing.T) {
	var n wire.Plain
	for _, x := range []id.ID{branch().ID, account(), branch().ID.Root(), {1}} {
		if back, err := n.ID(n.Text(x)); err != nil || back != x {
			t.Errorf("%v became %s and then %v, %v", x, n.Text(x), back, err)
		}
	}
	for _, bad := range []string{"", "x", n.Text(branch().ID.Root()) + "0", n.Text(branch().ID.Root()) + ".0", strings.ToUpper(n.Text(account())), n.Text(account()) + "\n"} {
		if x, err := n.ID(bad); err == nil {
			t.Errorf("%q became %v", bad, x)
		}
	}
}

// TestAddressesAreChecked: what is no address of a participant is refused before anything is sent.
func TestAddressesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "localhost:80", "ftp://x", "http://", "http://x/?a=1", "http://x/#a", "://"} {
		if _, err := wire.Dial(wire.Config{URL: bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestFieldsOfALaterContractAreRefused: what a caller says and we do not understand may be what matters, over both wires.
func TestFieldsOfALaterContractAreRefused(t *testing.T) {
	s := &stub{}
	server := httptest.NewServer(wire.Service(wire.Server{Participant: s}))
	defer server.Close()
	q := &tccv1.TryRequest{
		Branch: "b", Tenant: 1, Account: "a", Amount: &typev1.Money{Currency: "JPY", Value: 1}, Purpose: "charge", NotAfter: 1,
		EffectiveAt: 1,
	}
	q.Amount.ProtoReflect().SetUnknown([]byte{0xf8, 0x06, 1}) // field 111
	c := connect.NewClient[tccv1.TryRequest, tccv1.Answer](server.Client(), server.URL+wire.ServicePath+"Try")
	answer, err := c.CallUnary(t.Context(), connect.NewRequest(q))
	if err != nil || answer.Msg.GetRefused().GetCode() != string(fault.UnknownField) || len(s.asked) > 0 {
		t.Errorf("%v, %v; asked %v", answer, err, s.asked)
	}
}
