package platform

import (
	"context"
	"crypto/sha256"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// platform serves koban.platform.v1.PlatformService: what spans services. Each use case names its owner first, in one
// book and under the caller's key; every step after that is keyed by the owner's id. So a request that died half-way is
// finished by sending it again, and the answer is made of the request and what the first step recorded, for ever.
type platform struct {
	*accounts
	fresh   *id.Source
	code    *code.Service
	payment *payment.Service
	key     func(id.Tenant, id.ID) string // of a merchant
	errands *errands
}

// CreateCustomer serves POST /v1/customers: the balance account names the customer, the points account follows.
func (h *platform) CreateCustomer(ctx context.Context, q *platformv1.CreateCustomerRequest) (*platformv1.Customer, error) {
	opening, granted := money.Yen(0), money.Of(0, money.PT)
	var err error
	if q.Balance != nil {
		if opening, err = amountOf(q.Balance, "balance"); err != nil || !opening.Currency.IsISO() {
			return nil, fault.CurrencyMismatch.New("a balance is in money, not in points").WithParam("balance.currency")
		}
	}
	if q.Points != nil {
		if granted, err = amountOf(q.Points, "points"); err != nil || granted.Currency != money.PT {
			return nil, fault.CurrencyMismatch.New("points are in PT").WithParam("points.currency")
		}
	}
	return runErrand(ctx, h.errands, func(ctx context.Context) (*platformv1.Customer, error) {
		customer, account, err := h.openBalance(ctx, opening)
		if err != nil {
			return nil, err
		}
		wallet, err := nextStep(ctx, h.errands, "a customer's points account", func() (*balancev1.Account, error) {
			return h.openPoints(ctx, customer, granted)
		})
		if err != nil {
			return nil, err
		}
		return &platformv1.Customer{
			Id: h.ids.Encode(id.Customer, customer), CreatedAt: int64(customer.Time()), Balance: account,
			Points: wallet,
		}, nil
	})
}

// openBalance returns the customer that the caller's key stands for, and the balance account as it was opened.
func (h *platform) openBalance(ctx context.Context, opening money.Amount) (id.ID, *balancev1.Account, error) {
	c, now := rpc.From(ctx), h.clock.Now()
	owner := balance.OpenOwner{
		Key: book.Key{Tenant: c.Principal.Tenant, ID: id.ID(c.Key)}, Print: balance.Print(c.Fingerprint),
		Owner: h.fresh.New(now, c.Key.Slot()), Kind: balance.Balance, Terms: balance.Terms{Currency: opening.Currency},
		Opening: opening.Minor, EffectiveAt: now,
	}
	customer, err := firstStep(ctx, h.errands, "a customer", func() (id.ID, error) { return h.balance.Service.OpenOwner(ctx, owner) })
	if err != nil {
		return id.Nil, nil, err
	}
	m, err := nextStep(ctx, h.errands, "what the customer's account says", func() (*balancev1.Account, error) {
		return h.balance.Account(ctx, c.Principal.Tenant, customer.Facet(tcc.BalanceAccount))
	})
	if err != nil {
		return id.Nil, nil, err
	}
	m.Posted, m.Held, m.Available, m.Status = opening.Minor, 0, opening.Minor, statusOf(ledger.Open)
	return customer, m, nil
}

// openPoints opens the customer's points account and gives the first points, and returns it as that left it. The key of
// the gift is the customer's own, so that it happens once however often the request is sent.
func (h *platform) openPoints(ctx context.Context, customer id.ID, granted money.Amount) (*balancev1.Account, error) {
	c := rpc.From(ctx)
	v, err := h.points.Open(ctx, c.Principal.Tenant, customer)
	if err != nil || granted.IsZero() {
		return h.message(&v), err
	}
	key := sha256.Sum256(append([]byte("koban/first-points/1"), customer[:]...))
	who := points.Request{Tenant: c.Principal.Tenant, Key: [16]byte(key[:16]), Fingerprint: c.Fingerprint}
	g, err := h.points.Credit(ctx, who, v.ID, granted, points.Free, points.Until(h.clock.Now(), points.GrantDays))
	if err != nil {
		return nil, err
	}
	return h.message(&g.Account), nil
}

// CreateMerchant serves POST /v1/merchants: the shop names the merchant, the account that takings land on follows.
func (h *platform) CreateMerchant(ctx context.Context, q *platformv1.CreateMerchantRequest) (*platformv1.Merchant, error) {
	return h.openShop(ctx, code.Details{Name: q.Name})
}

func (h *platform) openShop(ctx context.Context, d code.Details) (*platformv1.Merchant, error) {
	return runErrand(ctx, h.errands, func(ctx context.Context) (*platformv1.Merchant, error) { return h.makeShop(ctx, d) })
}

func (h *platform) makeShop(ctx context.Context, d code.Details) (*platformv1.Merchant, error) {
	c := rpc.From(ctx)
	shop, err := firstStep(ctx, h.errands, "a merchant", func() (code.Shop, error) {
		return h.code.RegisterShop(ctx, code.Request{Tenant: c.Principal.Tenant, Key: c.Key, Fingerprint: c.Fingerprint}, d)
	})
	if err != nil {
		return nil, err
	}
	account := shop.Merchant.Facet(tcc.PayableAccount)
	_, err = nextStep(ctx, h.errands, "a merchant's account", func() (balance.Account, error) {
		return h.balance.Service.Open(ctx, c.Principal.Tenant, account, balance.Terms{Currency: money.JPY})
	})
	if err != nil {
		return nil, err
	}
	return &platformv1.Merchant{
		Id: h.ids.Encode(id.Merchant, shop.Merchant), Name: shop.Name, Payload: shop.Payload,
		Account: h.ids.Encode(id.Account, account), Key: h.key(c.Principal.Tenant, shop.Merchant), CreatedAt: int64(shop.RegisteredAt),
	}, nil
}
