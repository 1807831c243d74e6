package platform

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/fault"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/points"
)

// feeds serves koban.feed.v1.FeedService: the public events of every service, each put into words by its own service.
type feeds struct {
	clock clock.Clock
	by    map[string]announcer
}

// announcer is one service's feed, and how an event of its journal is told: it fills m, and reports whether the caller may
// see it.
type announcer struct {
	feed *feed.Feed
	tell func(ctx context.Context, p *rpc.Principal, e *feed.Event, m *feedv1.Event) (bool, error)
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
	p, wait := &rpc.From(ctx).Principal, time.Duration(q.Wait)*time.Second
	if p.Role == rpc.Merchant {
		if q.Service != "payment" {
			return nil, fault.NotAllowed.New("a key of the role merchant reads the feed of payment; that of %s takes operator", q.Service)
		}
		return h.search(ctx, p, one, uint64(q.After), int(limit), wait)
	}
	events, next, err := one.feed.Read(ctx, p.Tenant, uint64(q.After), int(limit), wait)
	if err != nil {
		return nil, err
	}
	out := &feedv1.ReadFeedResponse{Next: int64(next)}
	_, err = one.show(ctx, p, events, len(events), out)
	return out, err
}

// show adds what the caller may see of the events, and returns how many events it got through until there were enough.
func (a *announcer) show(ctx context.Context, p *rpc.Principal, events []feed.Event, enough int, out *feedv1.ReadFeedResponse) (int, error) {
	for i := range events {
		if len(out.Events) == enough {
			return i, nil
		}
		e := &events[i]
		m := &feedv1.Event{N: int64(e.N), At: int64(e.At)}
		sees, err := a.tell(ctx, p, e, m)
		if err != nil {
			return i, err
		}
		if sees {
			out.Events = append(out.Events, m)
		}
	}
	return len(events), nil
}

// searchMost is how many numbers one call looks at for a caller who sees only some of them. Whoever has found nothing goes
// on after the last one.
const searchMost = 1000

// search reads the events that the caller may see out of those of its company (docs/decisions/0016). It returns as soon as
// it has found any, has looked at searchMost, or has waited.
func (h *feeds) search(ctx context.Context, p *rpc.Principal, a announcer, after uint64, limit int, wait time.Duration) (
	*feedv1.ReadFeedResponse, error,
) {
	out, end := &feedv1.ReadFeedResponse{Next: int64(after)}, h.clock.Now().Add(wait)
	for left := searchMost; left > 0 && len(out.Events) == 0; {
		events, _, err := a.feed.Read(ctx, p.Tenant, uint64(out.Next), left, max(end.Sub(h.clock.Now()), 0))
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			break
		}
		n, err := a.show(ctx, p, events, limit, out)
		if err != nil {
			return nil, err
		}
		out.Next += int64(n)
		left -= n
	}
	return out, nil
}

// feedHandler returns the feeds of all services.
func (a *App) feedHandler() *feeds {
	n := a.constants.volumes
	balances, lots, codes := balance.NewMachine(0, n), points.NewMachine(0, n, nil), code.NewMachine(0, n, code.DefaultRules)
	return &feeds{a.Clock, map[string]announcer{
		"payment": {a.Feeds["payment"], func(ctx context.Context, p *rpc.Principal, e *feed.Event, m *feedv1.Event) (bool, error) {
			typ, data, err := a.handlers.payment.PublicEvent(ctx, p, e.Type, e.Body)
			if err != nil || data == nil {
				return false, err
			}
			m.Type, m.Payment, m.Data = typ, proto.String(data.Id), &feedv1.Event_PaymentEvent{PaymentEvent: data}
			return true, nil
		}},
		"balance": {a.Feeds["balance"], func(_ context.Context, _ *rpc.Principal, e *feed.Event, m *feedv1.Event) (bool, error) {
			typ, data, err := balances.Announce(e.Type, e.Body, a.IDs)
			m.Type, m.Data = typ, &feedv1.Event_AccountEvent{AccountEvent: data}
			return true, err
		}},
		"points": {a.Feeds["points"], func(_ context.Context, _ *rpc.Principal, e *feed.Event, m *feedv1.Event) (bool, error) {
			typ, data, err := lots.Announce(e.Type, e.Body, a.IDs)
			m.Type, m.Data = typ, &feedv1.Event_PointsEvent{PointsEvent: data}
			return true, err
		}},
		"code": {a.Feeds["code"], func(_ context.Context, _ *rpc.Principal, e *feed.Event, m *feedv1.Event) (bool, error) {
			typ, cause, data, err := codes.Announce(e.Type, e.Body, a.IDs)
			m.Type, m.Data = typ, &feedv1.Event_SessionEvent{SessionEvent: data}
			if !cause.IsNil() {
				m.Payment = proto.String(a.IDs.Encode(id.Payment, cause))
			}
			return true, err
		}},
	}}
}
