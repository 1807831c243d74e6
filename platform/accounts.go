package platform

import (
	"context"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// accounts serves koban.balance.v1.AccountService: the accounts of every value service under one address. Which service
// an account lives in, its id says.
type accounts struct {
	ids     *id.Codec
	clock   clock.Clock
	volumes int
	balance *balance.Handler
	points  *points.Service
}

// inBalance is the service of the accounts that it serves by itself.
const inBalance = "balance"

// locate reads the account's id in an address. What is no account, or is none that the caller may see, does not exist: a
// volume's own are the operator's, a merchant sees its own, a customer app those of customers.
func (h *accounts) locate(ctx context.Context, text string) (id.ID, tcc.AccountKind, error) {
	x, err := h.ids.Decode(id.Account, text)
	kind, known := tcc.KindOfAccount(x)
	p, sees := &rpc.From(ctx).Principal, false
	switch p.Role {
	case rpc.Operator:
		sees = true
	case rpc.CustomerApp:
		sees = kind.Holder == tcc.OfCustomer
	case rpc.Merchant:
		sees = kind.Holder == tcc.OfMerchant && p.SeesMerchant(x.Root())
	}
	if err != nil || !known || !sees {
		return x, tcc.AccountKind{}, fault.AccountNotFound.New("")
	}
	return x, kind, nil
}

// GetAccount serves GET /v1/accounts/{id}.
func (h *accounts) GetAccount(ctx context.Context, q *balancev1.GetAccountRequest) (*balancev1.Account, error) {
	x, kind, err := h.locate(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	if kind.Service == inBalance {
		return h.balance.GetAccount(ctx, q)
	}
	return h.read(ctx, rpc.From(ctx).Principal.Tenant, x)
}

// read returns an account, whoever asks.
func (h *accounts) read(ctx context.Context, t id.Tenant, x id.ID) (*balancev1.Account, error) {
	if k, _ := tcc.KindOfAccount(x); k.Service == inBalance {
		return h.balance.Account(ctx, t, x)
	}
	v, err := h.points.Account(ctx, t, x)
	if err != nil {
		return nil, err
	}
	return h.message(&v), nil
}

// ListCustomerAccounts serves GET /v1/customers/{id}/accounts.
func (h *accounts) ListCustomerAccounts(ctx context.Context, q *balancev1.ListCustomerAccountsRequest) (*balancev1.ListCustomerAccountsResponse, error) {
	customer, err := h.ids.Decode(id.Customer, q.Id)
	if err != nil {
		return nil, fault.CustomerNotFound.New("")
	}
	out := &balancev1.ListCustomerAccountsResponse{}
	for _, kind := range tcc.AccountKinds {
		if kind.Holder != tcc.OfCustomer {
			continue
		}
		m, err := h.read(ctx, rpc.From(ctx).Principal.Tenant, customer.Facet(kind.Facet))
		switch {
		case err == nil:
			out.Items = append(out.Items, m)
		case !fault.HasCode(err, fault.AccountNotFound):
			return nil, err
		}
	}
	if len(out.Items) == 0 {
		return nil, fault.CustomerNotFound.New("")
	}
	return out, nil
}

// ListMerchantAccounts serves GET /v1/merchants/{id}/accounts.
func (h *accounts) ListMerchantAccounts(ctx context.Context, q *balancev1.ListMerchantAccountsRequest) (
	*balancev1.ListMerchantAccountsResponse, error,
) {
	p := &rpc.From(ctx).Principal
	merchant, err := h.ids.Decode(id.Merchant, q.Id)
	if err != nil || !p.SeesMerchant(merchant) {
		return nil, fault.MerchantNotFound.New("")
	}
	m, err := h.read(ctx, p.Tenant, merchant.Facet(tcc.PayableAccount))
	if fault.HasCode(err, fault.AccountNotFound) {
		return nil, fault.MerchantNotFound.New("")
	}
	if err != nil {
		return nil, err
	}
	return &balancev1.ListMerchantAccountsResponse{Items: []*balancev1.Account{m}}, nil
}

// CreditAccount serves POST /v1/accounts/{id}/credits. The reply is the account as the credit left it, for ever.
func (h *accounts) CreditAccount(ctx context.Context, q *balancev1.CreditAccountRequest) (*balancev1.Account, error) {
	x, kind, err := h.locate(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	if kind.Service == inBalance {
		return h.balance.CreditAccount(ctx, q)
	}
	amount, err := amountOf(q.Amount, "amount")
	if err != nil {
		return nil, err
	}
	c := rpc.From(ctx)
	who := points.Request{Tenant: c.Principal.Tenant, Key: c.Key, Fingerprint: c.Fingerprint}
	g, err := h.points.Credit(ctx, who, x, amount, points.Free, points.Until(h.clock.Now(), points.GrantDays))
	if err != nil {
		return nil, err
	}
	return h.message(&g.Account), nil
}

// Currency tells payments which currency an account of the balance service is in, money.None if there is none.
func (h *accounts) Currency(ctx context.Context, t id.Tenant, account id.ID) (money.Currency, error) {
	a, err := h.balance.Service.Account(ctx, t, account)
	if fault.HasCode(err, fault.AccountNotFound) {
		return money.None, nil
	}
	return a.Currency, err
}

// IsCustomer tells the code service whether somebody is a customer of the tenant.
func (h *accounts) IsCustomer(ctx context.Context, t id.Tenant, customer id.ID) (bool, error) {
	c, err := h.Currency(ctx, t, customer.Facet(tcc.BalanceAccount))
	return c != money.None, err
}

// message returns the message about an account of the points service.
func (h *accounts) message(v *points.View) *balancev1.Account {
	owner := book.Name("points", v.ID.Volume(h.volumes))
	if k, _ := tcc.KindOfAccount(v.ID); k.Holder != tcc.OfVolume {
		owner = h.ids.Encode(id.Customer, v.ID.Root())
	}
	return &balancev1.Account{
		Id: h.ids.Encode(id.Account, v.ID), Owner: owner, Kind: v.Kind.String(), Currency: money.PT.Code(),
		Posted: v.Posted, Held: v.Held, Available: v.Available, Status: statusOf(v.Status),
	}
}

func statusOf(s ledger.Status) balancev1.AccountStatus {
	switch s {
	case ledger.Open:
		return balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE
	case ledger.Closed:
		return balancev1.AccountStatus_ACCOUNT_STATUS_CLOSED
	default:
		return balancev1.AccountStatus_ACCOUNT_STATUS_SUSPENDED
	}
}

// amountOf reads an amount of a request. The front door has checked its range.
func amountOf(m *typev1.Money, field string) (money.Amount, error) {
	c, err := money.ParseCurrency(m.GetCurrency())
	if err != nil {
		return money.Amount{}, fault.InvalidCurrency.New("").WithParam(field + ".currency")
	}
	return money.Of(m.Value, c), nil
}
