package verbs

import (
	"context"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// Book is what a service needs of a volume's book: *book.Book, or a test's.
type Book interface {
	Name() string
	Do(ctx context.Context, cmd any) (any, error)
	Start(cmd any, done func(reply any, err error))
}

// Verbs answers the contract for a service over the books of its volumes, in their order. It is safe for
// concurrent use.
//
// Refused with, beside what the service's rules refuse: invalid_id, invalid_amount, amount_overflow,
// invalid_request (capture); try_too_late, try_after_cancel; not_tried, already_cancelled, limit_exceeded
// (branch.MaxCaptures); already_confirmed; and, as a conflict, id_reused. After any other error nobody
// knows the outcome yet: ask again with the same request.
type Verbs struct {
	Books    []Book
	Calendar branch.Calendar
}

var (
	_ tcc.Participant = (*Verbs)(nil)
	_ tcc.Starter     = (*Verbs)(nil)
	_ tcc.Receiver    = (*Receiving)(nil)
	_ tcc.AddStarter  = (*Receiving)(nil)
)

// Book returns the book that x lives in.
func (v *Verbs) Book(x id.ID) Book { return v.Books[x.Volume(len(v.Books))] }

// Do submits a command to a book, and returns the reply.
func Do[R any](ctx context.Context, b Book, cmd any) (R, error) {
	reply, err := b.Do(ctx, cmd)
	if err != nil {
		var none R
		return none, err
	}
	return reply.(R), nil
}

func start(b Book, cmd any, done func(tcc.Receipt, error)) {
	b.Start(cmd, func(reply any, err error) {
		if err != nil {
			done(tcc.Receipt{}, err)
			return
		}
		done(reply.(tcc.Receipt), nil)
	})
}

// Try implements tcc.Participant.
func (v *Verbs) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	return Do[tcc.Receipt](ctx, v.Book(r.Account), branch.CommandOf(&r, v.Calendar))
}

// Confirm implements tcc.Participant.
func (v *Verbs) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	return Do[tcc.Receipt](ctx, v.Book(r.Account), branch.CommandOf(&r, v.Calendar))
}

// Cancel implements tcc.Participant.
func (v *Verbs) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	return Do[tcc.Receipt](ctx, v.Book(r.Account), branch.CommandOf(&r, v.Calendar))
}

// StartTry implements tcc.Starter: Try, without waiting.
func (v *Verbs) StartTry(r tcc.TryRequest, done func(tcc.Receipt, error)) {
	start(v.Book(r.Account), branch.CommandOf(&r, v.Calendar), done)
}

// StartConfirm implements tcc.Starter: Confirm, without waiting.
func (v *Verbs) StartConfirm(r tcc.ConfirmRequest, done func(tcc.Receipt, error)) {
	start(v.Book(r.Account), branch.CommandOf(&r, v.Calendar), done)
}

// StartCancel implements tcc.Starter: Cancel, without waiting.
func (v *Verbs) StartCancel(r tcc.CancelRequest, done func(tcc.Receipt, error)) {
	start(v.Book(r.Account), branch.CommandOf(&r, v.Calendar), done)
}

// Receiving are the verbs of a service that can be given value.
type Receiving struct{ Verbs }

// Add implements tcc.Receiver.
func (v *Receiving) Add(ctx context.Context, r tcc.AddRequest) (tcc.Receipt, error) {
	return Do[tcc.Receipt](ctx, v.Book(r.Account), branch.CommandOf(&r, v.Calendar))
}

// StartAdd implements tcc.AddStarter: Add, without waiting.
func (v *Receiving) StartAdd(r tcc.AddRequest, done func(tcc.Receipt, error)) {
	start(v.Book(r.Account), branch.CommandOf(&r, v.Calendar), done)
}
