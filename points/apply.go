package points

import (
	"fmt"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc/branch"
)

// TouchEvent implements book.Machine.
func (m *Machine) TouchEvent(ev any, t *book.Touch) {
	switch e := ev.(type) {
	case *opened:
		m.touch(t, e.Tenant, id.Nil, e.Account)
	case *granted:
		m.touch(t, e.Tenant, id.Nil, e.Account, Suspense)
		m.grants.Touch(t, book.Key{Tenant: e.Tenant, ID: e.ID})
	case *grantRefused:
		m.grants.Touch(t, book.Key{Tenant: e.Tenant, ID: e.ID})
	case *statusSet:
		m.touch(t, e.Tenant, id.Nil, e.Account)
	case *expired:
		m.touch(t, e.Tenant, id.Nil, e.Account, Expired)
	case *tried:
		m.touch(t, e.Tenant, e.Branch, e.Account)
	case *refused:
		m.touch(t, e.Tenant, e.Branch, e.Account)
	case *confirmed:
		m.touch(t, e.Tenant, e.Branch, e.Account, Redeemed, Expired, Suspense)
	case *cancelled:
		m.touch(t, e.Tenant, e.Branch, e.Account, Expired)
	case *added:
		m.touch(t, e.Tenant, e.Branch, e.Account, Redeemed, Expired, Suspense)
		if !e.Origin.IsNil() {
			m.branches.Touch(t, book.Key{Tenant: e.Tenant, ID: e.Origin})
		}
	default:
		panic(fmt.Sprintf("points: there is no event %T", ev))
	}
}

// Apply implements book.Machine.
func (m *Machine) Apply(at clock.Micros, seq uint64, ev any) {
	switch e := ev.(type) {
	case *opened:
		a := m.accounts.Edit(book.Key{Tenant: e.Tenant, ID: e.Account})
		*a = newAccount(Customer)
		a.Owner, a.OpenedAt = e.Owner, at
	case *granted:
		m.applyGranted(at, seq, e)
	case *grantRefused:
		g := m.grants.Edit(book.Key{Tenant: e.Tenant, ID: e.ID})
		*g = GrantRow{Account: e.Account, Lot: Part{Amount: e.Amount}, Refusal: e.Refusal, Seq: seq, At: at}
		m.bind(e.Tenant, e.Key, e.ID, e.Fingerprint, at)
	case *statusSet:
		m.accounts.Have(book.Key{Tenant: e.Tenant, ID: e.Account}).Become(e.Status)
	case *expired:
		m.applyExpired(e)
	case *tried:
		m.applyTried(at, seq, e)
	case *refused:
		b := m.branches.Edit(book.Key{Tenant: e.Tenant, ID: e.Branch})
		b.Refuse(e.Account, e.Print, e.Refusal, m.answer(&e.branchOf, seq, at))
	case *confirmed:
		m.applyConfirmed(at, seq, e)
	case *cancelled:
		m.applyCancelled(at, seq, e)
	case *added:
		m.applyAdded(at, seq, e)
	default:
		panic(fmt.Sprintf("points: there is no event %T", ev))
	}
}

func (m *Machine) applyGranted(at clock.Micros, seq uint64, e *granted) {
	k := book.Key{Tenant: e.Tenant, ID: e.Account}
	a := m.accounts.Have(k)
	a.put(e.Lot)
	m.post(e.Tenant, e.Day, nets{{m.ownID(Suspense), e.Lot.Amount}, {e.Account, -e.Lot.Amount}})
	a.mustAgree(e.Posted, e.Held)
	g := m.grants.Edit(book.Key{Tenant: e.Tenant, ID: e.ID})
	v := a.view(e.Account, at)
	*g = GrantRow{
		Account: e.Account, Lot: e.Lot, Posted: v.Posted, Held: v.Held, Available: v.Available, Owner: a.Owner, OpenedAt: a.OpenedAt,
		Status: a.Status, Seq: seq, At: at,
	}
	m.bind(e.Tenant, e.Key, e.ID, e.Fingerprint, at)
}

func (m *Machine) bind(tenant id.Tenant, key, target id.ID, print [16]byte, at clock.Micros) {
	m.keys.Put(book.Key{Tenant: tenant, ID: key}, book.KeyEntry{Target: target, Fingerprint: print, At: at})
}

func (m *Machine) applyExpired(e *expired) {
	k := book.Key{Tenant: e.Tenant, ID: e.Account}
	a := m.accounts.Have(k)
	for _, p := range e.Lots {
		a.Lots.change(p.Lot, -p.Amount, 0)
	}
	all := sumParts(e.Lots)
	m.post(e.Tenant, e.Day, nets{{e.Account, all}, {m.ownID(Expired), -all}})
	a.mustAgree(e.Posted, e.Held)
}

func (m *Machine) applyTried(at clock.Micros, seq uint64, e *tried) {
	k := book.Key{Tenant: e.Tenant, ID: e.Account}
	a := m.accounts.Have(k)
	b := m.branches.Edit(book.Key{Tenant: e.Tenant, ID: e.Branch})
	oneHold(b)
	b.Lots = make([]Taken, len(e.Lots))
	for i, p := range e.Lots {
		a.Lots.change(p.Lot, 0, p.Amount)
		b.Lots[i] = Taken{Lot: p.Lot, Class: p.Class, ExpiresAt: p.ExpiresAt, Held: p.Amount}
	}
	m.post(e.Tenant, e.Day, nil, ledger.HoldChange[id.ID]{
		Hold: e.Branch, Account: e.Account, Side: ledger.Debit, HeldOn: e.Day, Opened: e.Amount,
	})
	a.mustSum()
	b.Row.Hold(e.Account, e.Print, m.answer(&e.branchOf, seq, at))
}

// answer returns how a verb is answered whose event has just been applied.
func (m *Machine) answer(e *branchOf, seq uint64, at clock.Micros) branch.Answer {
	out := branch.Answer{Seq: seq, At: at}
	if a := m.customer(e.Tenant, e.Account); a != nil {
		out.Available = a.Lots.Usable(at)
	}
	return out
}

func (m *Machine) applyConfirmed(at clock.Micros, seq uint64, e *confirmed) {
	a, b, hold := m.ending(&e.branchOf)
	for _, p := range e.Taken {
		a.Lots.change(p.Lot, -p.Amount, -p.Amount)
		b.lot(p.Lot).Posted += p.Amount
	}
	hold.Posted = sumParts(e.Taken)
	var room [maxNets]net
	n := nets(room[:0]).add(hold.Account, hold.Posted)
	for _, s := range e.To {
		n = n.add(m.ownID(s.Kind), -s.Amount)
	}
	n = m.release(a, b, e.Back, &hold, n)
	m.post(e.Tenant, e.Day, n, hold)
	a.mustSum()
	b.Capture(branch.Capture{
		Number: e.Capture, Amount: hold.Posted, Print: e.Print, Answer: m.answer(&e.branchOf, seq, at),
	}, b.Hold.Ended())
}

func (m *Machine) applyCancelled(at clock.Micros, seq uint64, e *cancelled) {
	if len(e.Back) == 0 {
		m.branches.Edit(book.Key{Tenant: e.Tenant, ID: e.Branch}).Cancel(e.Account, m.answer(&e.branchOf, seq, at))
		return
	}
	a, b, hold := m.ending(&e.branchOf)
	n := m.release(a, b, e.Back, &hold, nil)
	m.post(e.Tenant, e.Day, n, hold)
	a.mustSum()
	b.Cancel(e.Account, m.answer(&e.branchOf, seq, at))
}

// ending returns the rows of a hold that is about to be taken or let go, and an empty change of it.
func (m *Machine) ending(e *branchOf) (*Account, *Branch, ledger.HoldChange[id.ID]) {
	a, b := m.accounts.Have(book.Key{Tenant: e.Tenant, ID: e.Account}), m.branches.Have(book.Key{Tenant: e.Tenant, ID: e.Branch})
	return a, b, ledger.HoldChange[id.ID]{Hold: e.Branch, Account: e.Account, Side: ledger.Debit, HeldOn: b.Hold.HeldOn}
}

// release lets held points go, to where the event says that they go, and adds to n what that posts.
func (m *Machine) release(a *Account, b *Branch, back []Back, hold *ledger.HoldChange[id.ID], n nets) nets {
	for i := range back {
		r := &back[i]
		b.lot(r.From).Released += r.Amount
		if r.To == r.From {
			a.Lots.change(r.From, 0, -r.Amount)
			continue
		}
		a.Lots.change(r.From, -r.Amount, -r.Amount)
		if r.To != 0 {
			a.put(r.part())
		}
	}
	all, _, lost := sumBack(back)
	hold.Released = all
	if lost > 0 {
		n = n.add(hold.Account, lost).add(m.ownID(Expired), -lost)
	}
	return n
}

func (m *Machine) applyAdded(at clock.Micros, seq uint64, e *added) {
	k := book.Key{Tenant: e.Tenant, ID: e.Account}
	var room [maxNets]net
	n := nets(room[:0])
	for _, s := range e.From {
		n = n.add(m.ownID(s.Kind), s.Amount)
	}
	for _, r := range e.Back {
		m.branches.Have(book.Key{Tenant: e.Tenant, ID: e.Origin}).lot(r.From).Returned += r.Amount
	}
	_, _, lost := sumBack(e.Back)
	if e.Suspense {
		n = n.add(m.ownID(Suspense), -e.Amount)
	} else {
		a := m.accounts.Have(k)
		for _, r := range e.Back {
			if r.To != 0 {
				a.put(r.part())
			}
		}
		if e.Lot.Amount > 0 {
			a.put(e.Lot)
		}
		n = n.add(e.Account, -(e.Amount-lost)).add(m.ownID(Expired), -lost)
	}
	if slices.ContainsFunc(n, net.moves) { // what comes from suspense and stays there does not
		m.post(e.Tenant, e.Day, n)
	}
	if a := m.customer(e.Tenant, e.Account); a != nil {
		a.mustSum()
	}
	first := m.answer(&e.branchOf, seq, at)
	first.Suspense = e.Suspense
	m.branches.Edit(book.Key{Tenant: e.Tenant, ID: e.Branch}).Add(e.Account, e.Print, branch.Refusal{}, first)
}

// put adds points to a lot of the account, and counts the numbers of new ones.
func (a *Account) put(p Part) {
	a.Lots.add(p)
	a.NextLot = max(a.NextLot, p.Lot+1)
}

// mustAgree panics unless the account has come to what the event said it would.
func (a *Account) mustAgree(posted, held int64) {
	if a.Posted() != posted || a.Held() != held {
		panic(fmt.Sprintf("points: account with %d posted and %d held, not %d and %d", a.Posted(), a.Held(), posted, held))
	}
	a.mustSum()
}

// mustSum panics unless the lots sum to what the ledger says (P1).
func (a *Account) mustSum() {
	if err := a.checkLots(); err != nil {
		panic("points: " + err.Error())
	}
}

// scope shows the ledger the rows of one tenant, to change them.
type scope struct {
	m      *Machine
	tenant id.Tenant
}

// of lends the machine's one scope to the ledger, for one call.
func (m *Machine) of(t id.Tenant) *scope {
	m.rows = scope{m, t}
	return &m.rows
}

// EditAccount implements ledger.Rows. The volume's own accounts come to be when they are first posted to.
func (s *scope) EditAccount(x id.ID) *ledger.Account {
	a := s.m.accounts.Edit(book.Key{Tenant: s.tenant, ID: x})
	if a.Kind == 0 {
		own := Kind(x.Part())
		if own == 0 || own >= Customer || x != s.m.ownID(own) {
			panic(&book.MissingError{Table: book.TableName(s.m.accounts), Key: book.Key{Tenant: s.tenant, ID: x}})
		}
		*a = newAccount(own)
	}
	return &a.Account
}

// EditHold implements ledger.Rows.
func (s *scope) EditHold(x id.ID) *ledger.Hold[id.ID] {
	return &s.m.branches.Edit(book.Key{Tenant: s.tenant, ID: x}).Hold
}

// post has the ledger apply an entry of what n has collected, and of changes of holds.
func (m *Machine) post(tenant id.Tenant, day ledger.Day, n nets, holds ...ledger.HoldChange[id.ID]) {
	var room [maxNets]ledger.Leg[id.ID]
	legs := room[:0]
	for _, x := range n {
		switch {
		case x.minor > 0:
			legs = append(legs, ledger.Leg[id.ID]{Account: x.account, Side: ledger.Debit, Amount: points(x.minor)})
		case x.minor < 0:
			legs = append(legs, ledger.Leg[id.ID]{Account: x.account, Side: ledger.Credit, Amount: points(-x.minor)})
		}
	}
	ledger.Apply(m.of(tenant), ledger.Entry[id.ID]{Day: day, Legs: legs, Holds: holds})
}

// nets collects what an entry debits (above zero) and credits (below) on each account.
type nets []net

type net struct {
	account id.ID
	minor   int64
}

// maxNets is how many accounts an entry is about: a customer's, and the volume's own.
const maxNets = 4

func (x net) moves() bool { return x.minor != 0 }

func (n nets) add(account id.ID, minor int64) nets {
	for i := range n {
		if n[i].account == account {
			n[i].minor += minor
			return n
		}
	}
	return append(n, net{account, minor})
}
