package branch

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// The commands. A day is the business day of the time that the request takes effect at, in the tenant's
// calendar. All are answered with a tcc.Receipt.
type (
	// Try is a verb of package tcc, as the others are.
	Try struct {
		tcc.TryRequest
		Day ledger.Day
	}
	// Confirm is described with Try.
	Confirm struct {
		tcc.ConfirmRequest
		Day ledger.Day
	}
	// Cancel is described with Try.
	Cancel struct {
		tcc.CancelRequest
		Day ledger.Day
	}
	// Add is described with Try.
	Add struct {
		tcc.AddRequest
		Day ledger.Day
	}
)

// Calendar says which business day of a tenant a time falls into.
type Calendar func(id.Tenant, clock.Micros) ledger.Day

// Japan is the calendar of Japan, which is nine hours ahead of UTC all year round.
func Japan(_ id.Tenant, at clock.Micros) ledger.Day {
	return ledger.Day((at + 9*clock.Hour) / clock.Day)
}

// CommandOf returns the command of a request of the contract, on the business day that it takes effect on;
// of anything else, that itself.
func CommandOf(request any, c Calendar) any {
	switch r := request.(type) {
	case *tcc.TryRequest:
		return &Try{*r, c(r.Branch.Tenant, r.EffectiveAt)}
	case *tcc.ConfirmRequest:
		return &Confirm{*r, c(r.Branch.Tenant, r.EffectiveAt)}
	case *tcc.CancelRequest:
		return &Cancel{*r, c(r.Branch.Tenant, r.EffectiveAt)}
	case *tcc.AddRequest:
		return &Add{*r, c(r.Branch.Tenant, r.EffectiveAt)}
	}
	return request
}

// Rules is what one participant does with value. A plan changes nothing: it returns the event to write,
// which notes the outcome on the branch's Row when it is applied, or why not.
type Rules interface {
	// Row returns what is known of a branch, nil if nothing is.
	Row(tcc.Branch) *Row
	// Currency refuses an amount in what this participant does not keep.
	Currency(money.Amount) *fault.Error
	// PlanTry sets the amount aside. PlanRefusal is the event of what refused it: a duplicate gets the
	// refusal again.
	PlanTry(now clock.Micros, r *Try, p Print) (event any, _ *fault.Error)
	PlanRefusal(r *Try, p Print, why *fault.Error) (event any)
	// PlanConfirm takes of an open hold. No event: nothing more is to be taken, and the last capture's
	// answer stands.
	PlanConfirm(now clock.Micros, r *Confirm, p Print) (event any, _ *fault.Error)
	// PlanCancel lets go of what is held; held is false for a tombstone.
	PlanCancel(now clock.Micros, r *Cancel, held bool) (event any, _ *fault.Error)
}

// Receives are the rules of a participant that can be given value.
type Receives interface {
	Rules
	// PlanAdd adds the amount, or puts it in suspense. It refuses only what contradicts itself, and that
	// leaves no trace.
	PlanAdd(now clock.Micros, r *Add, p Print) (event any, _ *fault.Error)
}

// Branches decides the verbs for one machine. It is used as the machine is: by one goroutine.
type Branches struct {
	rules   Rules
	printer printer

	// What the reply to a command is made of, once its event is applied. The function is made once.
	asked struct {
		book   string
		branch tcc.Branch
		of     func(*Row) Answer
	}
	reply func() any
}

// New returns the branches of a machine.
func New(rules Rules) *Branches {
	b := &Branches{rules: rules}
	b.reply = func() any { return b.asked.of(b.rules.Row(b.asked.branch)).Receipt(b.asked.book) }
	return b
}

func first(r *Row) Answer   { return r.First }
func last(r *Row) Answer    { return r.Last }
func capture(r *Row) Answer { return r.lastCapture() }

// Decide decides a command of the contract, and reports whether it was one.
func (b *Branches) Decide(now clock.Micros, cmd any, out *book.Decision) bool {
	var err *fault.Error
	switch c := cmd.(type) {
	case *Try:
		err = b.try(now, c, out)
	case *Confirm:
		err = b.confirm(now, c, out)
	case *Cancel:
		err = b.cancel(now, c, out)
	case *Add:
		err = b.add(now, c, out)
	default:
		return false
	}
	if err != nil {
		out.Refuse(err)
	}
	return true
}

// form refuses what is not well formed. That leaves no trace.
func (b *Branches) form(x tcc.Branch, a money.Amount) *fault.Error {
	if err := part(x); err != nil {
		return err
	}
	if err := b.rules.Currency(a); err != nil {
		return err
	}
	switch {
	case a.Minor <= 0:
		return fault.InvalidAmount.New("the amount is %v, and must be more than zero", a).WithParam("amount")
	case a.Minor > money.MaxStored:
		return fault.AmountOverflow.New("the amount is more than can be stored").WithParam("amount")
	}
	return nil
}

func part(x tcc.Branch) *fault.Error {
	if x.ID.Part() == 0 {
		return fault.InvalidID.New("a branch is a part of a payment, and this is none").WithParam("branch")
	}
	return nil
}

// tell replies with an answer that was given before.
func tell(out *book.Decision, a Answer, err *fault.Error) *fault.Error {
	if err == nil {
		out.Reply(a.Receipt(out.Book))
	}
	return err
}

// write writes an event, and replies with what the branch's row says once it is applied.
func (b *Branches) write(out *book.Decision, ev any, x tcc.Branch, of func(*Row) Answer) {
	out.Emit(ev)
	b.asked.book, b.asked.branch, b.asked.of = out.Book, x, of
	out.ReplyAfter(b.reply)
}

func (b *Branches) try(now clock.Micros, r *Try, out *book.Decision) *fault.Error {
	if err := b.form(r.Branch, r.Amount); err != nil {
		return err
	}
	p := b.printer.try(&r.TryRequest)
	if row := b.rules.Row(r.Branch); !newTry(row) {
		a, err := row.answerTry(p)
		return tell(out, a, err)
	}
	var ev any
	err := fault.TryTooLate.New("")
	if !tooLate(now, r.NotAfter) {
		ev, err = b.rules.PlanTry(now, r, p)
	}
	if err != nil {
		out.Emit(b.rules.PlanRefusal(r, p, err))
		return err
	}
	b.write(out, ev, r.Branch, first)
	return nil
}

func (b *Branches) confirm(now clock.Micros, r *Confirm, out *book.Decision) *fault.Error {
	if err := b.form(r.Branch, r.Amount); err != nil {
		return err
	}
	if r.Capture == 0 {
		return fault.InvalidRequest.New("captures are numbered from 1").WithParam("capture")
	}
	p := b.printer.confirm(&r.ConfirmRequest)
	row := b.rules.Row(r.Branch)
	if a, ok, err := row.answerConfirm(&r.ConfirmRequest, p); ok {
		return tell(out, a, err)
	}
	ev, err := b.rules.PlanConfirm(now, r, p)
	switch {
	case err != nil:
		return err
	case ev == nil:
		return tell(out, row.lastCapture(), nil)
	}
	b.write(out, ev, r.Branch, capture)
	return nil
}

func (b *Branches) cancel(now clock.Micros, r *Cancel, out *book.Decision) *fault.Error {
	if err := part(r.Branch); err != nil {
		return err
	}
	row := b.rules.Row(r.Branch)
	if a, ok, err := row.answerCancel(&r.CancelRequest); ok {
		return tell(out, a, err)
	}
	if row == nil {
		if leave, err := emptyCancel(); err != nil || !leave {
			return tell(out, Answer{}, err)
		}
	}
	ev, err := b.rules.PlanCancel(now, r, row != nil)
	if err != nil {
		return err
	}
	b.write(out, ev, r.Branch, last)
	return nil
}

func (b *Branches) add(now clock.Micros, r *Add, out *book.Decision) *fault.Error {
	if err := b.form(r.Branch, r.Amount); err != nil {
		return err
	}
	p := b.printer.add(&r.AddRequest)
	if row := b.rules.Row(r.Branch); !newAdd(row) {
		a, err := row.answerAdd(p)
		return tell(out, a, err)
	}
	ev, err := b.rules.(Receives).PlanAdd(now, r, p)
	if err != nil {
		return err
	}
	b.write(out, ev, r.Branch, first)
	return nil
}
