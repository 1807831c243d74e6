package kit

import (
	"context"
	"errors"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// deadlineChecks are about what passes with time, and what must not.
var deadlineChecks = []check{
	{"cancel-after-deadline", "A Cancel that arrives after the deadline of its Try lets go.", advance, func(ctx context.Context, e *exam) error {
		p, err := e.expiring(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(expect(step{"try", p.try(ctx), ""}), p.expire(ctx)); err != nil {
			return err
		}
		return errors.Join(expect(step{"cancel", p.cancel(ctx), ""}), p.holds(ctx, 100, 0))
	}},
	{
		"tombstone-lasts", "A Cancel whose Try never came is remembered until the deadline of that Try.", advance,
		func(ctx context.Context, e *exam) error {
			p, err := e.expiring(ctx)
			if err != nil {
				return err
			}
			if err := errors.Join(expect(step{"empty cancel", p.cancel(ctx), ""}), p.nearly(ctx)); err != nil {
				return err
			}
			return errors.Join(expect(step{"late try", p.try(ctx), fault.TryAfterCancel}), p.holds(ctx, 100, 0))
		},
	},
	{"clock-agrees", "Its clock is within ten seconds of the caller's.", 0, func(ctx context.Context, e *exam) error {
		early, err := e.part(ctx, 100, 30)
		if err != nil {
			return err
		}
		late := e.from(early.account, 30)
		now := e.Now()
		early.until, late.until = now+10*clock.Second, now-10*clock.Second
		return expect(step{"try with ten seconds left", early.try(ctx), ""}, step{"try ten seconds late", late.try(ctx), fault.TryTooLate})
	}},
}

// brief is how long a Try is welcome where its deadline is waited for, and slack how long before or after that is safe.
const (
	brief = 4 * clock.Second
	slack = clock.Second
)

// expiring returns a payment of 60 from an account with 100, whose deadline can be let pass.
func (e *exam) expiring(ctx context.Context) (*part, error) {
	p, err := e.part(ctx, 100, 60)
	if err == nil && e.Advance == nil {
		p.made = e.Now()
		p.until = p.made + brief
	}
	return p, err
}

// nearly lets time pass until shortly before p's deadline.
func (p *part) nearly(ctx context.Context) error {
	if p.Advance == nil {
		return p.Wait(ctx, p.until-2*slack)
	}
	p.Advance((p.until - p.Now() - slack).Sub(0))
	return nil
}

// expire lets p's deadline pass, by far if that costs nothing.
func (p *part) expire(ctx context.Context) error {
	if p.Advance == nil {
		return p.Wait(ctx, p.until+slack)
	}
	p.Advance(margin)
	return nil
}
