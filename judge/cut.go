package judge

import (
	"maps"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// The platform's own accounts that payments pass through.
const (
	clearing = "payment_clearing"
	funding  = "points_funding"
	redeemed = "points_redeemed"
)

// passed names them in the order of pay.owed, with the service that keeps each.
var passed = [3]struct{ kind, service string }{{clearing, "balance"}, {funding, "balance"}, {redeemed, "points"}}

// touch has a payment judged at the next cut.
func (j *Judge) touch(k book.Key) { j.touched[k] = struct{}{} }

// Cut judges what must hold between books, of the payments that were touched since the last cut: all books have been fed
// up to their heads at one moment, or, where blocks come one by one as they were written, up to this block. A hold's block comes
// after the block of the payment that asked for it, and a payment's end after the blocks it ended in, so that whatever must
// hold between books holds at every cut, however much is under way.
func (j *Judge) Cut() {
	for _, k := range sortedKeys(j.touched) {
		j.meet(k)
	}
	clear(j.touched)
	if !j.based {
		j.totals()
	}
	j.shed()
	j.rebase()
}

// totals holds the platform's own accounts, over all volumes, to what the payments say (X1, X2).
func (j *Judge) totals() {
	for i, which := range passed {
		invariant := "X1"
		if i > 0 {
			invariant = "X2"
		}
		have := j.ledgers[which.service].purses
		judge := func(p purse) {
			j.check(have[p] == j.owed[p], invariant, "", Name{}, "%s of tenant %d has %d %v over all volumes, and the payments say %d", p.kind, p.tenant, have[p],
				p.currency, j.owed[p])
		}
		for p := range have {
			if p.kind == which.kind {
				judge(p)
			}
		}
		for p := range j.owed {
			if _, there := have[p]; p.kind == which.kind && !there {
				judge(p)
			}
		}
	}
}

// meet holds one payment to its branches.
func (j *Judge) meet(k book.Key) {
	p := j.payments[k]
	if p == nil {
		j.orphans(k)
		return
	}
	name := j.Payment(k.ID)
	took, let := 0, 0
	var net [3]int64
	for i := range p.parts {
		x := &p.parts[i]
		b := j.branches[book.Key{Tenant: k.Tenant, ID: k.ID.Facet(uint8(i + 1))}]
		if b == nil {
			b = &branch{}
		}
		j.part(p, i, b, name)
		x.count(b, &net)
		if x.role == payment.Hold {
			switch b.state {
			case confirmed:
				took++
			case cancelled, refused:
				let++
			case absent, held, added: // neither taken nor let go
			}
		}
	}
	j.amounts(p, name)
	if p.done() && !p.old {
		good := p.captured > 0
		j.check((took == 0 || let == 0) && (took > 0) == good, "I11", "", name, "it is %v, and of its holds %d were taken and %d let go", p.Status, took, let)
	}
	if p.old {
		return
	}
	settled := p.over() || p.Decision != payment.Confirm
	j.check(!settled || net[0] == 0, "X1", "", name, "it is %v, and %d of it stand in %s", p.Status, net[0], clearing)
	j.check(!settled || net[2] == -net[1], "X2", "", name, "it is %v: %d points were redeemed for it, and %d paid for points", p.Status, net[2], -net[1])
	j.owes(k, p, net)
}

// owes counts what the payment says that the platform's own accounts have.
func (j *Judge) owes(k book.Key, p *pay, net [3]int64) {
	for i, which := range passed {
		c := p.amount.Currency
		if which.kind == redeemed {
			c = money.PT
		}
		if d := net[i] - p.owed[i]; d != 0 {
			j.owed[purse{k.Tenant, which.kind, c}] += d
		}
	}
	p.owed = net
}

// states says what a participant may have, by what the payment knows: what the payment knows is never ahead of what the
// participant has written. A participant that said no whatever it had done hears the Cancel that follows every refusal; if it does
// not, that is an orphan hold (I5), or nothing is left behind (I13).
var states = map[payment.PartState][]state{
	payment.Held:     {held, confirmed, cancelled},
	payment.Refusing: {absent, held, refused, cancelled},
	payment.Taken:    {confirmed},
	payment.LetGo:    {cancelled, refused},
	payment.Added:    {added},
}

// part holds one part to its branch. The participant is never ahead of what the payment has decided.
func (j *Judge) part(p *pay, i int, b *branch, name Name) {
	x, n := &p.parts[i], i+1
	if b.state == absent && p.old {
		return
	}
	known := states[x.state]
	j.check(known == nil || oneOf(known, b.state), "I11", "", name, "part %d: the payment has it %v, %v has it %v", n, x.state, x.participant, b.state)
	if b.state == absent {
		j.check(!p.done() || p.Decision != payment.Cancel || x.role == payment.Add, "I13", "", name, "part %d: it was cancelled, and %v has nothing of it", n, x.participant)
		j.check(!p.done() || p.Decision != payment.Confirm, "I11", "", name, "part %d: it was confirmed, and %v has nothing of it", n, x.participant)
		return
	}
	j.check(b.state != held || !p.done(), "I5", "", name, "part %d: %v holds %d, and the payment is %v: an orphan hold", n, x.participant, b.open(), p.Status)
	claim := x.role == payment.Claim && (p.Decision == payment.Authorize || p.Decision == payment.Cancel && p.Phase >= payment.Tried)
	decided := true
	switch b.state {
	case confirmed:
		decided = p.Decision == payment.Confirm || claim
	case added:
		decided = p.Decision == payment.Confirm
	case cancelled:
		decided = p.Decision == payment.Cancel
	case refused:
		decided = p.Decision == payment.Undecided || p.Decision == payment.Cancel
	case absent, held: // nothing is decided yet
	}
	j.check(decided, "I16", "", name, "part %d: %v has it %v, and the payment decided %q", n, x.participant, b.state, p.Decision)
	j.check(b.customer.IsNil() || b.customer == p.customer && b.merchant == p.merchant, "C4", "", name, "part %d: the session is of customer %x at %x, and another pays or is paid", n,
		b.customer, b.merchant)
	j.check(b.service == x.participant.String() && b.account == x.account, "I12", "", name, "part %d is of %s on %s, and is with %s on %s", n, x.participant,
		j.Account(x.account), b.service, j.Account(b.account))
	if at := p.moves(); x.role != payment.Claim && b.moved > 0 && at > 0 {
		j.check(b.moved == at, "X3", "", name, "part %d: %s has it %v on %v, and it was to be on %v", n, b.service, b.state, clock.Micros(b.moved),
			clock.Micros(at))
	}
	if b.state == confirmed || b.state == added || b.state == held {
		took := b.amount
		if b.state == confirmed {
			took = b.posted
		}
		j.check(took == x.amount.Minor && b.currency == x.amount.Currency, "I12", "", name, "part %d is of %v, and %s has %v %d %v", n, x.amount, b.service, b.state,
			took, b.currency)
	}
}

// amounts holds a payment's amounts to each other (I18).
func (j *Judge) amounts(p *pay, name Name) {
	sum, taken, back := int64(0), int64(0), int64(0)
	good := p.captured <= p.amount.Minor
	for i := range p.sources {
		s := &p.sources[i]
		sum, taken, back = sum+s.amount, taken+s.captured, back+s.refunded
		good = good && s.captured <= s.amount && s.refunded >= 0 && s.refunding >= 0 && s.refunded+s.refunding <= s.captured
	}
	j.check(good && sum == p.amount.Minor && taken == p.captured && back <= p.captured, "I18", "", name,
		"it is of %d; its sources have %d, %d taken and %d given back", p.amount.Minor, sum, taken, back)
}

// count adds what a part has moved over the platform's own accounts, credits less debits.
func (x *piece) count(b *branch, net *[3]int64) {
	sign, standard := int64(1), clearing
	switch {
	case b.state == confirmed && x.role == payment.Hold:
		if x.participant == payment.Points {
			net[2] += x.amount.Minor
			return
		}
	case b.state == added:
		sign = -1
		if x.participant == payment.Points {
			standard = redeemed
		}
	default:
		return
	}
	list := x.funding
	if len(list) == 0 {
		list = []tcc.Funding{{From: standard, Amount: x.amount}}
	}
	for _, f := range list {
		for i, which := range passed {
			if which.kind == f.From {
				net[i] += sign * f.Amount.Minor
			}
		}
	}
}

// orphans judges the branches of a payment that does not exist.
func (j *Judge) orphans(k book.Key) {
	if j.over(k) || j.old(k.ID) || j.charges[k] != nil {
		return
	}
	for n := range maxParts {
		b := j.branches[book.Key{Tenant: k.Tenant, ID: k.ID.Facet(uint8(n + 1))}]
		switch {
		case b == nil:
		case b.state == held:
			j.check(false, "I5", "", j.Payment(k.ID), "%s holds %d for %s, part %d, on %s, and there is no such payment: an orphan hold", b.service, b.open(),
				j.Payment(k.ID), n+1, j.Account(b.account))
		default:
			j.check(false, "I11", "", j.Payment(k.ID), "%s has %s, part %d, %v, and there is no such payment", b.service, j.Payment(k.ID), n+1, b.state)
		}
	}
}

// maxParts is more than any payment has.
const maxParts = 16

// Settled judges a platform in which nothing moves any more, at a cut: every payment has ended (I19), nothing is held that is
// not authorized (I5), every book sums to nothing (I2). A payment that has not moved for less than patience may still be under
// way.
func (j *Judge) Settled(now clock.Micros, patience clock.Micros) {
	for _, k := range sortedKeys(j.payments) {
		p := j.payments[k]
		j.check(p.over() || now-p.moved < patience, "I19", "", j.Payment(k.ID), "it is %v, decided %q, and has not moved since %v", p.Status, p.Decision, p.moved)
		j.touch(k)
	}
	j.Cut()
	j.Sums()
}

// Sums judges every book on its own: its accounts sum to nothing (I2), and hold what open holds hold (I5).
func (j *Judge) Sums() {
	for _, service := range slices.Sorted(maps.Keys(j.ledgers)) {
		j.ledgers[service].total()
	}
}

func oneOf[T comparable](list []T, v T) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// aged is a payment that ended.
type aged struct {
	k  book.Key
	at clock.Micros
}

// patience is how long what ended may be wrong, where books are fed side by side, before that is told.
const patience = clock.Hour

// Tidy gives up what ended before Config.Keep, where there is nothing wrong with it, so that a long journal can be judged in
// little memory: between cuts, as long as books are fed side by side by the times of their blocks. What is still wrong after an
// hour is told.
func (j *Judge) Tidy() {
	for _, l := range j.ledgers {
		l.accounts.tidy()
	}
	n := 0
	for ; n < len(j.aging) && j.ripe(n); n++ {
		if x := j.aging[n]; !j.settle(x.k) {
			j.stuck = append(j.stuck, x)
		}
	}
	j.aging = append(j.aging[:0], j.aging[n:]...)
	if n > 0 {
		j.unstick(2*n + leastUnstuck)
	}
	j.rebase()
}

// ripe reports whether the payment at a place among those that ended is to be given up.
func (j *Judge) ripe(n int) bool {
	return j.Keep > 0 && (j.aging[n].at+j.Keep < j.now || j.Full > 0 && len(j.aging)-n > j.Full)
}

// settle gives a payment up if there is nothing wrong with it.
func (j *Judge) settle(k book.Key) bool {
	found, right := j.Found, true
	j.Found = func(Violation) { right = false }
	j.meet(k)
	j.Found = found
	if right {
		j.give(k)
	}
	return right
}

// leastUnstuck is how many payments unstick looks at besides twice as many as were new.
const leastUnstuck = 64

// unstick looks again at payments that were wrong when they were to be given up: at most so many, those first that were
// looked at longest ago. Under load one book is fed ahead of others, and thousands are wrong until those have come: to look
// at all of them each time would cost more with every payment.
func (j *Judge) unstick(most int) {
	n := min(most, len(j.stuck))
	for _, x := range j.stuck[:n] {
		switch {
		case j.settle(x.k):
		case x.at+max(patience, j.Keep) < j.now:
			j.meet(x.k)
			j.give(x.k)
		default:
			j.stuck = append(j.stuck, x)
		}
	}
	j.stuck = j.stuck[n:]
}

// age notes that a payment ended.
func (j *Judge) age(k book.Key, p *pay) {
	if j.Keep > 0 && p.done() && !p.aging {
		p.aging = true
		j.aging = append(j.aging, aged{k, p.moved})
	}
}

// shed gives up what ended before Keep.
func (j *Judge) shed() {
	n := 0
	for ; n < len(j.aging) && j.ripe(n); n++ {
		j.give(j.aging[n].k)
	}
	j.aging = append(j.aging[:0], j.aging[n:]...)
	for _, x := range j.stuck { // the cut has said what is wrong with them
		j.give(x.k)
	}
	j.stuck = nil
}

// rebase forgets what ended, once there is too much of it: what is unknown from then on, and older, is believed as its row has it.
// koban verify forgets nothing.
func (j *Judge) rebase() {
	if j.Forget == 0 || len(j.ended)+len(j.charges) < 2*j.Forget && j.keys.size() < 4*j.Forget {
		return
	}
	j.since = max(j.since, j.now-j.Keep) // whatever was given up ended before that
	clear(j.ended)
	clear(j.charges)
	j.keys.clear()
	j.rows.clear()
}

// give gives up a payment that ended and all that belongs to it, but for what a later event could contradict.
func (j *Judge) give(k book.Key) {
	p := j.payments[k]
	if p == nil {
		return
	}
	j.remember("payments", k)
	for i := range p.parts {
		b := book.Key{Tenant: k.Tenant, ID: k.ID.Facet(uint8(i + 1))}
		if x := j.branches[b]; x != nil {
			j.remember(x.service+"_branches", b)
		}
	}
	delete(j.touched, k)
	if j.past != nil {
		j.put(k, p)
		delete(j.payments, k)
		return
	}
	for i := range p.parts {
		delete(j.branches, book.Key{Tenant: k.Tenant, ID: k.ID.Facet(uint8(i + 1))})
	}
	if refundable(p.sources) && p.kind == payment.Charge {
		j.charges[k] = p.sources
	}
	j.ended[j.digest("", k)] = struct{}{}
	delete(j.payments, k)
}
