package judge

import (
	"slices"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	journalv1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// balances is the witness of the balance service: its messages carry the legs.
type balances struct {
	j      *Judge
	ledger *Ledger
}

func newBalance(j *Judge) Witness {
	own := func(x id.ID) (string, bool) {
		k := balance.KindOf(x)
		return k.String(), k >= balance.PaymentClearing && k <= balance.Fees
	}
	return &balances{j, j.newLedger("balance", "balance_accounts", own)}
}

// part is what the messages about a branch have in common.
type part interface {
	GetTenant() uint32
	GetBranch() []byte
	GetAccount() []byte
}

func branchOf(m part, table string) Branch {
	x := Branch{Tenant: id.Tenant(m.GetTenant()), ID: toID(m.GetBranch()), Account: toID(m.GetAccount()), Table: table}
	if timed, ok := m.(interface{ GetEffectiveAt() int64 }); ok {
		x.At = timed.GetEffectiveAt()
	}
	return x
}

const balanceBranches = "balance_branches"

// Event implements Witness.
func (w *balances) Event(e *Event, typ uint32, body []byte) error {
	switch typ {
	case 16:
		return with(body, &journalv1.AccountOpened{}, func(m *journalv1.AccountOpened) {
			a := w.ledger.Open(e, id.Tenant(m.Tenant), toID(m.Account), money.Currency(m.Currency))
			a.Limits = limits(m.Cap, m.LimitDayIn, m.LimitDayOut, m.LimitMonthIn, m.LimitMonthOut)
			w.entry(e, m, m.Legs, m.Currency, -m.Amount)
			e.Key("balance_keys", id.Tenant(m.Tenant), m.Key, owner(m.Account), m.Fingerprint)
		})
	case 17:
		return with(body, &journalv1.StatusChanged{}, func(m *journalv1.StatusChanged) {
			t, x := id.Tenant(m.Tenant), toID(m.Account)
			w.ledger.Says(e, t, x, "posted", m.Posted, (*Account).Posted)
			if a := w.ledger.accounts.get(book.Key{Tenant: t, ID: x}); a != nil {
				a.Status, a.changed = ledger.Status(m.Status), true
				w.j.change(e.at.Book, "balance_accounts", book.Key{Tenant: t, ID: x})
			}
		})
	case 18:
		return with(body, &journalv1.Credited{}, func(m *journalv1.Credited) {
			t, x := id.Tenant(m.Tenant), toID(m.Account)
			w.entry(e, m, m.Legs, m.Currency, -m.Amount)
			w.ledger.Says(e, t, x, "posted", m.Posted, (*Account).Posted)
			w.ledger.Says(e, t, x, "available", m.Available, (*Account).Available)
			e.Key("balance_keys", t, m.Key, m.Credit, m.Fingerprint)
			e.Once("balance_credits", book.Key{Tenant: t, ID: toID(m.Credit)}, hex(m.Account), num(m.Currency), num(m.Amount), num(m.Posted), num(m.Available), "")
		})
	case 19:
		return with(body, &journalv1.CreditRefused{}, func(m *journalv1.CreditRefused) {
			e.Key("balance_keys", id.Tenant(m.Tenant), m.Key, m.Credit, m.Fingerprint)
			e.Once("balance_credits", book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Credit)}, hex(m.Account), num(m.Currency), num(m.Amount), "0", "0", m.Code)
		})
	}
	return w.verb(e, typ, body)
}

// verb reads the messages about a branch.
func (w *balances) verb(e *Event, typ uint32, body []byte) error {
	available := func(m interface {
		part
		GetAvailable() int64
	},
	) {
		w.ledger.Says(e, id.Tenant(m.GetTenant()), toID(m.GetAccount()), "available", m.GetAvailable(), (*Account).Available)
	}
	switch typ {
	case 20:
		return with(body, &journalv1.Held{}, func(m *journalv1.Held) {
			x := branchOf(m, balanceBranches)
			e.Hold(x, money.Of(m.Amount, money.Currency(m.Currency)))
			e.InTime(x, m.NotAfter)
			w.ledger.gives(e, x.Tenant, x.Account)
			w.ledger.Entry(e, id.Tenant(m.Tenant), nil, HeldChange{toID(m.Account), m.Amount})
			available(m)
		})
	case 21:
		return with(body, &journalv1.TryRefused{}, func(m *journalv1.TryRefused) {
			e.Refuse(branchOf(m, balanceBranches), money.Of(m.Amount, money.Currency(m.Currency)), m.Code)
		})
	case 22:
		return with(body, &journalv1.Confirmed{}, func(m *journalv1.Confirmed) {
			e.Take(branchOf(m, balanceBranches), m.Amount, m.Released)
			w.entry(e, m, m.Legs, m.Currency, m.Amount, HeldChange{toID(m.Account), -m.Amount - m.Released})
			available(m)
		})
	case 23:
		return with(body, &journalv1.Cancelled{}, func(m *journalv1.Cancelled) {
			e.LetGo(branchOf(m, balanceBranches), m.Released)
			if m.Released != 0 {
				w.ledger.Entry(e, id.Tenant(m.Tenant), nil, HeldChange{toID(m.Account), -m.Released})
				available(m)
			}
		})
	case 24:
		return with(body, &journalv1.Added{}, func(m *journalv1.Added) {
			e.Add(branchOf(m, balanceBranches), money.Of(m.Amount, money.Currency(m.Currency)), m.Code)
			minor := -m.Amount
			if m.Code != "" {
				minor = 0 // it stands in suspense
			}
			w.entry(e, m, m.Legs, m.Currency, minor)
			available(m)
		})
	}
	return errType
}

// entry judges an entry, and that it moves on the account what the message says: above zero a debit (I3).
func (w *balances) entry(e *Event, m interface {
	GetTenant() uint32
	GetAccount() []byte
}, list []*journalv1.Leg, currency uint32, minor int64, held ...HeldChange,
) {
	all, x := legs(list, currency), toID(m.GetAccount())
	for _, l := range all {
		if l.Account == x {
			minor -= l.Amount.Minor
		}
	}
	e.Check(minor == 0, "I3", w.j.Account(x), "the entry on it is %d less than the message says", minor)
	w.ledger.Entry(e, id.Tenant(m.GetTenant()), all, held...)
}

func legs(list []*journalv1.Leg, currency uint32) (out []Leg) {
	for _, m := range list {
		minor := m.Amount
		if m.Credit {
			minor = -minor
		}
		out = append(out, Leg{toID(m.Account), money.Of(minor, money.Currency(currency))})
	}
	return out
}

func limits(n ...int64) *[5]int64 {
	if !slices.ContainsFunc(n, func(x int64) bool { return x != 0 }) {
		return nil
	}
	return (*[5]int64)(n)
}

// owner returns the id of an account's owner.
func owner(account []byte) []byte {
	x := toID(account).Root()
	return x[:]
}

// Tables implements Witness.
func (w *balances) Tables() []*Table {
	accounts := w.ledger.rows([]string{
		"currency", "status", "debits_posted", "credits_posted", "debits_pending", "version", "cap",
		"limit_day_in", "limit_day_out", "limit_month_in", "limit_month_out", "credits_pending", "rest",
	}, func(a *Account) []string {
		l := a.Limits
		if l == nil {
			l = &[5]int64{}
		}
		return []string{
			num(a.Currency), a.Status.String(), num(a.Debits), num(a.Credits), num(a.Held), num(a.Version), num(l[0]), num(l[1]), num(l[2]),
			num(l[3]), num(l[4]), "0",
		} // nothing is ever held that would be added
	})
	accounts.Stays = 1
	accounts.Believe = func(k book.Key, v []any) bool {
		status, _ := ledger.ParseStatus(text(v[1]))
		w.ledger.believe(k, &Account{
			Currency: money.Currency(integer(v[0])), Status: status, Debits: integer(v[2]), Credits: integer(v[3]),
			Held: integer(v[4]), Version: uint64(integer(v[5])), Limits: limits(integer(v[6]), integer(v[7]), integer(v[8]), integer(v[9]), integer(v[10])),
		})
		return true
	}
	branches := w.j.branchRows(balanceBranches, []string{"status", "account", "currency", "amount", "posted", "released", "code", "rest"}, func(b *branch) []string {
		return []string{b.state.word(), hex(b.account[:]), num(b.currency), num(b.amount), num(b.posted), num(b.released), b.code}
	})
	branches.Stays = 1
	branches.Believe = func(k book.Key, v []any) bool {
		if text(v[0]) != held.word() {
			return false
		}
		w.j.believe(k, &branch{
			service: "balance", state: held, account: idOf(v[1]), currency: money.Currency(integer(v[2])),
			amount: integer(v[3]), posted: integer(v[4]), released: integer(v[5]),
		})
		return true
	}
	return []*Table{
		accounts, branches, keyRows("balance_keys"),
		once("balance_credits", "account", "currency", "amount", "posted", "available", "code"),
	}
}

// believe takes an account for what its row says.
func (l *Ledger) believe(k book.Key, a *Account) {
	a.kind, a.own = l.own(k.ID)
	a.since = l.j.now
	l.add(k, a)
	l.accounts.saw(k, a)
	if a.own {
		l.purses[purse{k.Tenant, a.kind, a.Currency}] += a.Posted()
	}
}

// rows returns the table of a ledger's accounts.
func (l *Ledger) rows(columns []string, want func(*Account) []string) *Table {
	return &Table{
		Name: l.table, Columns: columns, Stands: true,
		Want: func(k book.Key) []string {
			if a := l.accounts.get(k); a != nil {
				return want(a)
			}
			return nil
		},
		Rest: func(k book.Key) *rest {
			a := l.accounts.get(k)
			if a == nil {
				return nil
			}
			a.changed = a.changed || !a.rest.seen
			return &a.rest
		},
		Saw:     func(k book.Key) { l.accounts.saw(k, l.accounts.get(k)) },
		Missing: l.accounts.missing,
	}
}

// believe takes a branch that holds something for what its row says.
func (j *Judge) believe(k book.Key, b *branch) {
	j.branches[k] = b
	j.holds(k.Tenant, b, 0)
}

// branchRows returns a table of branches.
func (j *Judge) branchRows(name string, columns []string, want func(*branch) []string) *Table {
	service := name[:len(name)-len("_branches")]
	return &Table{
		Name: name, Columns: columns,
		Want: func(k book.Key) []string {
			if b := j.branches[k]; b != nil && b.service == service {
				return want(b)
			}
			return nil
		},
		Rest: func(k book.Key) *rest {
			if b := j.branches[k]; b != nil && b.service == service {
				return &b.rest
			}
			return nil
		},
		Saw: func(k book.Key) { j.branches[k].seen = j.sweep },
		Missing: func(volume int, began clock.Micros) (out []book.Key) {
			for k, b := range j.branches {
				if b.service == service && b.account.Volume(j.Volumes) == volume && b.at < began && b.seen < j.sweep {
					out = append(out, k)
				}
			}
			return out
		},
	}
}

// once returns a table whose rows never change.
func once(name string, columns ...string) *Table {
	return &Table{Name: name, Columns: columns, Want: func(book.Key) []string { return nil }}
}

// keyRows returns a table of callers' keys.
func keyRows(name string) *Table {
	t := once(name, "target", "fingerprint")
	t.keys = true
	return t
}

func idOf(v any) id.ID {
	b, _ := v.([]byte)
	return toID(b)
}

func integer(v any) int64 {
	n, _ := v.(int64)
	return n
}
