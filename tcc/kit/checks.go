package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// checks are all demands, in the order in which they are examined.
var checks = slices.Concat(tryChecks, confirmChecks, cancelChecks, nameChecks, deadlineChecks, restartChecks, lostChecks, inputChecks, timingChecks, addChecks)

var tryChecks = []check{
	{"try-sets-aside", "A Try sets the amount aside.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}), p.holds(ctx, 40, 60))
	}},
	{"try-duplicate", "A duplicate of a Try that was done is done, and sets nothing more aside.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 200, 60)
		if err != nil {
			return err
		}
		for range 3 {
			if err := expect(step{"try", p.try(ctx), ""}); err != nil {
				return err
			}
		}
		return p.holds(ctx, 140, 60)
	}},
	{"try-duplicate-at-once", "Copies of a Try at the same time set the amount aside once.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100*copies, 60)
		if err != nil {
			return err
		}
		errs := atOnce(copies, func(int) error { return p.try(ctx) })
		return errors.Join(allDone("try", errs), p.holds(ctx, 100*copies-60, 60))
	}},
	{"try-exact", "A Try of all that is available is done.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 100)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}), p.holds(ctx, 0, 100))
	}},
	{
		"try-one-too-many", "A Try of one unit more than is available is refused with insufficient_funds, and sets nothing aside.", arithmetic,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 101)
			if err != nil {
				return err
			}
			return errors.Join(expect(step{"try", p.try(ctx), fault.InsufficientFunds}), p.holds(ctx, 100, 0))
		},
	},
	{"try-counts-holds", "What is on hold is not available to another payment.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		over, exact := e.from(p.account, 41), e.from(p.account, 40)
		return errors.Join(expect(step{"first try", p.try(ctx), ""}, step{"try of one too many", over.try(ctx), fault.InsufficientFunds},
			step{"try of the rest", exact.try(ctx), ""}), p.holds(ctx, 0, 100))
	}},
	{"try-refused-duplicate", "A duplicate of a refused Try is refused in the same way, even if it could be done by now.", 0, refusedStaysRefused},
	{"try-other-body", "Another Try under the same branch is the conflict id_reused.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 1000, 60)
		if err != nil {
			return err
		}
		more := *p
		more.amount = 61
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"try of more", more.try(ctx), fault.IDReused}), p.holds(ctx, 940, 60))
	}},
	{
		"try-other-account", "A Try from another account under the same branch is the conflict id_reused.", accounts,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 1000, 60)
			if err != nil {
				return err
			}
			other := *p
			if other.account, err = e.Fund(ctx, 1000); err != nil {
				return err
			}
			return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"try from another account", other.try(ctx), fault.IDReused}),
				p.holds(ctx, 940, 60), other.holds(ctx, 1000, 0))
		},
	},
	{"try-unknown-account", "A Try from an account that does not exist is refused, each time.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		p.account = e.Payment(p.account)
		return errors.Join(refusal("the try", p.try(ctx)), refusal("the try again", p.try(ctx)))
	}},
	{
		"try-other-currency", "A Try in a currency that the account does not hold is refused, and sets nothing aside.", arithmetic,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			foreign, mine := *p, p.Currency
			other := *p.exam
			if other.Currency = money.USD; mine == money.USD {
				other.Currency = money.JPY
			}
			foreign.exam = &other
			return errors.Join(refusal("the try", foreign.try(ctx)), p.holds(ctx, 100, 0))
		},
	},
	{"try-too-late", "A Try that arrives after its deadline is refused with try_too_late.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		p.until = e.Now() - longEnough
		return errors.Join(expect(step{"try", p.try(ctx), fault.TryTooLate}, step{"try again", p.try(ctx), fault.TryTooLate},
			step{"cancel", p.cancel(ctx), ""}), p.holds(ctx, 100, 0))
	}},
	{
		"try-last-units", "Of 100 payments that want the last 100 units at once, one gets them and the others are refused.", 0,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 100)
			if err != nil {
				return err
			}
			errs := atOnce(100, func(int) error { return e.from(p.account, 100).try(ctx) })
			return errors.Join(oneWins(errs, 1), p.holds(ctx, 0, 100))
		},
	},
	{"try-no-overdraw", "Payments at once never get more than there is, nor less.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 255, 10)
		if err != nil {
			return err
		}
		errs := atOnce(copies, func(int) error { return e.from(p.account, 10).try(ctx) })
		return errors.Join(oneWins(errs, 25), p.holds(ctx, 5, 250))
	}},
}

// refusedStaysRefused has a Try refused for want of what another payment holds, lets that go, and asks again.
func refusedStaysRefused(ctx context.Context, e *exam) error {
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
	return errors.Join(expect(step{"cancel", p.cancel(ctx), ""}, step{"the refused try again", late.try(ctx), fault.Of(first).Code}),
		p.holds(ctx, 100, 0))
}

var confirmChecks = []check{
	{"confirm-takes", "A Confirm takes what was set aside.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm", p.confirm(ctx), ""}), p.holds(ctx, 40, 0))
	}},
	{"confirm-duplicate", "A duplicate of a Confirm is done, and takes nothing more.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 1000, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm", p.confirm(ctx), ""}, step{"confirm again", p.confirm(ctx), ""},
			step{"and again", p.confirm(ctx), ""}), p.holds(ctx, 940, 0))
	}},
	{"confirm-duplicate-at-once", "Copies of a Confirm at the same time take the amount once.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100*copies, 60)
		if err != nil {
			return err
		}
		if err := expect(step{"try", p.try(ctx), ""}); err != nil {
			return err
		}
		errs := atOnce(copies, func(int) error { return p.confirm(ctx) })
		return errors.Join(allDone("confirm", errs), p.holds(ctx, 100*copies-60, 0))
	}},
	{
		"try-after-confirm", "A duplicate of the Try that arrives after the Confirm is done, and sets nothing aside.", 0,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 1000, 60)
			if err != nil {
				return err
			}
			return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm", p.confirm(ctx), ""}, step{"late try", p.try(ctx), ""}),
				p.holds(ctx, 940, 0))
		},
	},
	{"confirm-without-try", "A Confirm whose Try never came is refused with not_tried.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"confirm", p.confirm(ctx), fault.NotTried}), p.holds(ctx, 100, 0))
	}},
	{"confirm-capture-zero", "A Confirm of capture 0 is refused, and takes nothing: captures are numbered from 1.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(refusal("confirm without a try", p.capture(ctx, 0, 60, true)), expect(step{"try", p.try(ctx), ""}),
			refusal("confirm", p.capture(ctx, 0, 60, true)), expect(step{"cancel", p.cancel(ctx), ""}), p.holds(ctx, 100, 0))
	}},
	{"confirm-after-refused-try", "A Confirm of a refused Try is refused with not_tried.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 101)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), fault.InsufficientFunds}, step{"confirm", p.confirm(ctx), fault.NotTried}),
			p.holds(ctx, 100, 0))
	}},
	{"confirm-after-cancel", "A Confirm after the Cancel is refused with already_cancelled.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"cancel", p.cancel(ctx), ""},
			step{"confirm", p.confirm(ctx), fault.AlreadyCancelled}), p.holds(ctx, 100, 0))
	}},
	{"confirm-in-part", "A final Confirm of a part takes that part and lets the rest go.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm 25, final", p.capture(ctx, 1, 25, true), ""}), p.holds(ctx, 75, 0))
	}},
	{"confirm-in-parts", "Captures take their parts, each once; the final one lets the rest go; none comes after it.", arithmetic, inParts},
	{
		"confirm-too-much", "A Confirm of more than is held is refused with exceeds_hold, and takes nothing.", arithmetic,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm 61", p.capture(ctx, 1, 61, true), fault.ExceedsHold}),
				p.holds(ctx, 40, 60))
		},
	},
	{
		"confirm-too-much-in-parts", "A capture of more than the earlier ones left is refused with exceeds_hold, and takes nothing.", arithmetic,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"capture 1 of 40", p.capture(ctx, 1, 40, false), ""},
				step{"capture 2 of 21", p.capture(ctx, 2, 21, true), fault.ExceedsHold}, step{"capture 3 of 20", p.capture(ctx, 3, 20, true), ""}),
				p.holds(ctx, 40, 0))
		},
	},
	{"confirm-other-body", "Another Confirm under the same capture is the conflict id_reused.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm 20", p.capture(ctx, 1, 20, false), ""},
			step{"confirm 21", p.capture(ctx, 1, 21, false), fault.IDReused}), p.holds(ctx, 40, 40))
	}},
	{"confirm-after-deadline", "Once the Try was done, no expiry stops the Confirm.", advance, func(ctx context.Context, e *exam) error {
		p, err := e.expiring(ctx)
		if err != nil {
			return err
		}
		if err := expect(step{"try", p.try(ctx), ""}); err != nil {
			return err
		}
		if err := p.expire(ctx); err != nil {
			return err
		}
		return errors.Join(expect(step{"confirm", p.confirm(ctx), ""}), p.holds(ctx, 40, 0))
	}},
	{"confirm-after-suspension", "Once the Try was done, no suspension stops the Confirm.", suspend, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"suspend", e.Suspend(ctx, p.account), ""},
			step{"confirm", p.confirm(ctx), ""}), p.holds(ctx, 40, 0))
	}},
}

func inParts(ctx context.Context, e *exam) error {
	p, err := e.part(ctx, 100, 60)
	if err != nil {
		return err
	}
	err = expect(step{"try", p.try(ctx), ""}, step{"capture 1 of 20", p.capture(ctx, 1, 20, false), ""},
		step{"capture 1 again", p.capture(ctx, 1, 20, false), ""})
	if err = errors.Join(err, p.holds(ctx, 40, 40)); err != nil {
		return err
	}
	return errors.Join(expect(step{"capture 2 of 30, final", p.capture(ctx, 2, 30, true), ""},
		step{"capture 2 again", p.capture(ctx, 2, 30, true), ""}, step{"capture 3", p.capture(ctx, 3, 10, false), fault.HoldEnded}),
		p.holds(ctx, 50, 0))
}

var cancelChecks = []check{
	{"cancel-lets-go", "A Cancel lets go of what was set aside.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 100)
		if err != nil {
			return err
		}
		next := e.from(p.account, 100)
		return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"cancel", p.cancel(ctx), ""}), p.holds(ctx, 100, 0),
			expect(step{"another payment's try", next.try(ctx), ""}))
	}},
	{"cancel-duplicate", "A duplicate of a Cancel is done, and lets nothing more go.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 30)
		if err != nil {
			return err
		}
		other := e.from(p.account, 30)
		steps := []step{{"try", p.try(ctx), ""}}
		if e.Balance != nil || e.Probe != nil { // so that there is something to be let go wrongly
			steps = append(steps, step{"another payment's try", other.try(ctx), ""})
		}
		for range 3 {
			steps = append(steps, step{"cancel", p.cancel(ctx), ""})
		}
		return errors.Join(expect(steps...), p.holds(ctx, 70, 30))
	}},
	{"cancel-duplicate-at-once", "Copies of a Cancel at the same time let go once.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 30)
		if err != nil {
			return err
		}
		if err := expect(step{"try", p.try(ctx), ""}); err != nil {
			return err
		}
		errs := atOnce(copies, func(int) error { return p.cancel(ctx) })
		return errors.Join(allDone("cancel", errs), p.holds(ctx, 100, 0))
	}},
	{"cancel-empty", "A Cancel whose Try never came is done.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		return errors.Join(expect(step{"cancel", p.cancel(ctx), ""}, step{"cancel again", p.cancel(ctx), ""}), p.holds(ctx, 100, 0))
	}},
	{"cancel-refused-try", "A Cancel of a refused Try is done.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 100)
		if err != nil {
			return err
		}
		late := e.from(p.account, 100)
		if err := expect(step{"try", p.try(ctx), ""}); err != nil {
			return err
		}
		if err := late.try(ctx); tcc.OutcomeOf(err) != tcc.Refused {
			return fmt.Errorf("a try of what is on hold ended with %v, should be refused", err)
		}
		return errors.Join(expect(step{"cancel", late.cancel(ctx), ""}, step{"cancel again", late.cancel(ctx), ""}), p.holds(ctx, 0, 100))
	}},
	{
		"cancel-refused-try-elsewhere", "A Cancel of a refused Try is done also if it names another account: nothing was set aside.", accounts,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 100)
			if err != nil {
				return err
			}
			other := *e.from(p.account, 100)
			late := other
			if other.account, err = e.Fund(ctx, 100); err != nil {
				return err
			}
			if err := expect(step{"try", p.try(ctx), ""}); err != nil {
				return err
			}
			if err := late.try(ctx); tcc.OutcomeOf(err) != tcc.Refused {
				return fmt.Errorf("a try of what is on hold ended with %v, should be refused", err)
			}
			return errors.Join(expect(step{"cancel on another account", other.cancel(ctx), ""}), p.holds(ctx, 0, 100), other.holds(ctx, 100, 0))
		},
	},
	{
		"confirm-tombstone-elsewhere", "A Confirm after an empty Cancel is refused with already_cancelled, whichever account it names.", accounts,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			other := *p
			if other.account, err = e.Fund(ctx, 100); err != nil {
				return err
			}
			return errors.Join(expect(step{"empty cancel", p.cancel(ctx), ""},
				step{"confirm on another account", other.confirm(ctx), fault.AlreadyCancelled}), p.holds(ctx, 100, 0), other.holds(ctx, 100, 0))
		},
	},
	{
		"try-after-cancel", "A Try that arrives after its Cancel is refused with try_after_cancel, and sets nothing aside.", 0,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			return errors.Join(expect(step{"empty cancel", p.cancel(ctx), ""}, step{"late try", p.try(ctx), fault.TryAfterCancel},
				step{"late try again", p.try(ctx), fault.TryAfterCancel}), p.holds(ctx, 100, 0))
		},
	},
	{
		"try-long-after-cancel", "A Try that arrives long after its Cancel and its deadline is refused.", advance,
		func(ctx context.Context, e *exam) error {
			p, err := e.expiring(ctx)
			if err != nil {
				return err
			}
			if err := errors.Join(expect(step{"empty cancel", p.cancel(ctx), ""}), p.expire(ctx)); err != nil {
				return err
			}
			if err := p.try(ctx); tcc.OutcomeOf(err) != tcc.Refused {
				return fmt.Errorf("the late try ended with %v, should be refused", err)
			}
			return p.holds(ctx, 100, 0)
		},
	},
	{"try-after-try-and-cancel", "A duplicate of the Try that arrives after both sets nothing aside.", 0, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		if err := expect(step{"try", p.try(ctx), ""}, step{"cancel", p.cancel(ctx), ""}); err != nil {
			return err
		}
		if err := p.try(ctx); tcc.OutcomeOf(err) == tcc.Unknown {
			return fmt.Errorf("the duplicate ended with %w: its outcome is known, and has to be told", err)
		}
		return p.holds(ctx, 100, 0)
	}},
	{
		"cancel-after-confirm", "A Cancel after the Confirm is refused with already_confirmed, and gives nothing back.", 0,
		func(ctx context.Context, e *exam) error {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			return errors.Join(expect(step{"try", p.try(ctx), ""}, step{"confirm", p.confirm(ctx), ""},
				step{"cancel", p.cancel(ctx), fault.AlreadyConfirmed}), p.holds(ctx, 40, 0))
		},
	},
	{"cancel-after-part", "A Cancel after a capture that was not final is refused with already_confirmed, and changes nothing; the rest " +
		"stays on hold until a final capture.", arithmetic, func(ctx context.Context, e *exam) error {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		err = expect(step{"try", p.try(ctx), ""}, step{"capture 1 of 20", p.capture(ctx, 1, 20, false), ""},
			step{"cancel", p.cancel(ctx), fault.AlreadyConfirmed})
		if err = errors.Join(err, p.holds(ctx, 40, 40)); err != nil {
			return err
		}
		return errors.Join(expect(step{"capture 2 of 10, final", p.capture(ctx, 2, 10, true), ""}), p.holds(ctx, 70, 0))
	}},
	{"confirm-or-cancel", "Of a Confirm and a Cancel at once, one wins and the other is refused.", 0, confirmOrCancel},
	{"try-and-cancel", "Of a Try and its Cancel at once, nothing stays on hold.", 0, func(ctx context.Context, e *exam) error {
		for range 20 {
			p, err := e.part(ctx, 100, 60)
			if err != nil {
				return err
			}
			errs := atOnce(2, func(i int) error {
				if i == 0 {
					if err := p.try(ctx); err != nil && !fault.HasCode(err, fault.TryAfterCancel) {
						return err
					}
					return nil
				}
				return p.cancel(ctx)
			})
			if err := errors.Join(allDone("try and cancel", errs), p.holds(ctx, 100, 0)); err != nil {
				return err
			}
		}
		return nil
	}},
}

func confirmOrCancel(ctx context.Context, e *exam) error {
	for range 20 {
		p, err := e.part(ctx, 100, 60)
		if err != nil {
			return err
		}
		if err := expect(step{"try", p.try(ctx), ""}); err != nil {
			return err
		}
		errs := atOnce(10, func(i int) error {
			if i%2 == 0 {
				return p.confirm(ctx)
			}
			return p.cancel(ctx)
		})
		left := int64(100)
		if errs[0] == nil {
			left = 40
		}
		for i, err := range errs {
			if (err == nil) != (errs[0] == nil) == (i%2 == 0) {
				return fmt.Errorf("both a confirm and a cancel were done, or neither: %v", errs)
			}
		}
		if err := errors.Join(oneWins(errs, 5), p.holds(ctx, left, 0)); err != nil {
			return err
		}
	}
	return nil
}
