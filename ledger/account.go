package ledger

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/money"
)

// Account is one account's row. All amounts are in minor units of Currency, 0 … money.MaxStored; the four counters
// only ever describe what happened: Debits and Credits never shrink when posted (but see Carry), and only by a hold's
// end when pending.
type Account struct {
	Currency       money.Currency
	Normal         Side // the side that makes the balance grow
	Status         Status
	MayGoNegative  bool // for the platform's own accounts, such as a cost it carries
	DebitsPosted   int64
	CreditsPosted  int64
	DebitsPending  int64
	CreditsPending int64
	Cap            int64 // the most that Posted and Incoming may come to by receiving; 0: no cap
	Limits         Limits
	Used           Usage
	Version        uint64 // how many entries have touched the account
}

// Posted returns the balance, which holds do not change. It is negative only where MayGoNegative.
func (a *Account) Posted() int64 {
	if a.Normal == Debit {
		return a.DebitsPosted - a.CreditsPosted
	}
	return a.CreditsPosted - a.DebitsPosted
}

// Held returns what holds have set aside to be taken.
func (a *Account) Held() int64 { return *a.pending(a.Normal.Opposite()) }

// Incoming returns what holds have announced to be received. It cannot be spent before it is posted.
func (a *Account) Incoming() int64 { return *a.pending(a.Normal) }

// Available returns what can be taken: Posted less Held.
func (a *Account) Available() int64 { return a.Posted() - a.Held() }

// CanReceive reports whether amount can be added to a on the given business day: nil, or the reason it cannot. Whoever
// must not refuse an addition asks first, and diverts the whole amount to a suspense account.
//
// Errors: invalid_amount, currency_mismatch, account_closed, account_suspended (no-in or full), amount_overflow,
// limit_exceeded (the cap, or a limit on what comes in).
func (a *Account) CanReceive(amount money.Amount, day Day) *fault.Error {
	return a.can(a.Normal, amount, day)
}

// CanTake reports whether amount can be taken from a on the given business day: nil, or the reason it cannot.
//
// Errors: invalid_amount, currency_mismatch, account_closed, account_suspended (no-out or full), amount_overflow,
// limit_exceeded (a limit on what goes out), insufficient_funds.
func (a *Account) CanTake(amount money.Amount, day Day) *fault.Error {
	return a.can(a.Normal.Opposite(), amount, day)
}

func (a *Account) can(side Side, amount money.Amount, day Day) *fault.Error {
	if err := checkAmount(amount); err != nil {
		return err
	}
	if err := a.checkCurrency(amount); err != nil {
		return err
	}
	return a.admit(side, amount, day)
}

func (a *Account) checkCurrency(amount money.Amount) *fault.Error {
	if amount.Currency != a.Currency {
		return fault.CurrencyMismatch.New("the account is kept in %v, not in %v", a.Currency, amount.Currency)
	}
	return nil
}

// admit reports whether a valid amount, in the account's currency, may be posted to, or held on, one side of a.
func (a *Account) admit(side Side, amount money.Amount, day Day) *fault.Error {
	receives := side == a.Normal
	if err := a.Status.admit(receives); err != nil {
		return err
	}
	// Pending counts in full, so that no posting of a hold can overflow later.
	if amount.Minor > money.MaxStored-*a.posted(side)-*a.pending(side) {
		return fault.AmountOverflow.New("the account's %ss would add up to more than can be stored", side)
	}
	if receives && a.Cap != 0 && a.Posted()+a.Incoming()+amount.Minor > a.Cap {
		return fault.LimitExceeded.New("the account's balance would exceed its cap with %v more", amount)
	}
	if err := a.Limits.admit(a.Used.on(day), receives, amount); err != nil {
		return err
	}
	if !receives && !a.MayGoNegative && spendable(a) < amount.Minor {
		return fault.InsufficientFunds.New("the available balance does not cover %v", amount)
	}
	return nil
}

// post counts one leg.
func (a *Account) post(side Side, minor int64, day Day) {
	*a.posted(side) += minor
	a.Used = a.Used.on(day)
	a.Used.count(side == a.Normal, minor)
}

// Carry is what both sides of an account that may go negative are brought forward by: as soon as an entry leaves Carry
// or more on each of them, Carry is taken off both. Everything passes through the platform's own accounts, so what was
// ever debited and credited there has no bound, and the counters do; nothing must be refused for that. The balance
// stays, and so does every trial balance. An account that stands within ±MaxNet can always take Carry more.
const (
	Carry  = int64(1) << 60
	MaxNet = money.MaxStored - 2*Carry
)

// carry brings an account forward, and keeps what counts against limits, which it has none of, within what is stored.
func (a *Account) carry() {
	if !a.MayGoNegative {
		return
	}
	if n := min(a.DebitsPosted, a.CreditsPosted); n >= Carry {
		n -= n % Carry
		a.DebitsPosted -= n
		a.CreditsPosted -= n
	}
	a.Used.cut(money.MaxStored)
}

func (a *Account) posted(s Side) *int64 {
	if s == Debit {
		return &a.DebitsPosted
	}
	return &a.CreditsPosted
}

func (a *Account) pending(s Side) *int64 {
	if s == Debit {
		return &a.DebitsPending
	}
	return &a.CreditsPending
}

// Check returns nil if a can be: a known currency, side and status, no counter below zero or above money.MaxStored, and
// nothing available below zero but where it may (I4). Otherwise data_damaged, and what is wrong.
func (a *Account) Check() error {
	switch {
	case a.Normal != Debit && a.Normal != Credit, a.Status < Open || a.Status > Closed, !a.Currency.Known():
		return damaged("account with side %d, status %d, currency %d", a.Normal, a.Status, a.Currency)
	case a.DebitsPosted < 0 || a.DebitsPending < 0 || a.DebitsPosted > money.MaxStored-a.DebitsPending:
		return damaged("account with debits of %d posted and %d pending", a.DebitsPosted, a.DebitsPending)
	case a.CreditsPosted < 0 || a.CreditsPending < 0 || a.CreditsPosted > money.MaxStored-a.CreditsPending:
		return damaged("account with credits of %d posted and %d pending", a.CreditsPosted, a.CreditsPending)
	case overdrawn(a):
		return damaged("account with %d posted, but %d held", a.Posted(), a.Held())
	case !a.Used.sane():
		return damaged("account that used %+v of its limits", a.Used)
	case a.Status == Closed && a.inUse():
		return damaged("closed account with %d posted and %d held", a.Posted(), a.Held())
	}
	return nil
}

func (a *Account) inUse() bool {
	return a.DebitsPosted != a.CreditsPosted || a.DebitsPending != 0 || a.CreditsPending != 0
}

func checkAmount(a money.Amount) *fault.Error {
	switch {
	case a.Minor <= 0:
		return fault.InvalidAmount.New("the amount is %v, and must be more than zero", a)
	case a.Minor > money.MaxStored:
		return fault.AmountOverflow.New("the amount is more than can be stored")
	}
	return nil
}

func damaged(format string, args ...any) error { return fault.DataDamaged.New(format, args...) }
