package tcctest

import (
	"context"
	"errors"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// deadlineChecks are about what passes with time, and what must not.
var deadlineChecks = []check{
	{"cancel-after-deadline", "A Cancel that arrives after the deadline of its Try lets go.", advance, func(ctx context.Context, e *exam) error {
		p, err := e.expiring(ctx, 100, 60)
		if err != nil {
			return err
		}
		if err := errors.Join(expect(step{"try", p.try(ctx), ""}), p.expire(ctx)); err != nil {
			return err
		}
		return errors.Join(expect(step{"cancel", p.cancel(ctx), ""}), p.holds(ctx, 100, 0))
	}},
	{"tombstone-lasts", "A Cancel whose Try never came is remembered until the deadline of that Try.", advance,
		func(ctx context.Context, e *exam) error {
			p, err := e.expiring(ctx, 100, 60)
			if err != nil {
				return err
			}
			if err := errors.Join(expect(step{"empty cancel", p.cancel(ctx), ""}), p.nearly(ctx)); err != nil {
				return err
			}
			return errors.Join(expect(step{"late try", p.try(ctx), fault.TryAfterCancel}), p.holds(ctx, 100, 0))
		}},
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
