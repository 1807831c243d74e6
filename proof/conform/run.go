package conform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/kit"
	"github.com/koban-pay/koban/tcc/wire"
)

// Options say what is examined, and what the kit may do to it.
type Options struct {
	URL      string      // of the participant: http, https, grpc or grpcs
	Header   http.Header // credentials
	Tenant   id.Tenant
	Currency money.Currency
	Accounts []string // accounts with Amount available on each, for the kit alone
	Amount   int64    // minor units
	Setup    string   // URL of the hooks that make accounts; instead of Accounts
	Add      bool     // it takes Add
	// Restart ends the service as a crash would, and starts it again. Nil: no crash is tried.
	Restart func(context.Context) error
	Timeout time.Duration // how long the platform waits for an answer
	Only    []string      // names of checks; none: all

	Clock clock.Clock // nil: the machine's
	// Advance moves the participant's clock, and Clock with it. Nil: deadlines are waited for.
	Advance func(time.Duration)
}

// MinAmount is the least that has to be available on an account that the kit works on: what its checks take, and leave
// locked if they fail.
const MinAmount = 10_000

// callLimit is how long one call may take before its outcome is unknown. It is longer than the platform waits, so that a
// slow service learns what else is wrong.
const callLimit = 30 * time.Second

// left are the checks that say nothing about who stands behind a wire: their call never leaves this process.
var left = []string{"ended-context"}

// Checks returns the names of all checks.
func Checks() []string {
	return slices.DeleteFunc(kit.Names(), func(name string) bool { return slices.Contains(left, name) })
}

// run is one examination.
type run struct {
	Options
	names *names
	ids   *id.Source
	notes *notebook
	own   *wire.Client // what is examined goes through it
	kit   *wire.Client // what the kit needs to know, through this one
	purse *purse
	hooks *hooks
}

// Run examines a participant. told hears of each check when it is over.
//
// Errors: the options do not fit together, or nobody answers at the URL. That something fails is no error.
func Run(ctx context.Context, o Options, told func(Check)) (*Report, error) {
	r, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	report := newReport(r.Options)
	names := o.Only
	if len(names) == 0 {
		names = Checks()
	}
	f := r.fixture()
	r.notes.take() // what was said until here is no evidence
	for result := range kit.Each(ctx, f, names...) {
		c := r.toCheck(result)
		report.add(c)
		if told != nil {
			told(c)
		}
		r.begin(ctx)
	}
	r.purse.leave(context.WithoutCancel(ctx)) // also if it was stopped: what the kit set aside is the service's
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("it was stopped: %w", err)
	}
	report.finish(r.notes, r.Timeout)
	return report, nil
}

func prepare(ctx context.Context, o Options) (*run, error) {
	if o.Clock == nil {
		o.Clock = clock.NewSystem()
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Tenant == 0 {
		o.Tenant = 1
	}
	switch {
	case !o.Currency.Known():
		return nil, errors.New("which currency does the account hold? Give --currency, such as PT or JPY")
	case o.Setup == "" && len(o.Accounts) == 0:
		return nil, errors.New("the kit needs value to work with: give --account and --amount, or --setup")
	case o.Setup == "" && o.Amount < MinAmount:
		return nil, fmt.Errorf("the kit needs at least %d minor units available on each account: give one with more, and --amount", MinAmount)
	}
	for _, name := range o.Only {
		if !slices.Contains(Checks(), name) {
			return nil, fmt.Errorf("there is no check %q: expected one of %s", name, strings.Join(Checks(), " "))
		}
	}
	r := &run{Options: o, names: newNames(), ids: id.NewSource(nil), notes: &notebook{}}
	var err error
	if r.own, err = r.dial("check", nil); err != nil {
		return nil, err
	}
	if r.kit, err = r.dial("kit", nil); err != nil {
		return nil, err
	}
	r.purse = &purse{run: r}
	if o.Setup != "" {
		r.hooks = newHooks(o)
		if err := r.hooks.look(ctx, r); err != nil {
			return nil, err
		}
	} else {
		for _, text := range o.Accounts {
			r.purse.pockets = append(r.purse.pockets, &pocket{account: r.names.learn(text, r.fresh()), left: o.Amount})
		}
	}
	if err := r.knock(ctx); err != nil {
		return nil, err
	}
	return r, r.purse.count(ctx)
}

// knock finds out whether anybody answers.
func (r *run) knock(ctx context.Context) error {
	p := tcc.ConfirmRequest{
		Branch: tcc.Branch{Tenant: r.Tenant, ID: r.fresh().Facet(1)}, Account: r.fresh(), Capture: 1,
		Amount: money.Of(1, r.Currency), Final: true, EffectiveAt: r.Clock.Now(),
	}
	_, err := limited{r.kit}.Confirm(ctx, p)
	for _, e := range r.notes.take() {
		if e.Status != "" {
			return nil
		}
	}
	return fmt.Errorf("nobody answers at %s: %w. Start the service, and check the address", r.URL, err)
}

// long names two branches of a fresh payment with 64 characters each, of which the last is another.
func (r *run) long() (a, b id.ID) {
	root := r.fresh()
	text := "long-name-" + r.names.Plain.Text(root)
	text += strings.Repeat("x", 62-len(text))
	return r.names.learn(text+".1", root.Facet(1)), r.names.learn(text+".2", root.Facet(2))
}

func (r *run) fresh() id.ID { return r.ids.New(r.Clock.Now(), r.ids.Slot()) }

func (r *run) dial(by string, transport http.RoundTripper) (*wire.Client, error) {
	return wire.Dial(wire.Config{
		URL: r.URL, Names: r.names, Header: r.Header, Transport: transport, Clock: r.Clock,
		Observe: func(e wire.Exchange) { r.notes.note(by, e) },
	})
}

// fixture is the participant as the kit sees it.
func (r *run) fixture() kit.Fixture {
	f := kit.Fixture{
		Participant: r.purse.watch(limited{r.own}), Tenant: r.Tenant, Currency: r.Currency,
		Fund: r.purse.fund, Probe: r.purse.probe, OneAccount: r.Setup == "" && len(r.Accounts) < 2,
		Payment: func(id.ID) id.ID { return r.fresh() },
		Now:     r.Clock.Now, Advance: r.Advance, Wait: r.wait,
		Deaf: r.deaf, Body: r.own.TryBody, Send: r.send, Long: r.long, Timeout: r.Timeout, Stopwatch: r.Clock.Now,
	}
	if r.Add {
		f.Receiver = limited{r.own}
	}
	if r.hooks != nil {
		f.Fund = r.hooks.open
		if r.hooks.has["balance"] {
			f.Balance = r.hooks.balance
		}
		if r.hooks.has["suspend"] && r.hooks.has["balance"] { // what is available cannot be asked for of who is suspended
			f.Suspend = r.hooks.suspend
		}
	}
	if r.Restart != nil {
		f.Crash = true
		f.Restart = func(ctx context.Context) (tcc.Participant, tcc.Receiver, error) {
			return f.Participant, f.Receiver, r.restart(ctx)
		}
	}
	return f
}

func (r *run) send(ctx context.Context, body []byte) error {
	ctx, stop := context.WithTimeout(ctx, callLimit)
	defer stop()
	_, err := r.own.Send(ctx, wire.Try, body)
	if errors.Is(err, wire.ErrUnsayable) {
		return kit.ErrUnsayable
	}
	return err
}

// wait returns when the time has come.
func (r *run) wait(ctx context.Context, at clock.Micros) error {
	for r.Clock.Now() <= at {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-clock.Pause(max(at.Sub(r.Clock.Now()), time.Millisecond)):
		}
	}
	return nil
}

// startLimit is how long a service may take to answer again after a restart.
const startLimit = time.Minute

// restart has the service ended and started, and waits until it answers.
func (r *run) restart(ctx context.Context) error {
	if err := r.Restart(ctx); err != nil {
		return err
	}
	r.own.Close()
	r.kit.Close()
	ctx, stop := context.WithTimeout(ctx, startLimit)
	defer stop()
	q := tcc.ConfirmRequest{
		Branch: tcc.Branch{Tenant: r.Tenant, ID: r.fresh().Facet(1)}, Account: r.fresh(), Capture: 1,
		Amount: money.Of(1, r.Currency), Final: true, EffectiveAt: r.Clock.Now(),
	}
	for {
		_, err := limited{r.kit}.Confirm(ctx, q)
		if tcc.OutcomeOf(err) != tcc.Unknown {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer after the restart: %w", err)
		case <-clock.Pause(50 * time.Millisecond):
		}
	}
}

// begin clears up after a check.
func (r *run) begin(ctx context.Context) {
	r.purse.leave(ctx)
	r.notes.take()
}

// limited is a client whose calls end after callLimit.
type limited struct{ c *wire.Client }

func (l limited) Try(ctx context.Context, q tcc.TryRequest) (tcc.Receipt, error) {
	ctx, stop := context.WithTimeout(ctx, callLimit)
	defer stop()
	return l.c.Try(ctx, q)
}

func (l limited) Confirm(ctx context.Context, q tcc.ConfirmRequest) (tcc.Receipt, error) {
	ctx, stop := context.WithTimeout(ctx, callLimit)
	defer stop()
	return l.c.Confirm(ctx, q)
}

func (l limited) Cancel(ctx context.Context, q tcc.CancelRequest) (tcc.Receipt, error) {
	ctx, stop := context.WithTimeout(ctx, callLimit)
	defer stop()
	return l.c.Cancel(ctx, q)
}

func (l limited) Add(ctx context.Context, q tcc.AddRequest) (tcc.Receipt, error) {
	ctx, stop := context.WithTimeout(ctx, callLimit)
	defer stop()
	return l.c.Add(ctx, q)
}

// insufficient reports whether err says that there is not enough.
func insufficient(err error) bool {
	return fault.HasCode(err, fault.InsufficientFunds)
}
