package code

import (
	"context"
	"fmt"

	"github.com/koban-pay/koban/fault"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/money"
)

// Handler serves koban.code.v1.SessionService.
type Handler struct {
	service   *Service
	ids       *id.Codec
	customers Customers
}

// NewHandler returns the handler of a service, which speaks of ids as the codec writes them.
func NewHandler(s *Service, ids *id.Codec, c Customers) *Handler { return &Handler{s, ids, c} }

// CreateSession opens a session for the customer who scanned the code.
//
// Errors: invalid_id and customer_not_found (param customer), and those of Service.OpenSession.
func (h *Handler) CreateSession(ctx context.Context, r *codev1.CreateSessionRequest) (*codev1.Session, error) {
	customer, err := h.ids.Decode(id.Customer, r.GetCustomer())
	if err != nil {
		return nil, fault.InvalidID.New("%v", err).WithParam("customer")
	}
	call := rpc.From(ctx)
	switch ours, err := h.customers.IsCustomer(ctx, call.Principal.Tenant, customer); {
	case err != nil:
		return nil, err
	case !ours:
		return nil, fault.CustomerNotFound.New("").WithParam("customer")
	}
	s, err := h.service.OpenSession(ctx, Request{call.Principal.Tenant, call.Key, call.Fingerprint}, customer, r.GetPayload())
	if err != nil {
		return nil, err
	}
	return h.session(ctx, call.Principal.Tenant, s)
}

// GetSession reads one session. What cannot be the id of one does not exist either.
//
// Errors: session_not_found.
func (h *Handler) GetSession(ctx context.Context, r *codev1.GetSessionRequest) (*codev1.Session, error) {
	x, err := h.ids.Decode(id.Session, r.GetId())
	if err != nil {
		return nil, fault.SessionNotFound.New("")
	}
	who := rpc.From(ctx).Principal
	s, err := h.service.Session(ctx, who.Tenant, x)
	if err != nil {
		return nil, err
	}
	if !who.SeesMerchant(s.Merchant) {
		return nil, fault.SessionNotFound.New("")
	}
	return h.session(ctx, who.Tenant, s)
}

func (h *Handler) session(ctx context.Context, tenant id.Tenant, s Session) (*codev1.Session, error) {
	shop, err := h.service.Shop(ctx, tenant, s.Merchant)
	if err != nil {
		return nil, err
	}
	labels, err := h.service.Labels(ctx, tenant, s)
	if err != nil {
		return nil, err
	}
	return &codev1.Session{
		Labels: labels.message(), Id: h.ids.Encode(id.Session, s.ID), Customer: h.ids.Encode(id.Customer, s.Customer),
		Merchant: &codev1.Shop{Id: h.ids.Encode(id.Merchant, s.Merchant), Name: shop.Name}, Amount: moneyOut(s.Amount),
		ExpiresAt: int64(s.ExpiresAt), Status: codev1.SessionStatus(s.Status),
	}, nil
}

// message returns nil where the code said nothing.
func (l Labels) message() *typev1.Labels {
	if l == (Labels{}) {
		return nil
	}
	said := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return &typev1.Labels{
		BillNumber: said(l.BillNumber), StoreLabel: said(l.StoreLabel), ReferenceLabel: said(l.ReferenceLabel),
		TerminalLabel: said(l.TerminalLabel),
	}
}

func moneyOut(a *money.Amount) *typev1.Money {
	if a == nil {
		return nil
	}
	return &typev1.Money{Currency: a.Currency.Code(), Value: a.Minor}
}

// Announce returns what the public feed says of one event of the journal: its type, such as "session.used", the payment
// that caused it or the nil id, and its data. Only events that Machine.Public announces have one.
//
// Errors: the event is not understood, or is not public.
func (m *Machine) Announce(typ uint32, body []byte, ids *id.Codec) (string, id.ID, *codev1.SessionEvent, error) {
	ev, err := m.Decode(typ, body)
	if err != nil {
		return "", id.Nil, nil, err
	}
	var kind string
	var payment id.ID
	var v Session
	switch e := ev.(type) {
	case *sessionOpened:
		row := e.row(0)
		kind, v = "session.opened", row.first(e.Session)
	case *sessionExpired:
		row := SessionRow{Customer: e.Customer, Merchant: e.Merchant, Currency: e.Currency, Minor: e.Minor, Status: Expired, ExpiresAt: e.ExpiresAt}
		kind, v = "session.expired", row.view(e.Session, e.ExpiresAt)
	case *confirmed:
		row := SessionRow{Customer: e.Customer, Merchant: e.Merchant, Currency: e.Currency, Minor: e.Minor, Status: Used, ExpiresAt: e.ExpiresAt}
		kind, v, payment = "session.used", row.view(e.Session, e.ExpiresAt), e.Branch.Root()
	default:
		return "", id.Nil, nil, fmt.Errorf("code: an event of type %d is not public", typ)
	}
	return kind, payment, &codev1.SessionEvent{
		Id: ids.Encode(id.Session, v.ID), Customer: ids.Encode(id.Customer, v.Customer), Merchant: ids.Encode(id.Merchant, v.Merchant),
		Status: codev1.SessionStatus(v.Status), Amount: moneyOut(v.Amount), ExpiresAt: int64(v.ExpiresAt),
	}, nil
}
