package wire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	tccv1 "github.com/koban-pay/koban/gen/koban/tcc/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/tcc"
)

// ServicePath is where a Service stands on its host.
const ServicePath = "/koban.tcc.v1.ParticipantService/"

// Service returns what answers gRPC, gRPC-Web and Connect under ServicePath. gRPC needs HTTP/2: in clear, the server has
// to be told so (http.Protocols). Who may call is for the caller to check, in front of it.
func Service(s Server) http.Handler {
	return service(backend{try: s.try, confirm: s.confirm, cancel: s.cancel, add: s.add})
}

// backend is what stands behind the service.
type backend struct {
	try     func(context.Context, TryBody) (tcc.Receipt, error)
	confirm func(context.Context, ConfirmBody) (tcc.Receipt, error)
	cancel  func(context.Context, CancelBody) (tcc.Receipt, error)
	add     func(context.Context, AddBody) (tcc.Receipt, error)
}

func service(b backend) http.Handler {
	mux := http.NewServeMux()
	handle(mux, "Try", func(ctx context.Context, q *tccv1.TryRequest) (tcc.Receipt, error) { return b.try(ctx, fromTry(q)) })
	handle(mux, "Confirm", func(ctx context.Context, q *tccv1.ConfirmRequest) (tcc.Receipt, error) {
		return b.confirm(ctx, fromConfirm(q))
	})
	handle(mux, "Cancel", func(ctx context.Context, q *tccv1.CancelRequest) (tcc.Receipt, error) {
		return b.cancel(ctx, fromCancel(q))
	})
	handle(mux, "Add", func(ctx context.Context, q *tccv1.AddRequest) (tcc.Receipt, error) { return b.add(ctx, fromAdd(q)) })
	return mux
}

func handle[Q any](mux *http.ServeMux, name string, do func(context.Context, *Q) (tcc.Receipt, error)) {
	path := ServicePath + name
	mux.Handle(path, connect.NewUnaryHandlerSimple(path, func(ctx context.Context, q *Q) (*tccv1.Answer, error) {
		if m, ok := any(q).(proto.Message); ok && wire.Unknown(m.ProtoReflect()) { // as unknown members of JSON are refused
			return refusal(fault.UnknownField.New("the request has a field that this version of the contract does not know")), nil
		}
		r, err := do(ctx, q)
		if err == nil {
			return &tccv1.Answer{Outcome: &tccv1.Answer_Done{Done: &tccv1.Receipt{
				Book: r.Book, Seq: r.Seq, At: int64(r.At), Suspense: r.Suspense, Available: r.Available,
			}}}, nil
		}
		f := fault.Of(err)
		if meaning(f.Kind) == unknown {
			return nil, connect.NewError(connect.CodeUnavailable, errors.New(string(f.Code)+": "+f.Message))
		}
		return refusal(f), nil
	}, connect.WithReadMaxBytes(maxBody), connect.WithSendMaxBytes(maxBody)))
}

func refusal(f *fault.Error) *tccv1.Answer {
	return &tccv1.Answer{Outcome: &tccv1.Answer_Refused{Refused: &tccv1.Refusal{
		Code: string(f.Code), Kind: string(f.Kind), Message: f.Message, Param: f.Param,
	}}}
}

// overGRPC carries requests as protobuf.
type overGRPC struct {
	header  http.Header
	try     *connect.Client[tccv1.TryRequest, tccv1.Answer]
	confirm *connect.Client[tccv1.ConfirmRequest, tccv1.Answer]
	cancel  *connect.Client[tccv1.CancelRequest, tccv1.Answer]
	add     *connect.Client[tccv1.AddRequest, tccv1.Answer]
}

func newGRPC(h *http.Client, address string, header http.Header) *overGRPC {
	options := []connect.ClientOption{connect.WithGRPC(), connect.WithReadMaxBytes(maxBody)}
	at := address + ServicePath
	return &overGRPC{
		header:  header,
		try:     connect.NewClient[tccv1.TryRequest, tccv1.Answer](h, at+"Try", options...),
		confirm: connect.NewClient[tccv1.ConfirmRequest, tccv1.Answer](h, at+"Confirm", options...),
		cancel:  connect.NewClient[tccv1.CancelRequest, tccv1.Answer](h, at+"Cancel", options...),
		add:     connect.NewClient[tccv1.AddRequest, tccv1.Answer](h, at+"Add", options...),
	}
}

func (o *overGRPC) carry(ctx context.Context, verb Verb, body any, raw []byte) (string, []byte, tcc.Receipt, error) {
	if body == nil {
		var err error
		if body, err = sayable(verb, raw); err != nil {
			return "", nil, tcc.Receipt{}, err
		}
	}
	switch b := body.(type) {
	case TryBody:
		return send(ctx, o, o.try, &tccv1.TryRequest{
			Branch: b.Branch, Tenant: b.Tenant, Account: b.Account, Amount: b.Amount.proto(),
			Purpose: b.Purpose, NotAfter: int64(b.NotAfter), EffectiveAt: int64(b.EffectiveAt), Customer: b.Customer, Merchant: b.Merchant,
		})
	case ConfirmBody:
		return send(ctx, o, o.confirm, &tccv1.ConfirmRequest{
			Branch: b.Branch, Tenant: b.Tenant, Account: b.Account, Capture: b.Capture,
			Amount: b.Amount.proto(), Final: b.Final, EffectiveAt: int64(b.EffectiveAt), To: protos(b.To),
		})
	case CancelBody:
		return send(ctx, o, o.cancel, &tccv1.CancelRequest{
			Branch: b.Branch, Tenant: b.Tenant, Account: b.Account,
			NotAfter: int64(b.NotAfter), EffectiveAt: int64(b.EffectiveAt),
		})
	case AddBody:
		return send(ctx, o, o.add, &tccv1.AddRequest{
			Branch: b.Branch, Tenant: b.Tenant, Account: b.Account, Amount: b.Amount.proto(),
			Purpose: b.Purpose, Funding: protos(b.Funding), Origin: b.Origin, EffectiveAt: int64(b.EffectiveAt),
		})
	}
	return "", nil, tcc.Receipt{}, ErrUnsayable
}

// sayable reads raw JSON into the body of a verb. What protobuf could not tell apart or has no place for is unsayable.
func sayable(verb Verb, raw []byte) (any, error) {
	if verb != Try {
		return nil, ErrUnsayable
	}
	var b TryBody
	if decode(raw, &b) != nil || strings.ContainsRune(string(raw), '\uFFFD') {
		return nil, ErrUnsayable
	}
	return b, nil
}

// send makes one call. Every status but OK is unknown, whatever its name: between the two stand proxies, which have
// statuses of their own.
func send[Q any](ctx context.Context, o *overGRPC, c *connect.Client[Q, tccv1.Answer], q *Q) (string, []byte, tcc.Receipt, error) {
	request := connect.NewRequest(q)
	for name, values := range o.header {
		request.Header()[name] = values
	}
	response, err := c.CallUnary(ctx, request)
	var f *connect.Error
	switch {
	case errors.As(err, &f) && f.Code() == connect.CodeDeadlineExceeded:
		return "DEADLINE_EXCEEDED", nil, tcc.Receipt{}, fault.Timeout.New("no answer came in time").Because(err)
	case errors.As(err, &f):
		code := strings.ToUpper(f.Code().String())
		return code, []byte(f.Message()), tcc.Receipt{}, unclear("gRPC status %s: %s. A refusal is an Answer with the status OK", code, f.Message())
	case err != nil:
		return "", nil, tcc.Receipt{}, lost(ctx, err)
	}
	switch a := response.Msg.GetOutcome().(type) {
	case *tccv1.Answer_Done:
		r := tcc.Receipt{Book: a.Done.GetBook(), Seq: a.Done.GetSeq(), At: clock.Micros(a.Done.GetAt()), Suspense: a.Done.GetSuspense(), Available: a.Done.GetAvailable()}
		text, _ := json.Marshal(toReceipt(r))
		return "OK", text, r, nil
	case *tccv1.Answer_Refused:
		r := Refusal{Code: a.Refused.GetCode(), Kind: a.Refused.GetKind(), Message: a.Refused.GetMessage(), Param: a.Refused.GetParam()}
		text, _ := json.Marshal(refusalBody{&r})
		return "OK", text, tcc.Receipt{}, ofRefusal(r)
	}
	return "OK", nil, tcc.Receipt{}, unclear("the Answer is empty: it says neither done nor refused")
}

// ofRefusal reads a refusal that travelled as a message.
func ofRefusal(r Refusal) error {
	says := meaning(fault.Kind(r.Kind))
	if !goodText(r.Code) || says == unknown {
		return unclear("the refusal has no code, or its kind %.20q is not invalid, denied, not_found, refused or conflict", r.Kind)
	}
	return definite(says, http.StatusOK, r)
}

func (a Amount) proto() *typev1.Money { return &typev1.Money{Currency: a.Currency, Value: a.Value} }

func fromProto(m *typev1.Money) Amount { return Amount{Currency: m.GetCurrency(), Value: m.GetValue()} }

func protos(all []Funding) (out []*tccv1.Funding) {
	for _, f := range all {
		out = append(out, &tccv1.Funding{Kind: f.Kind, Amount: f.Amount.proto()})
	}
	return out
}

func fromProtos(all []*tccv1.Funding) (out []Funding) {
	for _, f := range all {
		out = append(out, Funding{Kind: f.GetKind(), Amount: fromProto(f.GetAmount())})
	}
	return out
}

func fromTry(q *tccv1.TryRequest) TryBody {
	return TryBody{
		Branch: q.GetBranch(), Tenant: q.GetTenant(), Account: q.GetAccount(), Amount: fromProto(q.GetAmount()), Purpose: q.GetPurpose(),
		NotAfter: Time(q.GetNotAfter()), EffectiveAt: Time(q.GetEffectiveAt()), Customer: q.GetCustomer(), Merchant: q.GetMerchant(),
	}
}

func fromConfirm(q *tccv1.ConfirmRequest) ConfirmBody {
	return ConfirmBody{
		Branch: q.GetBranch(), Tenant: q.GetTenant(), Account: q.GetAccount(), Capture: q.GetCapture(), Amount: fromProto(q.GetAmount()),
		Final: q.GetFinal(), EffectiveAt: Time(q.GetEffectiveAt()), To: fromProtos(q.GetTo()),
	}
}

func fromCancel(q *tccv1.CancelRequest) CancelBody {
	return CancelBody{
		Branch: q.GetBranch(), Tenant: q.GetTenant(), Account: q.GetAccount(),
		NotAfter: Time(q.GetNotAfter()), EffectiveAt: Time(q.GetEffectiveAt()),
	}
}

func fromAdd(q *tccv1.AddRequest) AddBody {
	return AddBody{
		Branch: q.GetBranch(), Tenant: q.GetTenant(), Account: q.GetAccount(), Amount: fromProto(q.GetAmount()), Purpose: q.GetPurpose(),
		Funding: fromProtos(q.GetFunding()), Origin: q.GetOrigin(), EffectiveAt: Time(q.GetEffectiveAt()),
	}
}
