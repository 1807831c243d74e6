package balance

import (
	"fmt"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// Violation is an invariant that does not hold: I1 … I6 and I8 of the platform's list.
type Violation struct {
	Invariant string
	Key       book.Key // of the account or branch; a tenant's, where it is about all of them
	Message   string
}

type checker struct{ found []Violation }

func (c *checker) report(invariant string, k book.Key, format string, args ...any) {
	c.found = append(c.found, Violation{invariant, k, fmt.Sprintf(format, args...)})
}

// result returns what was found, in the order of keys.
func (c *checker) result() []Violation {
	slices.SortStableFunc(c.found, func(a, b Violation) int {
		if a.Key.Tenant != b.Key.Tenant {
			return int(a.Key.Tenant) - int(b.Key.Tenant)
		}
		return a.Key.ID.Compare(b.Key.ID)
	})
	return c.found
}

// Check checks what holds within one book, over the rows that are in memory: all of them must be.
func Check(m *Machine) []Violation {
	var c checker
	open := make(map[book.Key]int64)
	m.EachBranch(func(k book.Key, b *Branch) {
		c.branch(k, b)
		if b.held() {
			open[book.Key{Tenant: k.Tenant, ID: b.Account}] += b.Hold.Open()
		}
	})
	tenants := make(map[id.Tenant][]*ledger.Account)
	m.EachAccount(func(k book.Key, a *Account) {
		if err := a.Check(); err != nil {
			c.report("I4", k, "%v", err)
		}
		if a.Kind != KindOf(k.ID) || a.MayGoNegative != a.Kind.own() {
			c.report("I4", k, "an account of kind %d under an id of kind %d", a.Kind, KindOf(k.ID))
		}
		if a.DebitsPending != open[k] || a.CreditsPending != 0 {
			c.report("I5", k, "%d is held, and %d of the holds is open", a.DebitsPending, open[k])
		}
		delete(open, k)
		tenants[k.Tenant] = append(tenants[k.Tenant], &a.Account)
	})
	for k, minor := range open {
		if minor != 0 {
			c.report("I5", k, "holds of %d on an account that does not exist", minor)
		}
	}
	for t, accounts := range tenants {
		for _, trial := range ledger.Total(slices.Values(accounts)) {
			if !trial.Balanced() {
				c.report("I2", book.Key{Tenant: t}, "%v debited and %v credited in %v", trial.Debits, trial.Credits, trial.Currency)
			}
		}
	}
	return c.result()
}

// branch checks that a hold ends once, and stands where its branch says.
func (c *checker) branch(k book.Key, b *Branch) {
	h := &b.Hold
	captured := int64(0)
	for i := range b.Captures {
		captured += b.Captures[i].Amount
	}
	fits := false
	switch b.Status {
	case branch.Held:
		fits = b.held() && !h.Ended()
	case branch.Confirmed:
		fits = b.held() && h.Ended() && h.Posted > 0
	case branch.Cancelled:
		fits = h.Released == h.Amount && h.Posted == 0
	case branch.Refused, branch.Added:
		fits = !b.held() && h.Posted == 0 && h.Released == 0
	}
	if b.held() && h.Check() != nil || !fits || captured != h.Posted {
		c.report("I6", k, "a branch that is %v with %d held, %d posted (%d captured), %d released", b.Status, h.Amount, h.Posted,
			captured, h.Released)
	}
}

// Audit adds up the entries of a book's journal by itself, to compare the sums with the accounts.
type Audit struct {
	checker
	tallies map[book.Key]*tally
}

type tally struct {
	currency money.Currency
	account  ledger.Account // its counters only
}

// NewAudit returns an audit that has seen nothing.
func NewAudit() *Audit { return &Audit{tallies: make(map[book.Key]*tally)} }

// Add counts an event of the journal, as the machine's Decode gives it.
func (a *Audit) Add(ev any) {
	t, e := entryOf(ev)
	if e == nil || len(e.Legs)+len(e.Holds) == 0 {
		return
	}
	if err := e.Check(); err != nil {
		a.report("I1", book.Key{Tenant: t}, "%v", err)
		return
	}
	var touched []*tally
	touch := func(x id.ID) *tally {
		k := book.Key{Tenant: t, ID: x}
		y := a.tallies[k]
		if y == nil {
			y = &tally{}
			a.tallies[k] = y
		}
		if !slices.Contains(touched, y) {
			touched = append(touched, y)
			y.account.Version++
		}
		return y
	}
	for i := range e.Holds {
		h := &e.Holds[i]
		touch(h.Account).account.DebitsPending += h.Opened - h.Posted - h.Released
	}
	for i := range e.Legs {
		l := &e.Legs[i]
		y := touch(l.Account)
		if y.currency == 0 {
			y.currency = l.Amount.Currency
		}
		if y.currency != l.Amount.Currency {
			a.report("I8", book.Key{Tenant: t, ID: l.Account}, "an account in %v has a leg in %v", y.currency, l.Amount.Currency)
		}
		if l.Side == ledger.Debit {
			y.account.DebitsPosted += l.Amount.Minor
		} else {
			y.account.CreditsPosted += l.Amount.Minor
		}
		if KindOf(l.Account).own() {
			y.bringForward()
		}
	}
}

// bringForward does to sums what the ledger does to the platform's own accounts (ledger.Carry).
func (y *tally) bringForward() {
	for y.account.DebitsPosted >= ledger.Carry && y.account.CreditsPosted >= ledger.Carry {
		y.account.DebitsPosted -= ledger.Carry
		y.account.CreditsPosted -= ledger.Carry
	}
}

// Compare returns what was wrong with the entries, and every account whose balance or version is not the sum of its
// entries (I3). All of m's rows must be in memory.
func (a *Audit) Compare(m *Machine) []Violation {
	left := len(a.tallies)
	m.EachAccount(func(k book.Key, row *Account) {
		y := a.tallies[k]
		if y == nil {
			y = &tally{}
		} else {
			left--
		}
		w, r := &y.account, &row.Account
		if w.DebitsPosted != r.DebitsPosted || w.CreditsPosted != r.CreditsPosted || w.DebitsPending != r.DebitsPending || w.Version != r.Version {
			a.report("I3", k, "entries say %d debited, %d credited, %d held, version %d; the account says %d, %d, %d, %d",
				w.DebitsPosted, w.CreditsPosted, w.DebitsPending, w.Version, r.DebitsPosted, r.CreditsPosted, r.DebitsPending, r.Version)
		}
		if y.currency != 0 && y.currency != r.Currency {
			a.report("I8", k, "entries in %v on an account in %v", y.currency, r.Currency)
		}
	})
	if left > 0 {
		a.report("I3", book.Key{}, "%d accounts have entries and no row", left)
	}
	return a.result()
}

func entryOf(ev any) (id.Tenant, *entry) {
	switch e := ev.(type) {
	case *accountOpened:
		return e.Tenant, &e.Entry
	case *credited:
		return e.Tenant, &e.Entry
	}
	if _, p, _, e := told(ev); p != nil {
		return p.Tenant, e
	}
	return 0, nil
}
