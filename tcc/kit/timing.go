package kit

import (
	"context"
	"fmt"
	"time"
)

// timingChecks are about answers that come too late to be heard.
var timingChecks = []check{
	{"answers-in-time", "Every answer comes before its caller gives up waiting.", timing | arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 1000, 10)
		if err != nil {
			return err
		}
		for range 10 {
			p = e.from(p.account, 10)
			calls := []func(context.Context) error{p.try, p.confirm, p.confirm}
			if err := e.inTime(ctx, calls); err != nil {
				return err
			}
			q := e.from(p.account, 10)
			if err := e.inTime(ctx, []func(context.Context) error{q.try, q.cancel, q.cancel}); err != nil {
				return err
			}
		}
		return nil
	}},
	{
		"answers-in-time-at-once", "Every answer comes before its caller gives up waiting, also where many ask at once.", timing | arithmetic,
		func(ctx context.Context, e *exam) error {
			first, err := e.part(ctx, 100*copies, 10)
			if err != nil {
				return err
			}
			return allDone("a payment of many at once", atOnce(copies, func(int) error {
				p := e.from(first.account, 10)
				return e.inTime(ctx, []func(context.Context) error{p.try, p.cancel})
			}))
		},
	},
}

// inTime makes calls one after another, and measures each.
func (e *exam) inTime(ctx context.Context, calls []func(context.Context) error) error {
	for i, call := range calls {
		began := e.Stopwatch()
		if err := call(ctx); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
		if took := e.Stopwatch().Sub(began); took > e.Timeout {
			return fmt.Errorf("call %d took %v, and the platform waits %v", i+1, took.Round(time.Millisecond), e.Timeout)
		}
	}
	return nil
}
