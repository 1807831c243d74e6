package balance

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// MaxFundings is the most sources or destinations of one request.
const MaxFundings = 8

func checkAmount(a money.Amount) *fault.Error {
	switch {
	case a.Minor <= 0:
		return fault.InvalidAmount.New("")
	case a.Minor > money.MaxStored:
		return fault.AmountOverflow.New("")
	case !a.Currency.IsISO():
		return fault.InvalidCurrency.New("")
	}
	return nil
}

// checkFundings checks that the parts are of the volume's own accounts, and add up to the whole.
func checkFundings(list []tcc.Funding, whole money.Amount) *fault.Error {
	if len(list) > MaxFundings {
		return fault.InvalidRequest.New("%d parts, at most %d", len(list), MaxFundings)
	}
	left := whole.Minor
	for _, f := range list {
		if _, ok := parseOwn(f.From); !ok {
			return fault.InvalidRequest.New("a part of %q, which is no account of the platform here", f.From)
		}
		if err := checkAmount(f.Amount); err != nil {
			return err
		}
		if f.Amount.Currency != whole.Currency {
			return fault.CurrencyMismatch.New("")
		}
		left -= f.Amount.Minor // above -2^62, so it cannot wrap
		if left < 0 {
			break
		}
	}
	if left != 0 {
		return fault.InvalidAmount.New("the parts do not add up to %v", whole)
	}
	return nil
}

// plans are what the verbs do with value that stands on accounts.
type plans struct{ *Machine }

var _ branch.Receives = plans{}

// Row implements branch.Rules.
func (m plans) Row(b tcc.Branch) *branch.Row {
	if x := m.branches.Get(book.Key{Tenant: b.Tenant, ID: b.ID}); x != nil {
		return &x.Row
	}
	return nil
}

// Currency implements branch.Rules.
func (plans) Currency(a money.Amount) *fault.Error {
	if !a.Currency.IsISO() {
		return fault.InvalidCurrency.New("").WithParam("amount.currency")
	}
	return nil
}

// PlanTry implements branch.Rules.
func (m plans) PlanTry(_ clock.Micros, r *branch.Try, p branch.Print) (any, *fault.Error) {
	if !m.owner(r.Account) {
		return nil, fault.AccountNotFound.New("").WithParam("account")
	}
	e, err := m.planner.Plan(m.of(r.Branch.Tenant), r.Day, ledger.HoldDebit(r.Branch.ID, r.Account, r.Amount))
	if err != nil {
		return nil, err
	}
	m.events.held = tryHeld{
		part: tried(r), Amount: r.Amount, NotAfter: r.NotAfter, Print: p, Entry: e,
		Available: m.account(r.Branch.Tenant, r.Account).Available() - r.Amount.Minor,
	}
	return &m.events.held, nil
}

func tried(r *branch.Try) part {
	return part{r.Branch.Tenant, r.Branch.ID, r.Account, r.Purpose, r.EffectiveAt}
}

// PlanRefusal implements branch.Rules.
func (plans) PlanRefusal(r *branch.Try, p branch.Print, why *fault.Error) any {
	return &tryRefused{part: tried(r), Amount: r.Amount, NotAfter: r.NotAfter, Print: p, Refusal: branch.RefusalOf(why)}
}

// PlanConfirm implements branch.Rules.
func (m plans) PlanConfirm(_ clock.Micros, r *branch.Confirm, p branch.Print) (any, *fault.Error) {
	if len(r.To) > 0 {
		if err := checkFundings(r.To, r.Amount); err != nil {
			return nil, err
		}
	}
	e, err := m.planTake(r)
	if err != nil {
		return nil, err
	}
	b := m.branches.Get(book.Key{Tenant: r.Branch.Tenant, ID: r.Branch.ID})
	m.events.confirmed = confirmed{
		part: part{r.Branch.Tenant, r.Branch.ID, r.Account, b.Purpose, r.EffectiveAt}, Capture: r.Capture,
		Amount: r.Amount, Print: p, Entry: e,
		Available: m.account(r.Branch.Tenant, r.Account).Available() + e.Holds[0].Released,
	}
	return &m.events.confirmed, nil
}

func (m plans) planTake(r *branch.Confirm) (entry, *fault.Error) {
	var room [MaxFundings]ledger.Transfer[id.ID]
	chain := room[:0]
	c := r.Amount.Currency
	for i, f := range r.To {
		to, _ := parseOwn(f.From)
		chain = append(chain, take(r.Branch.ID, m.Own(to, c), f.Amount, r.Final && i == len(r.To)-1))
	}
	if len(chain) == 0 {
		chain = append(chain, take(r.Branch.ID, m.Own(PaymentClearing, c), r.Amount, r.Final))
	}
	return m.planner.Plan(m.of(r.Branch.Tenant), r.Day, chain...)
}

func take(hold, to id.ID, amount money.Amount, final bool) ledger.Transfer[id.ID] {
	if final {
		return ledger.PostFinal(hold, to, amount)
	}
	return ledger.Post(hold, to, amount)
}

// PlanCancel implements branch.Rules.
func (m plans) PlanCancel(_ clock.Micros, r *branch.Cancel, held bool) (any, *fault.Error) {
	ev := &cancelled{part: part{r.Branch.Tenant, r.Branch.ID, r.Account, 0, r.EffectiveAt}, NotAfter: r.NotAfter}
	if !held {
		return ev, nil
	}
	e, err := m.planner.Plan(m.of(r.Branch.Tenant), r.Day, ledger.Void(r.Branch.ID))
	if err != nil {
		return nil, err
	}
	b := m.branches.Get(book.Key{Tenant: r.Branch.Tenant, ID: r.Branch.ID})
	ev.Purpose, ev.Currency, ev.Entry = b.Purpose, b.Currency, e
	ev.Available = m.account(r.Branch.Tenant, r.Account).Available() + e.Holds[0].Released
	return ev, nil
}

// PlanAdd implements branch.Receives.
func (m plans) PlanAdd(_ clock.Micros, r *branch.Add, p branch.Print) (any, *fault.Error) {
	if err := checkFundings(r.Funding, r.Amount); err != nil {
		return nil, err
	}
	ev := &m.events.added
	*ev = added{part: part{r.Branch.Tenant, r.Branch.ID, r.Account, r.Purpose, r.EffectiveAt}, Amount: r.Amount, Origin: r.Origin, Print: p}
	a := m.account(r.Branch.Tenant, r.Account)
	to := r.Account
	if a != nil {
		ev.Available = a.Available()
	}
	if no := m.canReceive(a, r); no != nil {
		to, ev.Refusal = m.Own(Suspense, r.Amount.Currency), branch.Refusal{Code: string(no.Code), Message: no.Message}
	} else {
		ev.Available += r.Amount.Minor
	}
	var err *fault.Error
	ev.Entry, err = m.planAdd(r, to)
	return ev, err
}

// canReceive returns why an Add cannot stand on its account.
func (m plans) canReceive(a *Account, r *branch.Add) *fault.Error {
	if a == nil || !m.owner(r.Account) {
		return fault.AccountNotFound.New("")
	}
	return canReceive(a, r.Amount, r.Day)
}

func (m plans) planAdd(r *branch.Add, to id.ID) (entry, *fault.Error) {
	var room [MaxFundings]ledger.Transfer[id.ID]
	chain := room[:0]
	for _, f := range r.Funding {
		kind, _ := parseOwn(f.From)
		if from := m.Own(kind, r.Amount.Currency); from != to { // what comes from suspense and stays there does not move
			chain = append(chain, ledger.Move(from, to, f.Amount))
		}
	}
	if len(chain) == 0 {
		return entry{Day: r.Day}, nil
	}
	return m.planner.Plan(m.of(r.Branch.Tenant), r.Day, chain...)
}
