package points

import (
	"context"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
	"github.com/koban-pay/koban/tcc/verbs"
)

// Service keeps points. It is safe for concurrent use.
//
// Every method can fail with unavailable, timeout or fenced, after which nobody knows the outcome yet: ask again with
// the same request.
type Service struct {
	verbs.Receiving // the verbs: see plans for what they do here
	log             verbs.Log
	ids             *id.Source
	clk             clock.Clock
}

// New returns the service over its books, one per volume in order.
func New[B verbs.Book](books []B, log verbs.Log, ids *id.Source, clk clock.Clock, calendar branch.Calendar) *Service {
	s := &Service{log: log, ids: ids, clk: clk}
	s.Calendar = calendar
	for _, b := range books {
		s.Books = append(s.Books, b)
	}
	return s
}

// do submits a command to the book of the volume that owns x.
func do[R any](ctx context.Context, s *Service, x id.ID, cmd any) (R, error) {
	return verbs.Do[R](ctx, s.Book(x), cmd)
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

// Entries returns what the blocks that receipts name did for a payment, in the order of the receipts, each block once.
//
// Errors: data_damaged.
func (s *Service) Entries(ctx context.Context, tenant id.Tenant, payment id.ID, receipts []tcc.Receipt) ([]tcc.Entry, error) {
	return s.Receiving.Entries(ctx, s.log, tenant, payment, receipts, func(volume int, e journal.Event) (tcc.Branch, []tcc.Entry, error) {
		return NewMachine(volume, len(s.Books), nil).explained(e)
	})
}
