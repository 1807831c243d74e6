package app

import (
	"context"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/book"
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
	fresh   *id.Source
	clock   clock.Clock
	volumes int
	balance *balance.Service
	points  *points.Service
}

// home is the service that an account lives in.
type home uint8

const (
	nowhere home = iota
	inBalance
	inPoints
)

// homeOf says where x lives. A volume's own accounts have ids without a time; those of points have low facets.
func homeOf(x id.ID) (h home, own bool) {
	own = x.Time() == id.Nil.Time()
	switch f := x.Part(); {
	case own && f > 0 && f < uint8(balance.PaymentClearing):
		return inPoints, own
	case own && balance.KindOf(x).String() != "":
		return inBalance, own
	case f == tcc.BalanceAccount, f == tcc.PayableAccount:
		return inBalance, own
	case f == tcc.PointsAccount:
		return inPoints, own
	}
	return nowhere, own
}

// locate reads the account's id in an address. What cannot be an account, or is none the caller may meet, does not exist.
func (h *accounts) locate(c *rpc.Call, text string) (id.ID, home, error) {
	x, err := h.ids.Decode(id.Account, text)
	where, own := homeOf(x)
	hidden := c.Principal.Role == rpc.CustomerApp && (own || x.Part() == tcc.PayableAccount)
	if err != nil || where == nowhere || hidden {
		return x, nowhere, fault.AccountNotFound.New("")
	}
	return x, where, nil
}

// GetAccount serves GET /v1/accounts/{id}.
func (h *accounts) GetAccount(ctx context.Context, q *balancev1.GetAccountRequest) (*balancev1.Account, error) {
	c := rpc.From(ctx)
	x, where, err := h.locate(c, q.Id)
	if err != nil {
		return nil, err
	}
	return h.read(ctx, c.Principal.Tenant, x, where)
}

func (h *accounts) read(ctx context.Context, t id.Tenant, x id.ID, where home) (*balancev1.Account, error) {
	if where == inPoints {
		v, err := h.points.Account(ctx, t, x)
		if err != nil {
			return nil, err
		}
		return h.pointsMessage(&v), nil
	}
	a, err := h.balance.Account(ctx, t, x)
	if err != nil {
		return nil, err
	}
	return h.balanceMessage(x, a.Currency, a.Posted(), a.Available(), a.Status), nil
}

// ListCustomerAccounts serves GET /v1/customers/{id}/accounts.
func (h *accounts) ListCustomerAccounts(ctx context.Context, q *balancev1.ListCustomerAccountsRequest) (*balancev1.ListCustomerAccountsResponse, error) {
	customer, err := h.ids.Decode(id.Customer, q.Id)
	if err != nil {
		return nil, fault.CustomerNotFound.New("")
	}
	out := &balancev1.ListCustomerAccountsResponse{}
	for _, one := range []struct {
		facet uint8
		home  home
	}{{tcc.BalanceAccount, inBalance}, {tcc.PointsAccount, inPoints}} {
		m, err := h.read(ctx, rpc.From(ctx).Principal.Tenant, customer.Facet(one.facet), one.home)
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

// creditLife is how long points live that an operator gives away.
const creditLife = 365 * clock.Day

// CreditAccount serves POST /v1/accounts/{id}/credits. The reply is the account as the credit left it, for ever.
func (h *accounts) CreditAccount(ctx context.Context, q *balancev1.CreditAccountRequest) (*balancev1.Account, error) {
	c := rpc.From(ctx)
	x, where, err := h.locate(c, q.Id)
	if err != nil {
		return nil, err
	}
	amount, err := amountOf(q.Amount)
	if err != nil {
		return nil, err
	}
	now := h.clock.Now()
	if where == inPoints {
		who := points.Request{Tenant: c.Principal.Tenant, Key: c.Key, Fingerprint: c.Fingerprint}
		g, err := h.points.Credit(ctx, who, x, amount, points.Free, now+creditLife)
		if err != nil {
			return nil, err
		}
		return h.pointsMessage(&g.Account), nil
	}
	done, err := h.balance.Credit(ctx, balance.AddCredit{Key: book.Key{Tenant: c.Principal.Tenant, ID: id.ID(c.Key)},
		Print: balance.Print(c.Fingerprint), ID: h.fresh.New(now, x.Slot()), Account: x, Amount: amount, EffectiveAt: now})
	if err != nil {
		return nil, err
	}
	return h.balanceMessage(x, amount.Currency, done.Posted, done.Available, done.Status), nil
}

// Exists tells payments whether an account of the balance service exists.
func (h *accounts) Exists(ctx context.Context, t id.Tenant, account id.ID) (bool, error) {
	_, err := h.balance.Account(ctx, t, account)
	if fault.HasCode(err, fault.AccountNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (h *accounts) balanceMessage(x id.ID, c money.Currency, posted, available int64, s ledger.Status) *balancev1.Account {
	return &balancev1.Account{Id: h.ids.Encode(id.Account, x), Owner: h.owner(x, "balance"), Kind: balance.KindOf(x).String(),
		Currency: c.Code(), Posted: posted, Held: posted - available, Available: available, Status: statusOf(s)}
}

func (h *accounts) pointsMessage(v *points.View) *balancev1.Account {
	return &balancev1.Account{Id: h.ids.Encode(id.Account, v.ID), Owner: h.owner(v.ID, "points"), Kind: v.Kind.String(),
		Currency: money.PT.Code(), Posted: v.Posted, Held: v.Held, Available: v.Available, Status: statusOf(v.Status)}
}

// owner returns whose account x is: a customer's, a merchant's, or a volume's own, which is named by its book.
func (h *accounts) owner(x id.ID, service string) string {
	switch _, own := homeOf(x); {
	case own:
		return book.Name(service, x.Volume(h.volumes))
	case x.Part() == tcc.PayableAccount:
		return h.ids.Encode(id.Merchant, x.Root())
	}
	return h.ids.Encode(id.Customer, x.Root())
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
func amountOf(m *typev1.Money) (money.Amount, error) {
	c, err := money.ParseCurrency(m.GetCurrency())
	if err != nil {
		return money.Amount{}, fault.InvalidCurrency.New("").WithParam("amount.currency")
	}
	return money.Of(m.Value, c), nil
}
