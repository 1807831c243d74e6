package app

import (
	"context"
	"crypto/sha256"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// platform serves koban.platform.v1.PlatformService: what spans services. Each use case names its owner first, in one
// book and under the caller's key; every step after that is keyed by the owner's id, so that a request that died half-way
// is finished by sending it again, and an answer is made of nothing but the request and what the first step recorded.
type platform struct {
	accounts
	merchants func(id.Tenant, id.ID) string // the key of a merchant
}

// CreateCustomer serves POST /v1/customers: the balance account names the customer, the points account follows.
func (h *platform) CreateCustomer(ctx context.Context, q *platformv1.CreateCustomerRequest) (*platformv1.Customer, error) {
	c := rpc.From(ctx)
	opening, granted := money.Yen(0), money.Of(0, money.PT)
	var err error
	if q.Balance != nil {
		if opening, err = amountOf(q.Balance); err != nil || !opening.Currency.IsISO() {
			return nil, fault.InvalidCurrency.New("").WithParam("balance.currency")
		}
	}
	if q.Points != nil {
		if granted, err = amountOf(q.Points); err != nil || granted.Currency != money.PT {
			return nil, fault.InvalidCurrency.New("points are in PT").WithParam("points.currency")
		}
	}
	customer, err := h.name(ctx, c, balance.Balance, opening)
	if err != nil {
		return nil, err
	}
	account, err := h.givePoints(ctx, c, customer, granted)
	if err != nil {
		return nil, err
	}
	return &platformv1.Customer{Id: h.ids.Encode(id.Customer, customer), CreatedAt: int64(customer.Time()), Points: account,
		Balance: h.balanceMessage(customer.Facet(tcc.BalanceAccount), opening.Currency, opening.Minor, opening.Minor, ledger.Open)}, nil
}

// name returns the owner that the caller's key stands for, and opens the owner's first account if the key is new.
func (h *platform) name(ctx context.Context, c *rpc.Call, kind balance.Kind, opening money.Amount) (id.ID, error) {
	now := h.clock.Now()
	return h.balance.OpenOwner(ctx, balance.OpenOwner{
		Key: book.Key{Tenant: c.Principal.Tenant, ID: id.ID(c.Key)}, Print: balance.Print(c.Fingerprint),
		Owner: h.fresh.New(now, c.Key.Slot()), Kind: kind, Terms: balance.Terms{Currency: opening.Currency},
		Opening: opening.Minor, EffectiveAt: now,
	})
}

// givePoints opens the customer's points account and gives the first points. The key of that is the customer's own, so
// that it happens once however often the request is sent.
func (h *platform) givePoints(ctx context.Context, c *rpc.Call, customer id.ID, granted money.Amount) (*balancev1.Account, error) {
	v, err := h.points.Open(ctx, c.Principal.Tenant, customer)
	if err != nil {
		return nil, err
	}
	if granted.IsZero() {
		v.Posted, v.Held, v.Available, v.Status = 0, 0, 0, ledger.Open
		return h.pointsMessage(&v), nil
	}
	key := sha256.Sum256(append([]byte("koban/first-points/1"), customer[:]...))
	who := points.Request{Tenant: c.Principal.Tenant, Key: [16]byte(key[:16]), Fingerprint: c.Fingerprint}
	g, err := h.points.Credit(ctx, who, v.ID, granted, points.Free, h.clock.Now()+creditLife)
	if err != nil {
		return nil, err
	}
	return h.pointsMessage(&g.Account), nil
}
