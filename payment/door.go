package payment

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// A payment that needs a participant which is known to be away would be accepted, wait for half a minute, and be given up. It is
// put off at the door instead, and nothing is begun for it. Captures and voids are taken all the same: what they decide is never
// given up, and is done when the participant is back.

// doorProofs is how many payments a second are let in to find out whether a participant is back.
const doorProofs = breakerProofs

// admits reports whether a payment that needs the participant may come in: at any time while the breaker is closed, and as a
// proof once it has rested.
func (b *breaker) admits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true
	}
	now := b.now()
	if !b.wants(now) {
		return false
	}
	if now >= b.doorUntil {
		b.doorUntil, b.doorLeft = now+clock.Second, doorProofs
	}
	b.doorLeft--
	return b.doorLeft >= 0
}

// anyOpen reports whether any breaker is open.
func (d *Driver) anyOpen() bool {
	return slices.ContainsFunc(d.breakers[:], func(b *breaker) bool { return b != nil && !b.isClosed() })
}

// away returns a participant that must not be asked now, 0 if all may.
func (d *Driver) away(needs []Participant) Participant {
	for _, p := range needs {
		if b := d.breakers[p]; b != nil && !b.admits() {
			return p
		}
	}
	return 0
}

// needs returns whom a charge needs.
func (q *Request) needs() []Participant {
	out := []Participant{Balance} // the merchant is paid there in any case
	if slices.ContainsFunc(q.Sources, func(s Source) bool { return s.Type == FromPoints && s.Amount > 0 }) {
		out = append(out, Points)
	}
	if !q.Session.IsNil() {
		out = append(out, Code)
	}
	return out
}

// needs returns whom a refund of a charge needs; nobody, if it will be refused anyway.
func (q *RefundRequest) needs(charge *Payment) []Participant {
	minor := q.Amount.Minor
	if q.Amount == (money.Amount{}) {
		minor = left(charge)
	}
	shares, code := refundable(charge, minor)
	switch {
	case code != "" || !q.Merchant.IsNil() && charge.Merchant != q.Merchant:
		return nil
	case slices.ContainsFunc(shares, func(s share) bool { return charge.Sources[s.source].Type == FromPoints }):
		return []Participant{Balance, Points}
	}
	return []Participant{Balance}
}

// admitCharge puts off a charge that would have to wait for a participant. A key that has made a payment gets its answer.
//
// Error: fault.CircuitOpen; those of reading the key.
func (h *Handler) admitCharge(ctx context.Context, q *Request) error {
	if !h.Service.anyOpen() {
		return nil
	}
	at := id.Compose(0, id.SlotOf(q.Key.ID[:]), [9]byte{})
	return h.admit(ctx, q.Caller, at, q.needs())
}

// admitRefund is admitCharge for a refund.
func (h *Handler) admitRefund(ctx context.Context, q *RefundRequest) error {
	if !h.Service.anyOpen() {
		return nil
	}
	charge, err := h.Service.Get(ctx, q.Tenant, q.Payment)
	if err != nil {
		return err
	}
	return h.admit(ctx, q.Caller, q.Payment, q.needs(charge))
}

func (h *Handler) admit(ctx context.Context, c Caller, at id.ID, needs []Participant) error {
	known, err := h.Service.do(ctx, at, Known{c})
	if err != nil || !known.New {
		return err
	}
	who := h.Service.away(needs)
	if who == 0 {
		return nil
	}
	h.Service.counts.putOff[who].Add(1)
	return fault.CircuitOpen.New("%s does not answer and is given time to recover; nothing was begun for this request, and its key "+
		"is free: send it again after Retry-After seconds", who)
}
