package balance

import (
	"context"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// Handler serves this service's part of koban.balance.v1.AccountService: the accounts that are Here.
type Handler struct {
	Service *Service
	IDs     *id.Codec
	New     *id.Source
	Clock   clock.Clock
}

// Here reports whether the account with the given id is one of this service.
func Here(x id.ID) bool { return KindOf(x).owned() || KindOf(x).own() }

// GetAccount reads one account. The operator sees all, a customer app those of customers, a merchant its own.
//
// Errors: invalid_id, account_not_found, which is also said of what the caller may not see.
func (h *Handler) GetAccount(ctx context.Context, q *balancev1.GetAccountRequest) (*balancev1.Account, error) {
	x, err := h.account(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	return h.Account(ctx, rpc.From(ctx).Principal.Tenant, x)
}

// Account returns the message about one account, whoever asks.
//
// Errors: account_not_found.
func (h *Handler) Account(ctx context.Context, t id.Tenant, x id.ID) (*balancev1.Account, error) {
	a, err := h.Service.Account(ctx, t, x)
	if err != nil {
		return nil, err
	}
	return h.message(x, a.Currency, a.Posted(), a.Available(), a.Status), nil
}

// CreditAccount adds to an account out of suspense. The same key gets the first answer again, refusals included.
//
// Errors: invalid_id, invalid_amount, invalid_currency, currency_mismatch for points (these do not bind the key), and
// those of AddCredit.
func (h *Handler) CreditAccount(ctx context.Context, q *balancev1.CreditAccountRequest) (*balancev1.Account, error) {
	x, err := h.account(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	currency, err := money.ParseCurrency(q.GetAmount().GetCurrency())
	if err != nil {
		return nil, fault.InvalidCurrency.New("").WithParam("amount.currency")
	}
	if !currency.IsISO() {
		return nil, fault.CurrencyMismatch.New("the account is in money, not in points").WithParam("amount.currency")
	}
	if n := q.Amount.Value; n < 1 || n > money.MaxWire {
		return nil, fault.InvalidAmount.New("").WithParam("amount.value")
	}
	call, now := rpc.From(ctx), h.Clock.Now()
	c, err := h.Service.Credit(ctx, AddCredit{
		Key: book.Key{Tenant: call.Principal.Tenant, ID: id.ID(call.Key)}, Print: Print(call.Fingerprint),
		ID: h.New.New(now, x.Slot()), Account: x, Amount: money.Of(q.Amount.Value, currency), EffectiveAt: now,
	})
	if err != nil {
		return nil, err
	}
	return h.message(x, c.Amount.Currency, c.Posted, c.Available, c.Status), nil
}

// account reads the id of an account that the caller may see.
func (h *Handler) account(ctx context.Context, text string) (id.ID, error) {
	x, err := h.IDs.Decode(id.Account, text)
	if err != nil {
		return x, fault.InvalidID.New("%s", err.Error()).WithParam("id")
	}
	p, sees := &rpc.From(ctx).Principal, false
	switch p.Role {
	case rpc.Operator:
		sees = Here(x)
	case rpc.CustomerApp:
		sees = KindOf(x) == Balance
	case rpc.Merchant:
		sees = KindOf(x) == Payable && p.SeesMerchant(x.Root())
	}
	if !sees {
		return x, fault.AccountNotFound.New("")
	}
	return x, nil
}

func (h *Handler) message(x id.ID, c money.Currency, posted, available int64, s ledger.Status) *balancev1.Account {
	return &balancev1.Account{
		Id: h.IDs.Encode(id.Account, x), Owner: h.owner(x), Kind: KindOf(x).String(), Currency: c.Code(),
		Posted: posted, Held: posted - available, Available: available, Status: publicStatus(s),
	}
}

func (h *Handler) owner(x id.ID) string {
	if KindOf(x).own() {
		return h.Service.Book(x).Name()
	}
	return ownerText(h.IDs, x)
}

func ownerText(ids *id.Codec, x id.ID) string {
	if KindOf(x) == Payable {
		return ids.Encode(id.Merchant, x.Root())
	}
	return ids.Encode(id.Customer, x.Root())
}

func publicStatus(s ledger.Status) balancev1.AccountStatus {
	switch s {
	case ledger.Open:
		return balancev1.AccountStatus_ACCOUNT_STATUS_ACTIVE
	case ledger.Closed:
		return balancev1.AccountStatus_ACCOUNT_STATUS_CLOSED
	default:
		return balancev1.AccountStatus_ACCOUNT_STATUS_SUSPENDED
	}
}

// Announce returns what the public feed says of one event of the journal: its type, such as "account.credited", and its
// data. Only events that Machine.Public announces have one. It may be called by several goroutines at once.
//
// Errors: the event is not understood, or is not public.
func (m *Machine) Announce(typ uint32, body []byte, ids *id.Codec) (string, *balancev1.AccountEvent, error) {
	ev, err := decode(typ, body)
	if err != nil {
		return "", nil, err
	}
	switch e := ev.(type) {
	case *accountOpened:
		return "account.opened", announced(ids, e.Account, e.Terms.Currency, e.Opening, e.Opening, e.Opening, ledger.Open), nil
	case *credited:
		return "account.credited", announced(ids, e.Account, e.Amount.Currency, e.Amount.Minor, e.Posted, e.Available, e.Status), nil
	case *statusChanged:
		what := "account.suspended"
		switch e.Status {
		case ledger.Open:
			what = "account.restored"
		case ledger.Closed:
			what = "account.closed"
		case ledger.NoOut, ledger.NoIn, ledger.Suspended: // each is a suspension
		}
		return what, announced(ids, e.Account, e.Currency, 0, e.Posted, e.Available, e.Status), nil
	}
	return "", nil, fmt.Errorf("balance: an event of type %d is not public", typ)
}

func announced(ids *id.Codec, x id.ID, c money.Currency, amount, posted, available int64, s ledger.Status) *balancev1.AccountEvent {
	return &balancev1.AccountEvent{
		Account: ids.Encode(id.Account, x), Owner: ownerText(ids, x), Kind: KindOf(x).String(), Currency: c.Code(),
		Amount: amount, Posted: posted, Held: posted - available, Available: available, Status: publicStatus(s),
	}
}
