package app

import (
	"context"
	"fmt"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/fault"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	pointsv1 "github.com/koban-pay/koban/gen/koban/points/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

type pointsTeller interface {
	Announce(typ uint32, body []byte, ids *id.Codec) (string, *pointsv1.PointsEvent, error)
}

func (h *platform) CreateMerchant(ctx context.Context, q *platformv1.CreateMerchantRequest) (*platformv1.Merchant, error) {
	c := rpc.From(ctx)
	x, err := h.name(ctx, c, balance.Payable, money.Yen(0))
	if err != nil {
		return nil, err
	}
	return &platformv1.Merchant{Id: h.ids.Encode(id.Merchant, x), Name: q.Name, Account: h.ids.Encode(id.Account, x.Facet(tcc.PayableAccount)), Key: h.merchants(c.Principal.Tenant, x)}, nil
}

func (a *App) welcomeShop(ctx context.Context, i int) error {
	s := demoShops[i]
	m, err := a.handlers.platform.CreateMerchant(a.asOperator(ctx, fmt.Sprintf("merchant-%d", i+1)), &platformv1.CreateMerchantRequest{Name: s.nameJA})
	if err != nil {
		return err
	}
	a.Card.Merchants[i] = CardMerchant{m.Id, m.Name, m.Payload, m.Account, m.Key}
	return nil
}

type sessions struct{}

func (sessions) CreateSession(context.Context, *codev1.CreateSessionRequest) (*codev1.Session, error) {
	return nil, fault.Unavailable.New("")
}
func (sessions) GetSession(context.Context, *codev1.GetSessionRequest) (*codev1.Session, error) {
	return nil, fault.Unavailable.New("")
}

var _ feedv1.Event
