package kit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Need names something that a check asks of a fixture.
type Need string

// The needs.
const (
	NeedBalance  Need = "balance"  // what is available can be known
	NeedRestart  Need = "restart"  // it can be restarted
	NeedCrash    Need = "crash"    // it can be restarted while it works
	NeedTime     Need = "time"     // deadlines can be let pass
	NeedSuspend  Need = "suspend"  // an account can be suspended
	NeedReceiver Need = "receiver" // it can be added to
	NeedAccounts Need = "accounts" // there are two accounts
	NeedWire     Need = "wire"     // a request can be sent as bytes
	NeedTimeout  Need = "timeout"  // a caller's patience is known
	NeedFunds    Need = "funds"    // an account has enough on it
	NeedJSON     Need = "json"     // the wire can carry what no wire of types can
)

// needs are what a check asks of a fixture.
type needs uint16

const (
	arithmetic needs = 1 << iota
	restart
	crash
	advance
	suspend
	receiver
	accounts
	wire
	timing
)

// missing returns what f lacks of n, and says so.
func (n needs) missing(f Fixture) (Need, string) {
	for _, m := range []struct {
		need  needs
		lacks bool
		name  Need
		text  string
	}{
		{arithmetic, f.Balance == nil && f.Probe == nil, NeedBalance, "it can only be taken whole"},
		{restart, f.Restart == nil, NeedRestart, "it cannot be restarted"},
		{crash, !f.Crash, NeedCrash, "it cannot be restarted while it works"},
		{advance, f.Advance == nil && f.Wait == nil, NeedTime, "its time cannot be moved"},
		{suspend, f.Suspend == nil, NeedSuspend, "no account can be suspended"},
		{receiver, f.Receiver == nil, NeedReceiver, "it cannot be added to"},
		{accounts, f.OneAccount, NeedAccounts, "there is one account only"},
		{wire, f.Send == nil || f.Body == nil || f.Long == nil, NeedWire, "there is no wire"},
		{timing, f.Timeout == 0 || f.Stopwatch == nil, NeedTimeout, "nobody waits for its answers"},
	} {
		if n&m.need != 0 && m.lacks {
			return m.name, m.text
		}
	}
	return "", ""
}

// check is one demand of the contract.
type check struct {
	name  string
	what  string
	needs needs
	run   func(context.Context, *exam) error
}

// exam is a fixture under examination.
type exam struct{ Fixture }

func newExam(f Fixture) *exam { return &exam{f} }

func (e *exam) check(ctx context.Context, c check) Result {
	a := advices[c.name]
	r := Result{Name: c.name, Group: a.group, What: c.what, Why: a.why, Fix: a.fix}
	if r.Lacks, r.Detail = c.needs.missing(e.Fixture); r.Lacks != "" {
		r.Skipped = true
		return r
	}
	switch err := c.run(ctx, e); {
	case errors.Is(err, ErrUnsayable):
		r.Skipped, r.Lacks, r.Detail = true, NeedJSON, "its wire cannot carry such a request"
		return r
	case errors.Is(err, ErrFunds):
		r.Skipped, r.Lacks, r.Detail = true, NeedFunds, err.Error()
		return r
	case err != nil:
		r.Detail = err.Error()
		return r
	}
	r.OK = true
	return r
}

// part is one account and one payment that takes from it.
type part struct {
	*exam
	account id.ID
	branch  tcc.Branch
	amount  int64
	made    clock.Micros // EffectiveAt
	until   clock.Micros // NotAfter
}

// longEnough is how long a Try is welcome where a check does not say otherwise.
const longEnough = clock.Hour

// part returns a fresh payment of amount from a fresh account with so much on it.
func (e *exam) part(ctx context.Context, funded, amount int64) (*part, error) {
	account, err := e.Fund(ctx, funded)
	if err != nil {
		return nil, fmt.Errorf("the fixture cannot fund an account: %w", err)
	}
	return e.from(account, amount), nil
}

// from returns a fresh payment from account.
func (e *exam) from(account id.ID, amount int64) *part {
	now := e.Now()
	return &part{
		exam: e, account: account, amount: amount, made: now, until: now + longEnough,
		branch: tcc.Branch{Tenant: e.Tenant, ID: e.Payment(account).Facet(1)},
	}
}

func (p *part) money(minor int64) money.Amount {
	return money.Amount{Currency: p.Currency, Minor: minor}
}

func (p *part) tryRequest() tcc.TryRequest {
	r := tcc.TryRequest{
		Branch: p.branch, Account: p.account, Amount: p.money(p.amount), Purpose: tcc.Charge,
		NotAfter: p.until, EffectiveAt: p.made,
	}
	if p.AdjustTry != nil {
		p.AdjustTry(&r)
	}
	return r
}

func (p *part) try(ctx context.Context) error {
	_, err := p.Participant.Try(ctx, p.tryRequest())
	return err
}

func (p *part) confirm(ctx context.Context) error { return p.capture(ctx, 1, p.amount, true) }

func (p *part) capture(ctx context.Context, n uint32, minor int64, final bool) error {
	_, err := p.Participant.Confirm(ctx, tcc.ConfirmRequest{
		Branch: p.branch, Account: p.account, Capture: n,
		Amount: p.money(minor), Final: final, EffectiveAt: p.made,
	})
	return err
}

func (p *part) cancel(ctx context.Context) error {
	_, err := p.Participant.Cancel(ctx, tcc.CancelRequest{
		Branch: p.branch, Account: p.account, NotAfter: p.until,
		EffectiveAt: p.made,
	})
	return err
}

func (p *part) add(ctx context.Context) error {
	_, err := p.Receiver.Add(ctx, p.addRequest())
	return err
}

func (p *part) addRequest() tcc.AddRequest {
	r := tcc.AddRequest{
		Branch: p.branch, Account: p.account, Amount: p.money(p.amount), Purpose: tcc.Charge,
		EffectiveAt: p.made,
	}
	if p.AdjustAdd != nil {
		p.AdjustAdd(&r)
	}
	return r
}

// restart ends and starts the participant.
func (e *exam) restart(ctx context.Context) error {
	p, r, err := e.Restart(ctx)
	if err != nil {
		return fmt.Errorf("the fixture cannot restart: %w", err)
	}
	e.Participant, e.Receiver = p, r
	return nil
}

// holds checks what is available and on hold. Of what is taken whole nothing is known; where one can only ask, nothing is
// known of what is on hold.
func (p *part) holds(ctx context.Context, available, held int64) error {
	switch {
	case p.Balance == nil && p.Probe == nil:
		return nil
	case p.Balance == nil:
		a, err := p.Probe(ctx, p.account, available)
		if err != nil {
			return fmt.Errorf("what is available cannot be found out: %w", err)
		}
		if a != available {
			return fmt.Errorf("available are %d, should be %d", a, available)
		}
		return nil
	}
	a, h, err := p.Balance(ctx, p.account)
	if err != nil {
		return fmt.Errorf("the fixture cannot read the balance: %w", err)
	}
	if a != available || h != held {
		return fmt.Errorf("available are %d and on hold %d, should be %d and %d", a, h, available, held)
	}
	return nil
}

// step is one thing that has to go as expected.
type step struct {
	what string
	err  error
	want fault.Code // "" for success
}

// expect returns what went otherwise.
func expect(steps ...step) error {
	var errs []error
	for _, s := range steps {
		switch {
		case s.want == "" && s.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w, should be done", s.what, s.err))
		case s.want != "" && s.err == nil:
			errs = append(errs, fmt.Errorf("%s: was done, should be %v", s.what, s.want))
		case s.want != "" && !fault.HasCode(s.err, s.want):
			errs = append(errs, fmt.Errorf("%s: %w, should be %v", s.what, s.err, s.want))
		}
	}
	return errors.Join(errs...)
}

// atOnce runs n calls at the same time and returns how each ended.
func atOnce(n int, call func(i int) error) []error {
	errs := make([]error, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-begin
			errs[i] = call(i)
		})
	}
	close(begin)
	all.Wait()
	return errs
}

// allDone returns the first of errs that is none.
func allDone(what string, errs []error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// oneWins checks that want of the calls are done and the others definitely refused.
func oneWins(errs []error, want int) error {
	done := 0
	for _, err := range errs {
		switch tcc.OutcomeOf(err) {
		case tcc.Done:
			done++
		case tcc.Unknown:
			return fmt.Errorf("a call ended with %w, which is no definite refusal", err)
		case tcc.Refused:
		}
	}
	if done != want {
		return fmt.Errorf("%d of %d calls were done, should be %d", done, len(errs), want)
	}
	return nil
}

// copies is how many duplicates arrive at once.
const copies = 50

// margin is long after any deadline.
const margin = 48 * time.Hour
