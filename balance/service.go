package balance

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
)

// Book is what the service needs of a volume's book: *book.Book, or a test's.
type Book interface {
	Name() string
	Do(ctx context.Context, cmd any) (any, error)
	Start(cmd any, done func(reply any, err error))
}

// Log reads blocks back: *journal.Journal, or a test's.
type Log interface {
	Read(ctx context.Context, book string, from uint64, limit int) ([]*journal.Block, error)
}

// Calendar says which business day of a tenant a time falls into.
type Calendar func(id.Tenant, clock.Micros) ledger.Day

// Japan is the calendar of Japan, which is nine hours ahead of UTC all year round.
func Japan(_ id.Tenant, at clock.Micros) ledger.Day {
	return ledger.Day((at + 9*clock.Hour) / clock.Day)
}

// Service is the balance service over its volumes. It is safe for concurrent use.
//
// Beside what they say, all methods give the errors of (*book.Book).Do: the outcome is then unknown, or nothing was
// done because the book is busy.
type Service struct {
	books    []Book
	log      Log
	calendar Calendar
}

var (
	_ tcc.Participant = (*Service)(nil)
	_ tcc.Receiver    = (*Service)(nil)
)

// New returns the service over the books of all its volumes, in their order. log is where their blocks stand.
func New[B Book](books []B, log Log, calendar Calendar) *Service {
	s := &Service{log: log, calendar: calendar}
	for _, b := range books {
		s.books = append(s.books, b)
	}
	return s
}

// book returns the book that x lives in.
func (s *Service) book(x id.ID) Book { return s.books[x.Volume(len(s.books))] }

func do[R any](ctx context.Context, b Book, cmd any) (R, error) {
	reply, err := b.Do(ctx, cmd)
	if err != nil {
		var none R
		return none, err
	}
	return reply.(R), nil
}

// Try implements tcc.Participant: it holds the amount on the account.
//
// Refused with: invalid_amount, amount_overflow, invalid_currency (these leave no trace); try_too_late,
// account_not_found, currency_mismatch, account_closed, account_suspended, limit_exceeded, insufficient_funds;
// try_after_cancel.
func (s *Service) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s.book(r.Account), &Try{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)})
}

// Confirm implements tcc.Participant: it posts from the hold to the volume's payment_clearing, or to the accounts of
// the volume's own that the request names.
//
// Refused with: invalid_amount, invalid_currency, invalid_request, currency_mismatch, not_tried, already_cancelled,
// exceeds_hold, hold_ended. None of them is possible if the request is what its Try promised.
func (s *Service) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s.book(r.Account), &Confirm{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)})
}

// Cancel implements tcc.Participant: it releases the hold, or leaves a tombstone, for good. Refused with
// already_confirmed.
func (s *Service) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s.book(r.Account), &Cancel{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)})
}

// Add implements tcc.Receiver: it moves the amount from the volume's own accounts to the account, or to suspense.
// Only a request that is not well formed is refused.
func (s *Service) Add(ctx context.Context, r tcc.AddRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s.book(r.Account), &Add{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)})
}

// Account reads an account.
//
// Errors: account_not_found.
func (s *Service) Account(ctx context.Context, t id.Tenant, x id.ID) (Account, error) {
	return do[Account](ctx, s.book(x), &Get{t, x})
}

// Open opens an account for an owner who exists; again with the same terms is no error. The errors are on Open, the
// command.
func (s *Service) Open(ctx context.Context, t id.Tenant, x id.ID, terms Terms) (Account, error) {
	return do[Account](ctx, s.book(x), &Open{t, x, terms})
}

// OpenOwner names a new owner and opens an account. It returns the owner's id, which is c.Owner only if the key is new.
// The slot of c.Owner must be that of the key (id.SlotOf), so that one key always meets one book. The day is set here.
// The errors are on OpenOwner, the command.
func (s *Service) OpenOwner(ctx context.Context, c OpenOwner) (id.ID, error) {
	if c.Owner.Slot() != id.SlotOf(c.Key.ID[:]) {
		return id.Nil, fault.Bug.New("an owner's id that is not in the slot of its key")
	}
	c.Day = s.calendar(c.Key.Tenant, c.EffectiveAt)
	return do[id.ID](ctx, s.book(c.Owner), &c)
}

// Credit adds to an account out of suspense. A request with a known key gets the first answer, refusals included. The
// day is set here. The errors are on AddCredit, the command.
func (s *Service) Credit(ctx context.Context, c AddCredit) (Credit, error) {
	c.Day = s.calendar(c.Key.Tenant, c.EffectiveAt)
	b := s.book(c.Account)
	reply, err := b.Do(ctx, &c)
	if err != nil {
		return Credit{}, err
	}
	if r, ok := reply.(Repeated); ok {
		return do[Credit](ctx, b, &GetCredit{c.Key.Tenant, r.ID})
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
		return do[Account](ctx, s.book(x), &SetStatus{t, x, how})
	case ledger.Open, ledger.Closed: // Lift and Close do that
	}
	return Account{}, fault.InvalidRequest.New("%v is no way to suspend an account", how)
}

// Lift ends a suspension.
//
// Errors: account_not_found, account_closed.
func (s *Service) Lift(ctx context.Context, t id.Tenant, x id.ID) (Account, error) {
	return do[Account](ctx, s.book(x), &SetStatus{t, x, ledger.Open})
}

// Close closes an account for good.
//
// Errors: account_not_found, account_not_empty.
func (s *Service) Close(ctx context.Context, t id.Tenant, x id.ID) (Account, error) {
	return do[Account](ctx, s.book(x), &SetStatus{t, x, ledger.Closed})
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
	seen := map[tcc.BlockRef]bool{}
	var out []tcc.Entry
	for _, r := range receipts {
		ref := tcc.BlockRef{Book: r.Book, Seq: r.Seq}
		if ref.Seq == 0 || seen[ref] { // 0: it was answered without a block
			continue
		}
		seen[ref] = true
		b, err := s.block(ctx, ref)
		if err != nil {
			return nil, err
		}
		found, err := entriesOf(b, t, payment.Root())
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (s *Service) block(ctx context.Context, ref tcc.BlockRef) (*journal.Block, error) {
	if !slices.ContainsFunc(s.books, func(b Book) bool { return b.Name() == ref.Book }) {
		return nil, fault.DataDamaged.New("a receipt names the book %s, which is none of the balance service", ref.Book)
	}
	blocks, err := s.log.Read(ctx, ref.Book, ref.Seq, 1)
	if err != nil {
		return nil, err
	}
	if len(blocks) == 0 {
		return nil, fault.DataDamaged.New("a receipt names block %d of book %s, which does not exist", ref.Seq, ref.Book)
	}
	return blocks[0], nil
}
