package conform

import (
	"context"
	"fmt"
	"sync"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/kit"
)

// purse lets every check believe that it has an account with an exact amount, where there are only one or two accounts with
// plenty: the rest is set aside, by a Try of the kit's own, until the check is over. What is available is found out in the
// same way: by asking for it.
type purse struct {
	run     *run
	pockets []*pocket
	next    int // pocket of the next Fund

	mu    sync.Mutex
	tried []tcc.TryRequest // by the check under way
}

// pocket is one account.
type pocket struct {
	account id.ID
	left    int64            // minor units that were available when it was last looked at
	ballast []tcc.TryRequest // set aside by the kit
}

// fund returns an account on which exactly minor is available.
func (p *purse) fund(ctx context.Context, minor int64) (id.ID, error) {
	k := p.pockets[p.next%len(p.pockets)]
	p.next++
	if err := p.clear(ctx, k); err != nil {
		return id.Nil, err
	}
	var err error
	if k.left, err = p.probe(ctx, k.account, k.left); err != nil {
		return id.Nil, err
	}
	rest := k.left - minor
	if rest < 0 {
		return id.Nil, fmt.Errorf("%w: %d on the account %s, and this check needs %d", kit.ErrFunds, k.left, p.run.names.Text(k.account), minor)
	}
	if rest == 0 {
		return k.account, nil
	}
	q := p.request(k.account, rest)
	k.ballast = append(k.ballast, q)
	if _, err := (limited{p.run.kit}).Try(ctx, q); err != nil {
		return id.Nil, fmt.Errorf("the kit asked for %d of the %d that are available, so that the check finds %d, and heard: %w", rest, k.left, minor, err)
	}
	return k.account, nil
}

// count finds out whether each account is there, and has what Options.Amount says: what is wrong with the account is no
// broken rule of the service. What else is heard is for the checks to tell.
func (p *purse) count(ctx context.Context) error {
	for _, k := range p.pockets {
		n, err := p.probe(ctx, k.account, k.left)
		switch {
		case fault.HasCode(err, fault.AccountNotFound), fault.HasCode(err, fault.CurrencyMismatch),
			fault.HasCode(err, fault.AccountClosed), fault.HasCode(err, fault.AccountSuspended):
			return fmt.Errorf("the account %s cannot be paid from: %w. Give --account one that is open for this tenant (--tenant) and holds "+
				"the currency (--currency)", p.run.names.Text(k.account), err)
		case err != nil:
			return nil //nolint:nilerr // what else is heard is for the checks to tell
		case n == 0:
			return fmt.Errorf("nothing is available on the account %s, and --amount says that %d are: put value on it", p.run.names.Text(k.account), k.left)
		case n < k.left:
			return fmt.Errorf("on the account %s a Try of up to %d is done, and one of more refused; --amount says that %d are available. "+
				"If they are, the service does not give all that there is (check try-exact): compare with less than", p.run.names.Text(k.account), n, k.left)
		}
		k.left = n
	}
	return nil
}

// clear cancels what is still on hold on an account.
func (p *purse) clear(ctx context.Context, k *pocket) (err error) {
	p.mu.Lock()
	open := k.ballast
	k.ballast = nil
	var others []tcc.TryRequest
	for _, q := range p.tried {
		if q.Account == k.account {
			open = append(open, q)
		} else {
			others = append(others, q)
		}
	}
	p.tried = others
	p.mu.Unlock()
	for _, q := range open {
		if e := p.cancel(ctx, q); tcc.OutcomeOf(e) == tcc.Unknown {
			err = fmt.Errorf("the kit wants to let go of what an earlier check set aside, and hears: %w", e)
		}
	}
	return err
}

// leave cancels everything.
func (p *purse) leave(ctx context.Context) {
	p.next = 0
	for _, k := range p.pockets {
		_ = p.clear(ctx, k) // the next fund finds out what is there
	}
	p.mu.Lock()
	p.tried = nil
	p.mu.Unlock()
}

func (p *purse) request(account id.ID, minor int64) tcc.TryRequest {
	now := p.run.Clock.Now()
	return tcc.TryRequest{
		Branch: tcc.Branch{Tenant: p.run.Tenant, ID: p.run.fresh().Facet(1)}, Account: account,
		Amount: money.Of(minor, p.run.Currency), Purpose: tcc.Charge, NotAfter: now + clock.Hour, EffectiveAt: now,
	}
}

func (p *purse) cancel(ctx context.Context, q tcc.TryRequest) error {
	_, err := limited{p.run.kit}.Cancel(ctx, tcc.CancelRequest{Branch: q.Branch, Account: q.Account, NotAfter: q.NotAfter, EffectiveAt: q.EffectiveAt})
	return err
}

// has reports whether minor is available, by taking it and letting it go.
func (p *purse) has(ctx context.Context, account id.ID, minor int64) (bool, error) {
	if minor <= 0 {
		return true, nil
	}
	q := p.request(account, minor)
	_, err := limited{p.run.kit}.Try(ctx, q)
	switch {
	case err == nil:
		if err := p.cancel(ctx, q); err != nil {
			return false, fmt.Errorf("the kit set %d aside to see whether they are available, and cannot let go of them: %w", minor, err)
		}
		return true, nil
	case insufficient(err):
		return false, nil
	}
	return false, fmt.Errorf("the kit asked for %d to see whether they are available, and heard: %w", minor, err)
}

// probe finds out what is available, by asking for it, beginning with a guess.
func (p *purse) probe(ctx context.Context, account id.ID, guess int64) (int64, error) {
	yes, no := int64(0), int64(1)<<53-1 // yes is available, no is not
	ask := func(n int64) (bool, error) {
		ok, err := p.has(ctx, account, n)
		if ok {
			yes = n
		} else {
			no = n
		}
		return ok, err
	}
	if _, err := ask(guess); err != nil {
		return 0, err
	}
	if yes == guess {
		if ok, err := ask(guess + 1); err != nil || !ok {
			return guess, err
		}
	}
	for step := int64(1); no-yes > 1; {
		n := yes + (no-yes)/2
		switch { // first in growing steps from the guess, then in halves
		case yes > guess && yes+step < n:
			n, step = yes+step, step*2
		case no <= guess && no-step > n:
			n, step = no-step, step*2
		}
		if _, err := ask(n); err != nil {
			return 0, err
		}
	}
	return yes, nil
}

// watch returns to with every Try written down, so that it can be let go.
func (p *purse) watch(to tcc.Participant) tcc.Participant { return watched{to, p} }

type watched struct {
	tcc.Participant
	p *purse
}

func (w watched) Try(ctx context.Context, q tcc.TryRequest) (tcc.Receipt, error) {
	r, err := w.Participant.Try(ctx, q)
	if tcc.OutcomeOf(err) != tcc.Refused && len(w.p.pockets) > 0 {
		w.p.mu.Lock()
		w.p.tried = append(w.p.tried, q)
		w.p.mu.Unlock()
	}
	return r, err
}
