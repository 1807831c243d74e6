package points

import (
	"fmt"

	pointsv1 "github.com/koban-pay/koban/gen/koban/points/v1"
	"github.com/koban-pay/koban/internal/id"
)

// Announce returns what the public feed says of one event of the journal: its type, such as "points.granted", and its
// data. Only events that Machine.Public announces have one.
//
// Errors: the event is not understood, or is not public.
func (m *Machine) Announce(typ uint32, body []byte, ids *id.Codec) (string, *pointsv1.PointsEvent, error) {
	ev, err := m.Decode(typ, body)
	if err != nil {
		return "", nil, err
	}
	switch e := ev.(type) {
	case *opened:
		return "points.opened", announced(ids, e.Account, e.Owner, 0, 0), nil
	case *granted:
		msg := announced(ids, e.Account, e.Owner, e.Posted, e.Held)
		msg.Amount, msg.Lots = e.Lot.Amount, changes([]Part{e.Lot})
		return "points.granted", msg, nil
	case *expired:
		msg := announced(ids, e.Account, e.Owner, e.Posted, e.Held)
		msg.Amount, msg.Lots = sumParts(e.Lots), changes(e.Lots)
		return "points.expired", msg, nil
	}
	return "", nil, fmt.Errorf("points: an event of type %d is not public", typ)
}

func announced(ids *id.Codec, account, owner id.ID, posted, held int64) *pointsv1.PointsEvent {
	return &pointsv1.PointsEvent{
		Account: ids.Encode(id.Account, account), Owner: ids.Encode(id.Customer, owner), Posted: posted, Held: held, Available: posted - held,
	}
}

func changes(parts []Part) []*pointsv1.LotChange {
	return each(parts, func(p Part) *pointsv1.LotChange {
		c := &pointsv1.LotChange{Lot: p.Lot, Amount: p.Amount}
		if p.ExpiresAt != 0 {
			at := int64(p.ExpiresAt)
			c.ExpiresAt = &at
		}
		return c
	})
}
