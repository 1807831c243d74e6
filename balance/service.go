package balance

import (
	"context"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
	"github.com/koban-pay/koban/tcc/verbs"
)

// Service is the balance service over its volumes. It is safe for concurrent use.
//
// Beside what they say, all methods give the errors of (*book.Book).Do: the outcome is then unknown, or nothing was
// done because the book is busy.
type Service struct {
	verbs.Receiving // the verbs: see plans for what they do here
	log             verbs.Log
}

// New returns the service over the books of all its volumes, in their order. log is where their blocks stand.
func New[B verbs.Book](books []B, log verbs.Log, calendar branch.Calendar) *Service {
	s := &Service{log: log}
	s.Calendar = calendar
	for _, b := range books {
		s.Books = append(s.Books, b)
	}
	return s
}

// Account reads an account.
//
// Errors: account_not_found.
func (s *Service) Account(ctx context.Context, t id.Tenant, x id.ID) (Account, error) {
	return verbs.Do[Account](ctx, s.Book(x), &Get{t, x})
}

// Open opens an account for an owner who exists; again with the same terms is no error. The errors are on Open, the
// command.
func (s *Service) Open(ctx context.Context, t id.Tenant, x id.ID, terms Terms) (Account, error) {
	return verbs.Do[Account](ctx, s.Book(x), &Open{t, x, terms})
}

// OpenOwner names a new owner and opens an account. It returns the owner's id, which is c.Owner only if the key is new.
// The slot of c.Owner must be that of the key (id.SlotOf), so that one key always meets one book. The day is set here.
// The errors are on OpenOwner, the command.
func (s *Service) OpenOwner(ctx context.Context, c OpenOwner) (id.ID, error) {
	if c.Owner.Slot() != id.SlotOf(c.Key.ID[:]) {
		return id.Nil, fault.Bug.New("an owner's id that is not in the slot of its key")
	}
	c.Day = s.Calendar(c.Key.Tenant, c.EffectiveAt)
	return verbs.Do[id.ID](ctx, s.Book(c.Owner), &c)
}

// Credit adds to an account out of suspense. A request with a known key gets the first answer, refusals included. The
// day is set here. The errors are on AddCredit, the command.
func (s *Service) Credit(ctx context.Context, c AddCredit) (Credit, error) {
	c.Day = s.Calendar(c.Key.Tenant, c.EffectiveAt)
	b := s.Book(c.Account)
	reply, err := b.Do(ctx, &c)
	if err != nil {
		return Credit{}, err
	}
	if r, ok := reply.(Repeated); ok {
		return verbs.Do[Credit](ctx, b, &GetCredit{c.Key.Tenant, r.ID})
	}
	return reply.(Credit), nil
}

// Suspend stops what goes out (ledger.NoOut), what comes in (ledger.NoIn) or both (ledger.Suspended), but not what is
// held already. What comes in by payment meanwhile goes to suspense.
//
// Errors: account_not_found, account_closed, invalid_request (another status).
func (s *Service) Suspend(ctx context.Context, t id.Tenant, x id.ID, how ledger.Status) (Account, error) {
	switch how {
	case ledger.NoOut, ledger.NoIn, ledger.Suspended:
		return verbs.Do[Account](ctx, s.Book(x), &SetStatus{t, x, how})
	case ledger.Open, ledger.Closed: // Lift and Close do that
	}
	return Account{}, fault.InvalidRequest.New("%v is no way to suspend an account", how)
}

// Lift ends a suspension.
//
// Errors: account_not_found, account_closed.
func (s *Service) Lift(ctx context.Context, t id.Tenant, x id.ID) (Account, error) {
	return verbs.Do[Account](ctx, s.Book(x), &SetStatus{t, x, ledger.Open})
}

// Close closes an account for good.
//
// Errors: account_not_found, account_not_empty.
func (s *Service) Close(ctx context.Context, t id.Tenant, x id.ID) (Account, error) {
	return verbs.Do[Account](ctx, s.Book(x), &SetStatus{t, x, ledger.Closed})
}

// Exists reports whether there is an account.
func (s *Service) Exists(ctx context.Context, t id.Tenant, x id.ID) (bool, error) {
	_, err := s.Account(ctx, t, x)
	if fault.HasCode(err, fault.AccountNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Entries returns the entries of a payment in the blocks that receipts named, in their order, each block once: for
// explaining it. A hold is one pending leg; what is let go is the opposite one.
//
// Errors: data_damaged (no such book or block), and what reading the journal gives.
func (s *Service) Entries(ctx context.Context, t id.Tenant, payment id.ID, receipts []tcc.Receipt) ([]tcc.Entry, error) {
	return s.Receiving.Entries(ctx, s.log, t, payment, receipts, explain)
}
