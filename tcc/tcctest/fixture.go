package tcctest

import (
	"context"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Fixture is a participant and what the checks need to know of it. The checks use an account and payments of their own
// each, one after another, so one fixture serves them all.
type Fixture struct {
	Participant tcc.Participant
	Receiver    tcc.Receiver // nil: it cannot be added to
	Tenant      id.Tenant
	Currency    money.Currency

	// Fund returns a fresh account with so many minor units available: or a fresh thing to be taken whole, such as a
	// session, that fits a payment of that much. Of a participant that is split by account, all are in one part: a
	// branch is known only where its account is.
	Fund func(ctx context.Context, minor int64) (id.ID, error)
	// Balance returns what is available on an account and what is on hold there, in minor units. Nil: what it holds can
	// only be taken whole; the checks of arithmetic are left out.
	Balance func(ctx context.Context, account id.ID) (available, held int64, err error)
	// Payment returns the id of a fresh payment that pays from account.
	Payment func(account id.ID) id.ID

	Now     func() clock.Micros // the participant's time
	Advance func(time.Duration) // moves it; nil: it moves by itself

	// Restart ends the participant as a crash would, and starts it again. What it returns is used from then on. Nil:
	// the checks of restarts are left out.
	Restart func(ctx context.Context) (tcc.Participant, tcc.Receiver, error)
	// Suspend forbids that anything leaves the account. Nil: there is no such thing.
	Suspend func(ctx context.Context, account id.ID) error
	// Adjust fills in what a Try or an Add needs beyond what the checks know: customer, merchant, funding. Nil: nothing.
	AdjustTry func(*tcc.TryRequest)
	AdjustAdd func(*tcc.AddRequest)
}

// Result is what one check found.
type Result struct {
	Name   string // of the check, such as "try-after-cancel"
	What   string // what the contract demands, in one sentence
	OK     bool
	Detail string // what was found instead; or, if Skipped, what the fixture lacks
	// Skipped says that the fixture has not what the check needs. OK is then false.
	Skipped bool
}

// T is what Run needs of a test: *testing.T has it.
type T[Self any] interface {
	Helper()
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
	Run(name string, f func(Self)) bool
}

// Run examines a participant as a test with one subtest per check.
func Run[Self T[Self]](t Self, fixture func(Self) Fixture) {
	t.Helper()
	e := newExam(fixture(t))
	for _, c := range checks {
		t.Run(c.name, func(t Self) {
			t.Helper()
			switch r := e.check(context.Background(), c); {
			case r.Skipped:
				t.Logf("left out: %s", r.Detail)
			case !r.OK:
				t.Errorf("%s But: %s", r.What, r.Detail)
			}
		})
	}
}

// Examine runs every check and returns what each found, in a fixed order. It stops early, with what it has, if ctx ends.
func Examine(ctx context.Context, f Fixture) (out []Result) {
	e := newExam(f)
	for _, c := range checks {
		if ctx.Err() != nil {
			break
		}
		out = append(out, e.check(ctx, c))
	}
	return out
}
