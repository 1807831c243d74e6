package balance

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// A request that is not well formed is refused and leaves no trace. Any other refusal of a Try is an event, and a
// duplicate gets it again.

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

func (m *Machine) branch(b tcc.Branch) *Branch {
	return m.branches.Get(book.Key{Tenant: b.Tenant, ID: b.ID})
}

func (m *Machine) try(now clock.Micros, r *Try, out *book.Decision) *fault.Error {
	if err := checkAmount(r.Amount); err != nil {
		return err
	}
	mark := m.printer.try(&r.TryRequest)
	if b := m.branch(r.Branch); b != nil {
		receipt, err := b.answerTry(out.Book, mark)
		out.Reply(receipt)
		return err
	}
	p := part{r.Branch.Tenant, r.Branch.ID, r.Account, r.Purpose, r.EffectiveAt}
	e, err := m.planTry(now, r)
	if err != nil {
		out.Emit(&tryRefused{part: p, Amount: r.Amount, NotAfter: r.NotAfter, Print: mark, Code: string(err.Code), Message: err.Message})
		return err
	}
	available := m.account(r.Branch.Tenant, r.Account).Available() - r.Amount.Minor
	m.events.held = tryHeld{part: p, Amount: r.Amount, NotAfter: r.NotAfter, Print: mark, Entry: e, Available: available}
	out.Emit(&m.events.held)
	out.Reply(Answer{out.Seq, now, available}.receipt(out.Book))
	return nil
}

func (m *Machine) planTry(now clock.Micros, r *Try) (entry, *fault.Error) {
	switch {
	case now > r.NotAfter && planted.Bug != planted.TryTooLate:
		return entry{}, fault.TryTooLate.New("")
	case !m.owner(r.Account):
		return entry{}, fault.AccountNotFound.New("")
	}
	return m.planner.Plan(m.of(r.Branch.Tenant), r.Day, ledger.HoldDebit(r.Branch.ID, r.Account, r.Amount))
}

func (m *Machine) confirm(now clock.Micros, r *Confirm, out *book.Decision) *fault.Error {
	if err := checkAmount(r.Amount); err != nil {
		return err
	}
	if r.Capture == 0 {
		return fault.InvalidRequest.New("captures are numbered from 1")
	}
	if len(r.To) > 0 {
		if err := checkFundings(r.To, r.Amount); err != nil {
			return err
		}
	}
	mark := m.printer.confirm(&r.ConfirmRequest)
	b := m.branch(r.Branch)
	if receipt, ok, err := b.answerConfirm(out.Book, &r.ConfirmRequest, mark); ok {
		out.Reply(receipt)
		return err
	}
	e, err := m.planConfirm(r)
	if err != nil {
		return err
	}
	available := m.account(r.Branch.Tenant, r.Account).Available() + e.Holds[0].Released
	m.events.confirmed = confirmed{
		part: part{r.Branch.Tenant, r.Branch.ID, r.Account, b.Purpose, r.EffectiveAt}, Capture: r.Capture,
		Amount: r.Amount, Print: mark, Entry: e, Available: available,
	}
	out.Emit(&m.events.confirmed)
	out.Reply(Answer{out.Seq, now, available}.receipt(out.Book))
	return nil
}

func (m *Machine) planConfirm(r *Confirm) (entry, *fault.Error) {
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

func (m *Machine) cancel(now clock.Micros, r *Cancel, out *book.Decision) *fault.Error {
	b := m.branch(r.Branch)
	if receipt, ok, err := b.answerCancel(out.Book, &r.CancelRequest); ok {
		out.Reply(receipt)
		return err
	}
	if planted.Bug == planted.NoTombstone && b == nil {
		out.Reply(Answer{}.receipt(out.Book))
		return nil
	}
	if planted.Bug == planted.EmptyCancelFails && b == nil {
		return fault.NotTried.New("")
	}
	ev := &cancelled{part: part{r.Branch.Tenant, r.Branch.ID, r.Account, 0, r.EffectiveAt}, NotAfter: r.NotAfter}
	if b != nil {
		e, err := m.planner.Plan(m.of(r.Branch.Tenant), r.Day, ledger.Void(r.Branch.ID))
		if err != nil {
			return err
		}
		ev.Purpose, ev.Currency, ev.Entry = b.Purpose, b.Currency, e
		ev.Available = m.account(r.Branch.Tenant, r.Account).Available() + e.Holds[0].Released
	}
	out.Emit(ev)
	out.Reply(Answer{out.Seq, now, ev.Available}.receipt(out.Book))
	return nil
}

func (m *Machine) add(now clock.Micros, r *Add, out *book.Decision) *fault.Error {
	if err := checkAmount(r.Amount); err != nil {
		return err
	}
	if err := checkFundings(r.Funding, r.Amount); err != nil {
		return err
	}
	mark := m.printer.add(&r.AddRequest)
	if b := m.branch(r.Branch); b != nil {
		receipt, err := b.answerAdd(out.Book, mark)
		out.Reply(receipt)
		return err
	}
	ev := &m.events.added
	*ev = added{part: part{r.Branch.Tenant, r.Branch.ID, r.Account, r.Purpose, r.EffectiveAt}, Amount: r.Amount, Origin: r.Origin, Print: mark}
	a := m.account(r.Branch.Tenant, r.Account)
	to := r.Account
	if a != nil {
		ev.Available = a.Available()
	}
	if no := m.canReceive(a, r); no != nil {
		to, ev.Code, ev.Message = m.Own(Suspense, r.Amount.Currency), string(no.Code), no.Message
	} else {
		ev.Available += r.Amount.Minor
	}
	var err *fault.Error
	if ev.Entry, err = m.planAdd(r, to); err != nil {
		return err
	}
	out.Emit(ev)
	receipt := Answer{out.Seq, now, ev.Available}.receipt(out.Book)
	receipt.Suspense = ev.Code != ""
	out.Reply(receipt)
	return nil
}

// canReceive returns why an Add cannot stand on its account.
func (m *Machine) canReceive(a *Account, r *Add) *fault.Error {
	if a == nil || !m.owner(r.Account) {
		return fault.AccountNotFound.New("")
	}
	return canReceive(a, r.Amount, r.Day)
}

func (m *Machine) planAdd(r *Add, to id.ID) (entry, *fault.Error) {
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
