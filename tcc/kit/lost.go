package kit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// lostChecks are about answers that nobody hears. Whoever hears nothing asks again with the same request; the answer has
// to be the one that was lost.
var lostChecks = []check{
	{
		"lost-try", "A Try whose answer was lost is done when it comes again, and has set the amount aside once.", 0,
		func(ctx context.Context, e *exam) error {
			return e.lose(ctx, func(p, deaf *part) error {
				_ = deaf.try(ctx) // nobody heard
				return errors.Join(expect(step{"try again", settled(ctx, p.try), ""}, step{"and again", p.try(ctx), ""}), p.holds(ctx, 140, 60))
			})
		},
	},
	{
		"lost-confirm", "A Confirm whose answer was lost is done when it comes again, and has taken the amount once.", 0,
		func(ctx context.Context, e *exam) error {
			return e.lose(ctx, func(p, deaf *part) error {
				if err := expect(step{"try", p.try(ctx), ""}); err != nil {
					return err
				}
				_ = deaf.confirm(ctx) // nobody heard
				return errors.Join(expect(step{"confirm again", settled(ctx, p.confirm), ""}, step{"and again", p.confirm(ctx), ""}), p.holds(ctx, 140, 0))
			})
		},
	},
	{
		"lost-cancel", "A Cancel whose answer was lost is done when it comes again, and has let go once.", 0,
		func(ctx context.Context, e *exam) error {
			return e.lose(ctx, func(p, deaf *part) error {
				if err := expect(step{"try", p.try(ctx), ""}); err != nil {
					return err
				}
				_ = deaf.cancel(ctx) // nobody heard
				return errors.Join(expect(step{"cancel again", settled(ctx, p.cancel), ""}, step{"and again", p.cancel(ctx), ""}), p.holds(ctx, 200, 0))
			})
		},
	},
	{
		"lost-refusal", "A Try whose refusal was lost is refused in the same way when it comes again.", arithmetic,
		func(ctx context.Context, e *exam) error {
			return e.lose(ctx, func(p, deaf *part) error {
				p.amount, deaf.amount = 500, 500
				_ = deaf.try(ctx) // nobody heard
				return errors.Join(expect(step{"try again", settled(ctx, p.try), fault.InsufficientFunds},
					step{"cancel", p.cancel(ctx), ""}), p.holds(ctx, 200, 0))
			})
		},
	},
	{"ended-context", "A caller whose time is up hears no refusal, and may ask again.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := p.try(gone); tcc.OutcomeOf(err) == tcc.Refused {
			return fmt.Errorf("the try was refused: %w", err)
		}
		return errors.Join(expect(step{"try again", p.try(ctx), ""}), p.holds(ctx, 40, 60))
	}},
}

// lose runs a scene twice: the connection is cut once the request is sent, and once the answer has come.
func (e *exam) lose(ctx context.Context, scene func(p, deaf *part) error) error {
	for _, early := range []bool{false, true} {
		p, err := e.part(ctx, 200, 60)
		if err != nil {
			return err
		}
		when := "when the answer had come"
		if early {
			when = "as soon as the request was sent"
		}
		if err := scene(p, p.through(e.deaf(early))); err != nil {
			return fmt.Errorf("the connection was cut %s: %w", when, err)
		}
	}
	return nil
}

func (e *exam) deaf(early bool) tcc.Participant {
	if e.Deaf == nil {
		return dropping{e.Participant}
	}
	return e.Deaf(early)
}

// dropping is a participant whose answers get lost in this process.
type dropping struct{ to tcc.Participant }

func (d dropping) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	return dropped(d.to.Try(ctx, r))
}

func (d dropping) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	return dropped(d.to.Confirm(ctx, r))
}

func (d dropping) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	return dropped(d.to.Cancel(ctx, r))
}

func dropped(tcc.Receipt, error) (tcc.Receipt, error) {
	return tcc.Receipt{}, fault.Unavailable.New("the answer got lost")
}

// through returns p as it is with another participant in front.
func (p *part) through(other tcc.Participant) *part {
	e, q := *p.exam, *p
	e.Participant = other
	q.exam = &e
	return &q
}

// settled calls until the outcome is known, as a coordinator does, and returns it.
func settled(ctx context.Context, call func(context.Context) error) (err error) {
	for range 40 {
		if err = call(ctx); tcc.OutcomeOf(err) != tcc.Unknown {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-clock.Pause(50 * time.Millisecond):
		}
	}
	return err
}
