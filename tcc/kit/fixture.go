package kit

import (
	"context"
	"errors"
	"iter"
	"slices"
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

	// Probe finds out what is available on an account by asking for it, for a participant that tells no balance; guess is
	// what it should be. Used where Balance is nil.
	Probe func(ctx context.Context, account id.ID, guess int64) (available int64, err error)
	// OneAccount says that Fund returns the same account each time. The checks that need two are left out.
	OneAccount bool

	Now     func() clock.Micros // the participant's time
	Advance func(time.Duration) // moves it; nil: it moves by itself
	// Wait returns when the participant's time has passed at. Used where Advance is nil; nil: the checks of deadlines are
	// left out.
	Wait func(ctx context.Context, at clock.Micros) error

	// Restart ends the participant as a crash would, and starts it again. What it returns is used from then on. Nil:
	// the checks of restarts are left out.
	Restart func(ctx context.Context) (tcc.Participant, tcc.Receiver, error)
	// Crash says that Restart may be called while calls are under way.
	Crash bool
	// Suspend forbids that anything leaves the account. Nil: there is no such thing.
	Suspend func(ctx context.Context, account id.ID) error
	// Adjust fills in what a Try or an Add needs beyond what the checks know: customer, merchant, funding. Nil: nothing.
	AdjustTry func(*tcc.TryRequest)
	AdjustAdd func(*tcc.AddRequest)

	// Deaf returns a participant whose answers get lost: early, the connection is cut as soon as the request is sent;
	// otherwise, when the answer has come. Nil: answers are dropped in this process.
	Deaf func(early bool) tcc.Participant
	// Body returns a Try as it is written on the wire, as JSON, and Send sends such a body, changed. ErrUnsayable: the wire
	// cannot carry it. Nil: there is no wire, and the checks of bad input are left out.
	Body func(tcc.TryRequest) []byte
	Send func(ctx context.Context, body []byte) error
	// Long returns two branches of a fresh payment, whose names on the wire have as many characters as they may have, and
	// differ in the last one.
	Long func() (a, b id.ID)
	// Timeout is how long a caller waits for an answer, and Stopwatch measures it. 0: the checks of timing are left out.
	Timeout   time.Duration
	Stopwatch func() clock.Micros
}

// ErrFunds is what Fixture.Fund returns, wrapped, if it has too little to fund an account: the check is left out.
var ErrFunds = errors.New("too little is left")

// ErrUnsayable is what Fixture.Send returns for a body that the wire cannot carry.
var ErrUnsayable = errors.New("the wire cannot carry this")

// Result is what one check found.
type Result struct {
	Name   string // of the check, such as "try-after-cancel"
	Group  string // of checks, such as "duplicates"
	What   string // what the contract demands, in one sentence
	Why    string // what money goes wrong if it is not so
	Fix    string // what to change
	OK     bool
	Detail string // what was found instead; or, if Skipped, what the fixture lacks
	// Skipped says that the fixture has not what the check needs, which Lacks names. OK is then false.
	Skipped bool
	Lacks   Need
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
	for r := range Each(ctx, f, Names()...) {
		out = append(out, r)
	}
	return out
}

// Each runs the named checks one after another and yields what each found, in a fixed order, until ctx ends.
func Each(ctx context.Context, f Fixture, names ...string) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		e := newExam(f)
		for _, c := range checks {
			if !slices.Contains(names, c.name) {
				continue
			}
			if ctx.Err() != nil || !yield(e.check(ctx, c)) {
				return
			}
		}
	}
}

// Names returns the names of all checks, in the order of Examine.
func Names() []string {
	out := make([]string, len(checks))
	for i, c := range checks {
		out[i] = c.name
	}
	return out
}
