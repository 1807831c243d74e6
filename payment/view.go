package payment

import (
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// facts are what the answer to a request is made of once the request is settled (PAY5). They do not change when the
// payment goes on: its capture, its refunds are other requests.
type facts struct {
	status   Status
	resource Resource
	at       clock.Micros
	failure  fault.Code
}

// settledFor reports whether the request that o answers has its answer.
func settledFor(o Outcome) bool {
	if o.Operation != nil {
		return o.Operation.DoneAt > 0
	}
	return o.Payment.SettledAt > 0
}

func factsOf(o Outcome) facts {
	if op := o.Operation; op != nil {
		return facts{status: op.Status, resource: resourceOf(op.Status), at: op.DoneAt, failure: op.Code}
	}
	p := o.Payment
	f := facts{status: p.SettledStatus, resource: resourceOf(p.SettledStatus), at: p.SettledAt}
	if p.SettledStatus == Failed {
		f.failure = p.Failure
	}
	return f
}

// resourceOf returns the resource that a payment has when it settles with a status.
func resourceOf(s Status) Resource {
	switch s {
	case Authorized, Captured, PartiallyRefunded:
		return Wait
	case Failed:
		return ResourceFailed
	default:
		return Completed
	}
}

// seen returns the payment as it stood at the facts, or as it stands if there are none.
func (f facts) seen(p *Payment) *Payment {
	if f.status == 0 {
		return p
	}
	c := *p
	c.ownSources()
	c.Status, c.Resource, c.UpdatedAt = f.status, f.resource, f.at
	if f.status == Authorized { // whatever was decided since
		c.Decision = Authorize
	}
	took := f.status == Captured || f.status == Succeeded
	c.Captured, c.Refunded = 0, 0
	if took {
		c.Captured = c.Amount.Minor
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		s.Captured, s.Refunded = 0, 0
		if took {
			s.Captured = s.Amount
		}
	}
	return &c
}

// expiryOf returns when the payment ends by itself unless something is decided before: it is given up, or its authorization
// lapses. Once that is decided, 0: whoever waits for the time to pass, and takes cash then, would be paid twice.
func expiryOf(v *Payment) clock.Micros {
	switch {
	case v.Status == Accepted && v.Decision == Undecided:
		return v.GiveUpAt
	case v.Status == Authorized && v.Decision == Authorize:
		return v.ExpiresAt
	default:
		return 0
	}
}

// parseTime reads a time of a filter; nil is none.
func parseTime(text *string, field string) (clock.Micros, error) {
	if text == nil {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, *text)
	if err != nil {
		t, err = time.Parse(time.DateOnly, *text)
	}
	if at := clock.FromTime(t); err == nil && at > 0 {
		return at, nil
	}
	return 0, fault.InvalidRequest.New("%q is no time since 1970; expected one such as 2026-11-30, which begins at 00:00 UTC, or "+
		"2026-11-30T09:00:00+09:00", *text).WithParam(field)
}
