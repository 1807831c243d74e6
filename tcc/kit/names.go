package kit

import (
	"context"
	"errors"
	"fmt"

	"github.com/koban-pay/koban/fault"
)

// nameChecks are about what makes two branches two.
var nameChecks = []check{
	{"two-parts", "Two parts of one payment are two branches.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		q := *p
		q.branch.ID, q.amount = p.branch.ID.Facet(2), 30
		return bothHold(ctx, p, &q)
	}},
	{
		"other-tenant", "The same branch of another tenant is another branch: what is asked of it changes nothing here.", 0,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			stranger := *p
			stranger.branch.Tenant++
			if err := errors.Join(expect(step{"try", p.try(ctx), ""}), p.holds(ctx, 40, 60)); err != nil {
				return err
			}
			if err := stranger.confirm(ctx); err == nil {
				return fmt.Errorf("a confirm of tenant %d took what tenant %d had set aside", stranger.branch.Tenant, p.branch.Tenant)
			}
			_ = stranger.cancel(ctx) // an empty cancel, or refused: it is nobody's here
			return errors.Join(p.holds(ctx, 40, 60), expect(step{"confirm", p.confirm(ctx), ""}), p.holds(ctx, 40, 0))
		},
	},
	{
		"long-ids", "Two branches whose names have 64 characters and differ in the last one are two, or both are refused with invalid_id.",
		wire | arithmetic, func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			q := *p
			q.amount = 30
			p.branch.ID, q.branch.ID = e.Long()
			if err := p.try(ctx); fault.HasCode(err, fault.InvalidID) {
				return errors.Join(expect(step{"the other try", q.try(ctx), fault.InvalidID}), p.holds(ctx, 100, 0))
			}
			return bothHold(ctx, p, &q)
		},
	},
}

// bothHold has two branches of one account hold 60 and 30 of 100, and end each in its own way.
func bothHold(ctx context.Context, p, q *part) error {
	err := expect(step{"try of 60", p.try(ctx), ""}, step{"try of 30", q.try(ctx), ""})
	if err = errors.Join(err, p.holds(ctx, 10, 90)); err != nil {
		return err
	}
	return errors.Join(expect(step{"confirm of 60", p.confirm(ctx), ""}, step{"cancel of 30", q.cancel(ctx), ""}), p.holds(ctx, 40, 0))
}
