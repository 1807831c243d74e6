package kit

import (
	"context"
	"errors"
	"fmt"

	"github.com/koban-pay/koban/fault"
)

// addChecks are about who can be given value.
var addChecks = []check{
	{"add-adds", "An Add adds the amount.", receiver, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"add", p.add(ctx), ""}), p.holds(ctx, 160, 0))
	}},
	{"add-duplicate", "A duplicate of an Add is done, and adds nothing more.", receiver, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"add", p.add(ctx), ""}, step{"add again", p.add(ctx), ""}), p.holds(ctx, 160, 0))
	}},
	{"add-duplicate-at-once", "Copies of an Add at the same time add once.", receiver, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		errs := atOnce(copies, func(int) error { return p.add(ctx) })
		return errors.Join(allDone("add", errs), p.holds(ctx, 160, 0))
	}},
	{"add-other-body", "Another Add under the same branch is the conflict id_reused.", receiver, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		more := *p
		more.amount = 61
		return errors.Join(expect(step{"add", p.add(ctx), ""}, step{"add of more", more.add(ctx), fault.IDReused}), p.holds(ctx, 160, 0))
	}},
	{
		"add-unknown-account", "An Add that cannot be placed is done, and the receipt says that it waits for a person.", receiver,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			nobody := *p
			nobody.account = e.Payment(p.account)
			for _, what := range []string{"the add", "the add again"} {
				r, err := e.Receiver.Add(ctx, nobody.addRequest())
				switch {
				case err != nil:
					return fmt.Errorf("%s to an account that does not exist: %w, should be done, with suspense", what, err)
				case !r.Suspense:
					return fmt.Errorf("%s to an account that does not exist was done, and the receipt does not say suspense", what)
				}
			}
			return p.holds(ctx, 100, 0)
		},
	},
	{"restart-add", "A restart does not forget an Add.", receiver | restart, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		if err := e.walk(ctx, step{"add", nil, ""}, p.add, step{"add", nil, ""}, p.add); err != nil {
			return err
		}
		return p.holds(ctx, 160, 0)
	}},
}
