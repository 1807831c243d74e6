package app

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/fault"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	"github.com/koban-pay/koban/internal/feed"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/points"
)

// feeds serves koban.feed.v1.FeedService: the public events of every service, each put into words by its own service.
type feeds struct {
	by map[string]announcer
}

// announcer is one service's feed, and how an event of its journal is told.
type announcer struct {
	feed *feed.Feed
	tell func(ctx context.Context, t id.Tenant, e *feed.Event, m *feedv1.Event) error
}

// pageOfEvents is how many events a caller gets who does not say how many.
const pageOfEvents = 100

// ReadFeed serves GET /v1/feeds/{service}.
func (h *feeds) ReadFeed(ctx context.Context, q *feedv1.ReadFeedRequest) (*feedv1.ReadFeedResponse, error) {
	one, ok := h.by[q.Service]
	if !ok {
		return nil, fault.RouteNotFound.New("There is no feed of %s; there are those of payment, balance, points and code.", q.Service)
	}
	limit := int64(pageOfEvents)
	if q.Limit != nil {
		limit = *q.Limit
	}
	tenant := rpc.From(ctx).Principal.Tenant
	events, next, err := one.feed.Read(ctx, tenant, uint64(q.After), int(limit), time.Duration(q.Wait)*time.Second)
	if err != nil {
		return nil, err
	}
	out := &feedv1.ReadFeedResponse{Next: int64(next)}
	for i := range events {
		e := &events[i]
		m := &feedv1.Event{N: int64(e.N), At: int64(e.At)}
		if err := one.tell(ctx, tenant, e, m); err != nil {
			return nil, err
		}
		out.Events = append(out.Events, m)
	}
	return out, nil
}

// feedHandler returns the feeds of all services.
func (a *App) feedHandler() *feeds {
	n := a.constants.volumes
	balances, lots, codes := balance.NewMachine(0, n), points.NewMachine(0, n, nil), code.NewMachine(0, n, code.DefaultRules)
	return &feeds{map[string]announcer{
		"payment": {a.Feeds["payment"], func(ctx context.Context, t id.Tenant, e *feed.Event, m *feedv1.Event) error {
			typ, data, err := a.handlers.payment.PublicEvent(ctx, t, e.Type, e.Body)
			if err == nil {
				m.Type, m.Payment, m.Data = typ, proto.String(data.Id), &feedv1.Event_PaymentEvent{PaymentEvent: data}
			}
			return err
		}},
		"balance": {a.Feeds["balance"], func(_ context.Context, _ id.Tenant, e *feed.Event, m *feedv1.Event) error {
			typ, data, err := balances.Announce(e.Type, e.Body, a.IDs)
			m.Type, m.Data = typ, &feedv1.Event_AccountEvent{AccountEvent: data}
			return err
		}},
		"points": {a.Feeds["points"], func(_ context.Context, _ id.Tenant, e *feed.Event, m *feedv1.Event) error {
			typ, data, err := lots.Announce(e.Type, e.Body, a.IDs)
			m.Type, m.Data = typ, &feedv1.Event_PointsEvent{PointsEvent: data}
			return err
		}},
		"code": {a.Feeds["code"], func(_ context.Context, _ id.Tenant, e *feed.Event, m *feedv1.Event) error {
			typ, cause, data, err := codes.Announce(e.Type, e.Body, a.IDs)
			m.Type, m.Data = typ, &feedv1.Event_SessionEvent{SessionEvent: data}
			if !cause.IsNil() {
				m.Payment = proto.String(a.IDs.Encode(id.Payment, cause))
			}
			return err
		}},
	}}
}
