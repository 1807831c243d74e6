package balance

import (
	"cmp"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Kind says what an account is for. It is the facet of the account's id.
type Kind uint8

// The kinds: an owner's, and from PaymentClearing on a volume's own.
const (
	Balance Kind = Kind(tcc.BalanceAccount) // a customer's cash
	Payable Kind = Kind(tcc.PayableAccount) // what the platform owes a merchant

	PaymentClearing Kind = 16 // taken from payers, not yet given to payees
	PointsFunding   Kind = 17 // what the platform pays where a customer pays with points
	Suspense        Kind = 18 // what could not be placed, and where operators' credits come from
	Fees            Kind = 19 // what the platform earns
)

var kindWords = [...]string{
	Balance: "balance", Payable: "payable", PaymentClearing: "payment_clearing",
	PointsFunding: "points_funding", Suspense: "suspense", Fees: "fees",
}

// String returns the kind's word, such as "payable", and "" for what is no kind.
func (k Kind) String() string {
	if int(k) >= len(kindWords) {
		return ""
	}
	return kindWords[k]
}

// ParseKind is the inverse of String.
func ParseKind(word string) (Kind, bool) {
	for k, w := range kindWords {
		if w == word && w != "" {
			return Kind(k), true
		}
	}
	return 0, false
}

// parseOwn returns the kind of a volume's own account. It is a switch, because every Confirm and Add asks.
func parseOwn(word string) (Kind, bool) {
	switch word {
	case "payment_clearing":
		return PaymentClearing, true
	case "points_funding":
		return PointsFunding, true
	case "suspense":
		return Suspense, true
	case "fees":
		return Fees, true
	}
	return 0, false
}

func (k Kind) own() bool { return k >= PaymentClearing && k <= Fees }

func (k Kind) owned() bool { return k == Balance || k == Payable }

// KindOf returns the kind of the account with the given id. It has no word if x is no account of this service.
func KindOf(x id.ID) Kind { return Kind(x.Part()) }

// OwnAccount returns the id of a volume's own account: the volume's first slot, no time, the currency's number in the
// first two of the random bytes, and the kind as facet.
func OwnAccount(k Kind, c money.Currency, volume, volumes int) id.ID {
	return ownAccount(id.Compose(0, id.FirstSlot(volume, volumes), [9]byte{}), k, c)
}

// ownAccount is OwnAccount, given the first id of the volume.
func ownAccount(first id.ID, k Kind, c money.Currency) id.ID {
	first[8], first[9] = byte(c>>8), byte(c)
	return first.Facet(uint8(k))
}

func ownCurrency(x id.ID) money.Currency { return money.Currency(x[8])<<8 | money.Currency(x[9]) }

// Account is one account's row.
type Account struct {
	ledger.Account
	Kind     Kind
	OpenedAt clock.Micros // time of the block
}

// Terms are what an account is opened with, for good. Amounts are in minor units; 0 is no limit.
type Terms struct {
	Currency money.Currency // of ISO 4217
	Cap      int64          // the most that may stand on the account by receiving
	Limits   ledger.Limits
}

func (t *Terms) check() *fault.Error {
	if !t.Currency.IsISO() {
		return fault.InvalidCurrency.New("")
	}
	for _, n := range []int64{t.Cap, t.Limits.DayIn, t.Limits.DayOut, t.Limits.MonthIn, t.Limits.MonthOut} {
		if n < 0 || n > money.MaxStored {
			return fault.InvalidRequest.New("a cap or limit of %d", n)
		}
	}
	return nil
}

// Terms returns what the account was opened with.
func (a *Account) Terms() Terms { return Terms{a.Currency, a.Cap, a.Limits} }

// newAccount returns the row of a new account, of an owner or of a volume.
func newAccount(x id.ID, t Terms, at clock.Micros) Account {
	k := KindOf(x)
	return Account{Kind: k, OpenedAt: at, Account: ledger.Account{
		Currency: t.Currency, Normal: ledger.Credit,
		Status: ledger.Open, MayGoNegative: k.own(), Cap: t.Cap, Limits: t.Limits,
	}}
}

func (m *Machine) account(t id.Tenant, x id.ID) *Account {
	return m.accounts.Get(book.Key{Tenant: t, ID: x})
}

// replyAccount answers with the account as the events leave it.
func (m *Machine) replyAccount(t id.Tenant, x id.ID, out *book.Decision) {
	out.ReplyAfter(func() any { return *m.account(t, x) })
}

func (m *Machine) get(c *Get, out *book.Decision) *fault.Error {
	a := m.account(c.Tenant, c.Account)
	if a == nil {
		return fault.AccountNotFound.New("")
	}
	out.Reply(*a)
	return nil
}

func (m *Machine) open(c *Open, out *book.Decision) *fault.Error {
	if !m.owner(c.Account) {
		return fault.AccountNotFound.New("")
	}
	if err := c.Terms.check(); err != nil {
		return err
	}
	switch a := m.account(c.Tenant, c.Account); {
	case a == nil:
		out.Emit(&accountOpened{Tenant: c.Tenant, Account: c.Account, Terms: c.Terms})
	case a.Terms() != c.Terms:
		return fault.AccountExists.New("")
	}
	m.replyAccount(c.Tenant, c.Account, out)
	return nil
}

func (m *Machine) openOwner(c *OpenOwner, out *book.Decision) *fault.Error {
	if known, err := m.known(c.Key, c.Print); known != nil || err != nil {
		if err == nil {
			out.Reply(known.Target)
		}
		return err
	}
	account := c.Owner.Facet(uint8(c.Kind))
	switch {
	case !m.owner(account):
		return fault.AccountNotFound.New("")
	case m.account(c.Key.Tenant, account) != nil:
		return fault.AccountExists.New("")
	}
	if err := c.Terms.check(); err != nil {
		return err
	}
	ev := &accountOpened{
		Tenant: c.Key.Tenant, Account: account, Terms: c.Terms, Opening: c.Opening, EffectiveAt: c.EffectiveAt,
		Key: c.Key.ID, Print: c.Print,
	}
	if c.Opening != 0 {
		row := newAccount(account, c.Terms, 0)
		s, amount := m.of(c.Key.Tenant), money.Of(c.Opening, c.Terms.Currency)
		e, err := ledger.Plan(opening{s, account, &row.Account}, c.Day, ledger.Move(m.Own(Suspense, amount.Currency), account, amount))
		if err == nil {
			err = cmp.Or(canReceive(&row, amount, c.Day), m.canBringIn(s, amount))
		}
		if err != nil {
			return err
		}
		ev.Entry = e
	}
	out.Emit(ev)
	out.Reply(c.Owner.Root())
	return nil
}

// opening shows the ledger an account that is about to be opened.
type opening struct {
	*scope
	id  id.ID
	row *ledger.Account
}

// Account implements ledger.View.
func (o opening) Account(x id.ID) *ledger.Account {
	if x == o.id {
		return o.row
	}
	return o.scope.Account(x)
}

// known returns what a caller's key stands for, nil if it is new.
func (m *Machine) known(k book.Key, p Print) (*book.KeyEntry, *fault.Error) {
	e := m.keys.Get(k)
	if e != nil && e.Fingerprint != p {
		return nil, fault.IdempotencyKeyReused.New("")
	}
	return e, nil
}

func (m *Machine) setStatus(c *SetStatus, out *book.Decision) *fault.Error {
	a := m.account(c.Tenant, c.Account)
	if a == nil || !m.owner(c.Account) {
		return fault.AccountNotFound.New("")
	}
	if a.Status != c.Status {
		if err := a.CanBecome(c.Status); err != nil {
			return err
		}
		out.Emit(&statusChanged{
			Tenant: c.Tenant, Account: c.Account, Currency: a.Currency, Status: c.Status,
			Posted: a.Posted(), Available: a.Available(),
		})
	}
	m.replyAccount(c.Tenant, c.Account, out)
	return nil
}
