package kit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// restartChecks are about crashes.
var restartChecks = []check{
	{
		"restart-confirm", "A restart between any two verbs on the way to a Confirm changes no answer.", restart,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 1000, 60)
			if err != nil {
				return err
			}
			if err := e.walk(ctx, step{"try", nil, ""}, p.try, step{"try", nil, ""}, p.try, step{"confirm", nil, ""}, p.confirm,
				step{"confirm", nil, ""}, p.confirm, step{"cancel", nil, fault.AlreadyConfirmed}, p.cancel, step{"try", nil, ""}, p.try); err != nil {
				return err
			}
			return p.holds(ctx, 940, 0)
		},
	},
	{
		"restart-cancel", "A restart between any two verbs on the way to a Cancel changes no answer.", restart,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 1000, 60)
			if err != nil {
				return err
			}
			if err := e.walk(ctx, step{"try", nil, ""}, p.try, step{"cancel", nil, ""}, p.cancel, step{"cancel", nil, ""}, p.cancel,
				step{"confirm", nil, fault.AlreadyCancelled}, p.confirm); err != nil {
				return err
			}
			return p.holds(ctx, 1000, 0)
		},
	},
	{"restart-refused", "A restart does not turn a refusal into a success.", restart, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 100)
		if err != nil {
			return err
		}
		late := e.from(p.account, 100)
		if err := expect(step{"try", p.try(ctx), ""}); err != nil {
			return err
		}
		first := late.try(ctx)
		if tcc.OutcomeOf(first) != tcc.Refused {
			return fmt.Errorf("a try of what is on hold ended with %v, should be refused", first)
		}
		if err := errors.Join(expect(step{"cancel", p.cancel(ctx), ""}), e.restart(ctx)); err != nil {
			return err
		}
		return expect(step{"the refused try again", late.try(ctx), fault.Of(first).Code})
	}},
	{"restart-tombstone", "A restart does not forget a Cancel whose Try never came.", restart, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		if err := e.walk(ctx, step{"empty cancel", nil, ""}, p.cancel, step{"late try", nil, fault.TryAfterCancel}, p.try); err != nil {
			return err
		}
		return p.holds(ctx, 100, 0)
	}},
	{"restart-under-load", "Of payments that are under way when it crashes, none is lost and none is done twice.", restart | crash | arithmetic, underLoad},
}

// underLoad crashes the participant while payments are under way, and goes on with each from where it was.
func underLoad(ctx context.Context, e *exam) error {
	account, err := e.Fund(ctx, 100*copies)
	if err != nil {
		return fmt.Errorf("the fixture cannot fund an account: %w", err)
	}
	parts := make([]*part, copies)
	for i := range parts {
		parts[i] = e.from(account, 10)
	}
	tried := make([]error, copies)
	var under sync.WaitGroup
	var answers atomic.Int32
	answered := make(chan struct{})
	for i, p := range parts {
		under.Go(func() {
			tried[i] = p.try(ctx)
			if answers.Add(1) == copies/5 {
				close(answered)
			}
			if tried[i] == nil {
				_ = p.confirm(ctx) // whatever it was, it is asked again
			}
		})
	}
	<-answered
	err = e.restart(ctx)
	under.Wait()
	if err != nil {
		return err
	}
	for i, p := range parts {
		p.exam = e // as it is after the restart
		if tried[i] != nil {
			if tried[i] = settled(ctx, p.try); tried[i] != nil {
				return fmt.Errorf("a try that was under way: %w", tried[i])
			}
		}
		if err := settled(ctx, p.confirm); err != nil {
			return fmt.Errorf("the confirm of a try that was done: %w", err)
		}
	}
	return parts[0].holds(ctx, 100*copies-10*copies, 0)
}

// walk restarts the participant after each call. calls are steps and functions, in turn.
func (e *exam) walk(ctx context.Context, calls ...any) error {
	for i := 0; i < len(calls); i += 2 {
		s := calls[i].(step)
		s.err = calls[i+1].(func(context.Context) error)(ctx)
		if err := errors.Join(expect(s), e.restart(ctx)); err != nil {
			return err
		}
	}
	return nil
}
