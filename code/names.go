package code

import (
	"context"
	"sync"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// names remembers what notes say, because every session that is shown tells its shop's name. It forgets within
// namesKeep, so that what was erased is gone everywhere by then.
type names struct {
	notes Notes
	clk   clock.Clock

	mu    sync.Mutex
	known map[nameKey]known
}

type nameKey struct {
	tenant id.Tenant
	note   string
}

type known struct {
	details Details
	until   clock.Micros
}

const (
	namesKeep = clock.Minute
	namesMost = 10_000
)

// forget drops what a note said.
func (n *names) forget(tenant id.Tenant, note []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, nameKey{tenant, string(note)})
}

// details returns what a note says, and false if it was erased.
func (n *names) details(ctx context.Context, tenant id.Tenant, note []byte) (Details, bool, error) {
	k := nameKey{tenant, string(note)}
	now := n.clk.Now()
	n.mu.Lock()
	e := n.known[k]
	n.mu.Unlock()
	if now < e.until {
		return e.details, true, nil
	}
	body, ok, err := n.notes.Note(ctx, uint32(tenant), serviceName, note)
	if err != nil || !ok {
		return Details{}, false, err
	}
	d, err := decodeDetails(body)
	if err != nil {
		return Details{}, false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= namesMost {
		n.known = make(map[nameKey]known)
	}
	n.known[k] = known{d, now + namesKeep}
	return d, true, nil
}
