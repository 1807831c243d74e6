package points

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Reader is what the service needs of the journal to explain a payment: *journal.Journal.
type Reader interface {
	Read(ctx context.Context, book string, from uint64, limit int) ([]*journal.Block, error)
}

// Book is what the service needs of a volume's book: *book.Book, or a test's.
type Book interface {
	Name() string
	Do(ctx context.Context, cmd any) (any, error)
	Start(cmd any, done func(reply any, err error))
}

// Service keeps points. It is safe for concurrent use.
//
// Every method can fail with unavailable, timeout or fenced, after which nobody knows the outcome yet: ask again with
// the same request.
type Service struct {
	books []Book
	log   Reader
	ids   *id.Source
	clk   clock.Clock
}

var (
	_ tcc.Participant = (*Service)(nil)
	_ tcc.Receiver    = (*Service)(nil)
)

// New returns the service over its books, one per volume in order.
func New[B Book](books []B, log Reader, ids *id.Source, clk clock.Clock) *Service {
	s := &Service{log: log, ids: ids, clk: clk}
	for _, b := range books {
		s.books = append(s.books, b)
	}
	return s
}

// do submits a command to the book of the volume that owns x.
func do[R any](ctx context.Context, s *Service, x id.ID, cmd any) (R, error) {
	reply, err := s.books[x.Volume(len(s.books))].Do(ctx, cmd)
	if err != nil {
		var none R
		return none, err
	}
	return reply.(R), nil
}

// Open opens the points account of an owner, or finds it open, and returns it as it was when it was opened.
func (s *Service) Open(ctx context.Context, tenant id.Tenant, owner id.ID) (View, error) {
	return do[View](ctx, s, owner, &Open{Tenant: tenant, Owner: owner})
}

// Account returns an account, one of a volume's own too.
//
// Errors: account_not_found.
func (s *Service) Account(ctx context.Context, tenant id.Tenant, account id.ID) (View, error) {
	return do[View](ctx, s, account, &Read{Tenant: tenant, Account: account})
}

// SetStatus suspends an account, lifts that (ledger.Open), or closes it for good.
//
// Errors: account_not_found, account_closed, account_not_empty.
func (s *Service) SetStatus(ctx context.Context, tenant id.Tenant, account id.ID, to ledger.Status) (View, error) {
	return do[View](ctx, s, account, &SetStatus{Tenant: tenant, Account: account, Status: to})
}

// Request identifies what a caller asks for, for good: the same key and fingerprint get the first reply again.
type Request struct {
	Tenant      id.Tenant
	Key         [16]byte // HMAC of the caller's key; its scope is the account
	Fingerprint [16]byte // HMAC of the caller's request
}

// Credit adds a lot to an account, against suspense, for an operator. The amount is in PT; the lot expires at the given
// time, 0 for never.
//
// Errors: invalid_amount, amount_overflow, currency_mismatch, invalid_request (the lot would be over),
// account_not_found, account_suspended, account_closed, limit_exceeded (too many lots), supply_exhausted (P7),
// idempotency_key_reused.
func (s *Service) Credit(ctx context.Context, r Request, account id.ID, amount money.Amount, class Class, expiresAt clock.Micros) (Granted, error) {
	now := s.clk.Now()
	reply, err := do[any](ctx, s, account, &Grant{
		Tenant: r.Tenant, Key: r.Key, Fingerprint: r.Fingerprint, ID: s.ids.New(now, account.Slot()), Account: account, Amount: amount,
		Class: class, ExpiresAt: expiresAt, EffectiveAt: now,
	})
	if err != nil {
		return Granted{}, err
	}
	if again, ok := reply.(Repeated); ok {
		return do[Granted](ctx, s, account, &ReadGrant{Tenant: r.Tenant, ID: again.ID})
	}
	return reply.(Granted), nil
}

// Try implements tcc.Participant. The account is Owner.Facet(tcc.PointsAccount), and the amount is in PT.
//
// Refused with: invalid_id, invalid_amount, amount_overflow, currency_mismatch, try_too_late, try_after_cancel,
// account_not_found, account_suspended, account_closed, insufficient_funds; and id_reused.
func (s *Service) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s, r.Account, &r)
}

// Confirm implements tcc.Participant. To may name points_redeemed, which is the standard way out, and suspense.
//
// Refused with: invalid_id, invalid_request, invalid_amount, amount_overflow, currency_mismatch, sources_mismatch,
// not_tried, already_cancelled, hold_ended, exceeds_hold, limit_exceeded (MaxCaptures); and id_reused.
func (s *Service) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s, r.Account, &r)
}

// Cancel implements tcc.Participant. Points whose lot has expired meanwhile follow Rules.ReleaseDays.
//
// Refused with: invalid_id, already_confirmed; and id_reused.
func (s *Service) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s, r.Account, &r)
}

// Add implements tcc.Receiver. With an Origin, points return to the lots that its Confirm took them of, the last
// spent first; those whose lot has expired follow Rules.RefundDays. Without, they make a lot of free points that lives
// for Rules.AddDays. Funding may name points_redeemed, which is the standard for a refund, and suspense.
//
// Refused with: invalid_id, invalid_request, invalid_amount, amount_overflow, currency_mismatch, sources_mismatch,
// hold_not_found (the origin took nothing from this account), exceeds_captured (it took less); and id_reused.
func (s *Service) Add(ctx context.Context, r tcc.AddRequest) (tcc.Receipt, error) {
	return do[tcc.Receipt](ctx, s, r.Account, &r)
}

// Entries returns what the blocks that receipts name did for a payment, in the order of the receipts, each block once.
//
// Errors: data_damaged.
func (s *Service) Entries(ctx context.Context, tenant id.Tenant, payment id.ID, receipts []tcc.Receipt) ([]tcc.Entry, error) {
	type place struct {
		book string
		seq  uint64
	}
	seen := make(map[place]bool)
	var out []tcc.Entry
	for _, r := range receipts {
		if r.Seq == 0 || seen[place{r.Book, r.Seq}] {
			continue
		}
		seen[place{r.Book, r.Seq}] = true
		blocks, err := s.log.Read(ctx, r.Book, r.Seq, 1)
		if err != nil {
			return nil, err
		}
		v := s.volume(r.Book)
		if len(blocks) != 1 || v < 0 {
			return nil, fault.DataDamaged.New("a receipt names block %d of book %s, which does not exist", r.Seq, r.Book)
		}
		entries, err := NewMachine(v, len(s.books), nil).entries(tenant, payment, blocks[0])
		if err != nil {
			return nil, err
		}
		out = append(out, entries...)
	}
	return out, nil
}

// volume returns which volume a book is, -1 for a book that is not of this service.
func (s *Service) volume(name string) int {
	return slices.IndexFunc(s.books, func(b Book) bool { return b.Name() == name })
}
