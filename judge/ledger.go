package judge

import (
	"fmt"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// Ledger adds up the entries of one service that keeps accounts (I1 to I6, I8).
type Ledger struct {
	j        *Judge
	service  string
	table    string                              // of its accounts
	own      func(id.ID) (kind string, own bool) // whether an account is a volume's own
	accounts accounts
	purses   map[purse]int64       // credits less debits of the volumes' own accounts, over all volumes
	sums     map[pool]int64        // credits less debits of all accounts
	uneven   map[book.Key]struct{} // accounts that hold something else than open holds hold on them
	loose    map[book.Key]int64    // what open holds hold on accounts that are not known
}

// pool is the accounts of one tenant in one volume and currency.
type pool struct {
	volume   int
	tenant   id.Tenant
	currency money.Currency
}

// Account is what the journal says of one account.
type Account struct {
	Currency money.Currency
	Status   ledger.Status
	Debits   int64
	Credits  int64
	Held     int64
	Version  uint64
	Limits   *[5]int64 // cap, in and out of a day, in and out of a month; nil: none
	own      bool
	kind     string
	since    clock.Micros // when it was opened, or first judged
	n        int          // its number among those of its volume
	open     int64        // what open holds hold on it
	rest     rest
	changed  bool  // since it came from the attic
	lots     []lot // of an account of points
	nextLot  int64
}

// Posted returns what stands on the account.
func (a *Account) Posted() int64 { return a.Credits - a.Debits }

// Available returns what is not held of it.
func (a *Account) Available() int64 { return a.Posted() - a.Held }

// Leg is one side of an entry: above zero a debit, below zero a credit.
type Leg struct {
	Account id.ID
	Amount  money.Amount
}

// HeldChange is a change of what an account holds, above zero more.
type HeldChange struct {
	Account id.ID
	Minor   int64
}

// purse is a kind of a volume's own accounts, over all volumes.
type purse struct {
	tenant   id.Tenant
	kind     string
	currency money.Currency
}

// newLedger returns the ledger of a service. own says which ids are a volume's own accounts.
func (j *Judge) newLedger(service, table string, own func(id.ID) (string, bool)) *Ledger {
	l := &Ledger{
		j: j, service: service, table: table, own: own, accounts: newAccounts(j.Volumes), purses: map[purse]int64{},
		sums: map[pool]int64{}, uneven: map[book.Key]struct{}{}, loose: map[book.Key]int64{},
	}
	if j.Attic != nil {
		l.accounts.attic, l.accounts.most = j.Attic.Shelf("accounts "+table), j.inUse()
	}
	j.ledgers[service] = l
	return l
}

// Open judges that an account was opened, and returns it.
func (l *Ledger) Open(e *Event, t id.Tenant, x id.ID, c money.Currency) *Account {
	k := book.Key{Tenant: t, ID: x}
	_, own := l.own(x)
	e.Check(l.accounts.get(k) == nil && !own, "I3", l.j.Account(x), "it was opened twice, or is a volume's own")
	a := &Account{Currency: c, Status: ledger.Open, since: e.At}
	l.add(k, a)
	l.j.change(e.at.Book, l.table, k)
	return a
}

// add makes an account known.
func (l *Ledger) add(k book.Key, a *Account) {
	a.open = l.loose[k]
	delete(l.loose, k)
	l.accounts.add(k, a)
	l.sums[l.pool(k, a)] += a.Posted()
	l.even(k, a)
}

func (l *Ledger) pool(k book.Key, a *Account) pool {
	return pool{k.ID.Volume(l.j.Volumes), k.Tenant, a.Currency}
}

// even notes whether an account holds what open holds hold on it.
func (l *Ledger) even(k book.Key, a *Account) {
	if a.Held == a.open {
		delete(l.uneven, k)
	} else {
		l.uneven[k] = struct{}{}
	}
}

// holds counts what an open hold holds more on an account than before.
func (l *Ledger) holds(k book.Key, more int64) {
	a := l.accounts.get(k)
	if a == nil {
		if l.loose[k] += more; l.loose[k] == 0 {
			delete(l.loose, k)
		}
		return
	}
	a.open, a.changed = a.open+more, true
	l.even(k, a)
}

// Entry judges one entry of the journal. An entry without legs and changes is none.
func (l *Ledger) Entry(e *Event, t id.Tenant, legs []Leg, held ...HeldChange) {
	if len(legs)+len(held) == 0 {
		return
	}
	l.balanced(e, legs)
	var touched []id.ID
	touch := func(x id.ID, c money.Currency) *Account {
		a := l.account(e, t, x, c)
		if a != nil && !slices.Contains(touched, x) {
			touched = append(touched, x)
			a.Version++
			a.changed = true
		}
		return a
	}
	for _, h := range held {
		if a := touch(h.Account, 0); a != nil {
			a.Held += h.Minor
		}
	}
	for _, leg := range legs {
		a := touch(leg.Account, leg.Amount.Currency)
		if a == nil {
			continue
		}
		e.Check(a.Currency == leg.Amount.Currency, "I8", l.j.Account(leg.Account), "it is in %v, and has a leg in %v", a.Currency, leg.Amount.Currency)
		if leg.Amount.Minor > 0 {
			a.Debits += leg.Amount.Minor
		} else {
			a.Credits -= leg.Amount.Minor
		}
		l.sums[l.pool(book.Key{Tenant: t, ID: leg.Account}, a)] -= leg.Amount.Minor
		if a.own {
			l.purses[purse{t, a.kind, a.Currency}] -= leg.Amount.Minor
		}
	}
	for _, x := range touched {
		k := book.Key{Tenant: t, ID: x}
		a := l.accounts.get(k)
		a.bringForward()
		l.even(k, a)
		l.bounded(e, a, x)
		e.Check(a.Held >= 0 && (a.own || a.Available() >= 0), "I4", l.j.Account(x), "%d stand on it and %d are held: %d are available", a.Posted(), a.Held, a.Available())
		l.j.change(e.at.Book, l.table, k)
	}
}

// bringForward does to the sums of a volume's own account what the ledger does (ledger.Carry).
func (a *Account) bringForward() {
	for a.own && a.Debits >= ledger.Carry && a.Credits >= ledger.Carry {
		a.Debits, a.Credits = a.Debits-ledger.Carry, a.Credits-ledger.Carry
	}
}

// bounded judges that no more was brought in than may be (BL8), and that what an owner has can be told.
func (l *Ledger) bounded(e *Event, a *Account, x id.ID) {
	if a.own {
		e.Check(a.kind != "suspense" || a.Posted() >= -ledger.Supply(l.j.Volumes), "BL8", l.j.Account(x),
			"%d were brought in, at most %d may be", -a.Posted(), ledger.Supply(l.j.Volumes))
		return
	}
	e.Check(a.Posted() <= money.MaxWire, "BL8", l.j.Account(x), "%d stand on it, at most %d may", a.Posted(), int64(money.MaxWire))
}

// balanced judges that debits and credits are the same in every currency (I1).
func (l *Ledger) balanced(e *Event, legs []Leg) {
	ok := len(legs) != 1
	for i, leg := range legs {
		sum := int64(0)
		for _, other := range legs {
			if other.Amount.Currency == leg.Amount.Currency {
				sum += other.Amount.Minor
			}
		}
		ok = ok && sum == 0 && leg.Amount.Minor != 0
		e.Check(leg.Account.Volume(l.j.Volumes) == e.Volume(), "I1", l.j.Account(legs[i].Account), "an entry of this book moves money on it, and it is in volume %d",
			leg.Account.Volume(l.j.Volumes))
	}
	e.Check(ok, "I1", Name{}, "an entry does not balance: %v", legs)
}

// account returns an account that an entry names; nil if it may be older than what is judged.
func (l *Ledger) account(e *Event, t id.Tenant, x id.ID, c money.Currency) *Account {
	k := book.Key{Tenant: t, ID: x}
	a := l.accounts.get(k)
	if a != nil {
		return a
	}
	if e.based() {
		return nil // its row will say
	}
	kind, own := l.own(x)
	e.Check(own, "I3", l.j.Account(x), "it has an entry, and was never opened")
	a = &Account{Currency: c, Status: ledger.Open, own: own, kind: kind, since: e.At}
	l.add(k, a)
	return a
}

// Says judges what an event says of an account afterwards: what the service believed must be what the journal gives (I3).
func (l *Ledger) Says(e *Event, t id.Tenant, x id.ID, what string, said int64, f func(*Account) int64) {
	if a := l.accounts.get(book.Key{Tenant: t, ID: x}); a != nil {
		e.Check(said == f(a), "I3", l.j.Account(x), "the service says that %d are %s, the entries give %d", said, what, f(a))
	}
}

// gives judges that an account may give out what is set aside on it (BL7): whatever its status, it ends what it holds.
func (l *Ledger) gives(e *Event, t id.Tenant, x id.ID) {
	if a := l.accounts.get(book.Key{Tenant: t, ID: x}); a != nil {
		e.Check(a.Status == ledger.Open || a.Status == ledger.NoIn, "BL7", l.j.Account(x), "something is set aside on it, and it is %v", a.Status)
	}
}

// total judges that a volume's accounts sum to nothing, in every currency (I2), and that what is held is what open holds
// hold (I5). All accounts must be known.
func (l *Ledger) total() {
	l.j.checked["I5"] += int64(l.accounts.len())
	for _, k := range sortedKeys(l.uneven) {
		a := l.accounts.get(k)
		l.j.Found(Violation{
			Invariant: "I5", Book: l.service, Subject: l.j.Account(k.ID).String(),
			Message: fmt.Sprintf("%d are held, and open holds hold %d", a.Held, a.open),
		})
	}
	for p, sum := range l.sums {
		l.j.check(sum == 0, "I2", book.Name(l.service, p.volume), Name{}, "all accounts of tenant %d in %v sum to %d, not to 0", p.tenant,
			p.currency, sum)
	}
}
