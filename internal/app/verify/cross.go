package verify

import (
	"context"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
)

// state is where a participant's branch stands, in one vocabulary for all of them.
type state string

const (
	held      state = "held"
	refused   state = "refused"
	confirmed state = "confirmed"
	cancelled state = "cancelled"
	added     state = "added"
)

// branch is one participant's row for one part of a payment.
type branch struct {
	state   state
	account id.ID
	taken   int64 // minor units that were confirmed
	open    int64 // minor units that are still held
}

func balanceBranches(m book.Machine, f func(book.Key, branch)) {
	states := map[balance.BranchStatus]state{balance.Held: held, balance.Confirmed: confirmed, balance.Cancelled: cancelled,
		balance.Refused: refused, balance.Added: added}
	m.(*balance.Machine).EachBranch(func(k book.Key, b *balance.Branch) {
		x := branch{state: states[b.Status], account: b.Hold.Account, taken: b.Hold.Posted}
		if b.Status == balance.Held {
			x.open = b.Hold.Open()
		}
		f(k, x)
	})
}

func pointsBranches(m book.Machine, f func(book.Key, branch)) {
	states := map[points.Status]state{points.Held: held, points.Confirmed: confirmed, points.Cancelled: cancelled,
		points.Refused: refused, points.Added: added}
	m.(*points.Machine).EachBranch(func(k book.Key, b *points.Branch) {
		x := branch{state: states[b.Status], account: b.On, taken: b.Posted}
		if b.Status == points.Held {
			x.open = b.Open()
		}
		f(k, x)
	})
}

func codeBranches(m book.Machine, f func(book.Key, branch)) {
	states := map[code.BranchStatus]state{code.Reserved: held, code.Confirmed: confirmed, code.Cancelled: cancelled, code.Refused: refused}
	m.(*code.Machine).EachBranch(func(k book.Key, b *code.Branch) {
		x := branch{state: states[b.Status], account: b.Session}
		switch b.Status {
		case code.Confirmed:
			x.taken = b.Amount.Minor
		case code.Reserved:
			x.open = b.Amount.Minor
		}
		f(k, x)
	})
}

// holder is a participant, as far as its rows go.
type holder struct {
	participant payment.Participant
	shelf       *shelf
	table       string
	each        func(book.Machine, func(book.Key, branch))
	matched     int64 // its rows that a payment knows
}

// read returns the named branches of one volume, as far as they exist.
func (h *holder) read(ctx context.Context, volume int, keys []book.Key) (map[book.Key]branch, error) {
	m, err := h.shelf.pick(ctx, volume, h.table, keys)
	if err != nil {
		return nil, err
	}
	out := make(map[book.Key]branch, len(keys))
	h.each(m, func(k book.Key, b branch) { out[k] = b })
	return out, nil
}

// crosscheck holds payments and participants to each other.
type crosscheck struct {
	run     *run
	sums    *sums
	holders []*holder
}

// whole reports whether all books of the participants could be replayed.
func (c *crosscheck) whole() bool {
	for _, h := range c.holders {
		if h.shelf == nil {
			return false
		}
	}
	return true
}

func (c *crosscheck) holder(p payment.Participant) *holder {
	for _, h := range c.holders {
		if h.participant == p {
			return h
		}
	}
	return nil
}

// home is a volume of a participant.
type home struct {
	participant payment.Participant
	volume      int
}

// batch judges the payments in a machine. It adds what refunds gave back to their charges.
func (c *crosscheck) batch(ctx context.Context, m *payment.Machine, refunded map[book.Key]int64) error {
	wanted := map[home][]book.Key{}
	m.EachPayment(func(p *payment.Payment) {
		for i := range p.Parts {
			x := &p.Parts[i]
			at := home{x.Participant, x.Account.Volume(c.holder(x.Participant).shelf.Volumes)}
			wanted[at] = append(wanted[at], branchID(p, x))
		}
	})
	rows := map[home]map[book.Key]branch{}
	for at, keys := range wanted {
		h := c.holder(at.participant)
		found, err := h.read(ctx, at.volume, keys)
		if err != nil {
			return err
		}
		h.matched += int64(len(found))
		rows[at] = found
	}
	m.EachPayment(func(p *payment.Payment) {
		c.judge(p, func(x *payment.Part) (branch, bool) {
			b, ok := rows[home{x.Participant, x.Account.Volume(c.holder(x.Participant).shelf.Volumes)}][branchID(p, x)]
			return b, ok
		})
		if p.Kind == payment.Refund && p.Status == payment.Succeeded {
			refunded[book.Key{Tenant: p.Tenant, ID: p.Parent}] += p.Amount.Minor
		}
	})
	return nil
}

// judge holds one payment to its branches.
func (c *crosscheck) judge(p *payment.Payment, row func(*payment.Part) (branch, bool)) {
	name := c.run.IDs.Encode(id.Payment, p.ID)
	c.judgeAmounts(p, name)
	ended := p.Resource != payment.WorkInProgress && p.Status != payment.Authorized
	var net legs
	var took, let int
	for i := range p.Parts {
		x := &p.Parts[i]
		b, there := row(x)
		c.judgePart(p, x, b, there, name, ended)
		if x.Role != payment.Hold {
			net.add(x, b)
			continue
		}
		net.take(x, b)
		switch b.state {
		case confirmed:
			took++
		case cancelled, refused:
			let++
		}
	}
	found := c.run.found
	good := p.Status == payment.Captured || p.Status == payment.PartiallyRefunded || p.Status == payment.Refunded || p.Status == payment.Succeeded
	if ended {
		found.check((took == 0 || let == 0) && (took > 0) == good, "I11", "%s is %v, and of its holds %d were taken and %d let go", name, p.Status, took, let)
	}
	underWay := p.Resource == payment.WorkInProgress && p.Decision == payment.Confirm
	found.check(underWay || net.clearing == 0, "X1", "%s is %v, and %d of it stand in payment_clearing", name, p.Status, net.clearing)
	found.check(underWay || net.redeemed == net.funded, "X2", "%s is %v: %d points were redeemed for it, and %d paid for points", name, p.Status, net.redeemed, net.funded)
	c.sums.payments[purse{p.Tenant, clearing, p.Amount.Currency}] += net.clearing
	c.sums.payments[purse{p.Tenant, funding, p.Amount.Currency}] -= net.funded
	c.sums.payments[purse{p.Tenant, redeemed, pointsCurrency}] += net.redeemed
}

// judgePart holds one part to its branch. What the payment knows is never ahead of what the participant has written, and
// the participant never ahead of what the payment has decided.
func (c *crosscheck) judgePart(p *payment.Payment, x *payment.Part, b branch, there bool, name string, ended bool) {
	found := c.run.found
	known := map[payment.PartState][]state{
		payment.Held:     {held, confirmed, cancelled},
		payment.Refusing: {refused, cancelled},
		payment.Taken:    {confirmed},
		payment.LetGo:    {cancelled, refused},
		payment.Added:    {added},
	}[x.State]
	found.check(known == nil || there && oneOf(known, b.state), "I11", "%s, part %d: the payment has it %v, %v has it %s", name, x.Number, x.State, x.Participant, b.state)
	if !there {
		return
	}
	found.check(b.state != held || !ended, "I5", "%s, part %d: %v holds %d, and the payment is %v", name, x.Number, x.Participant, b.open, p.Status)
	authorized := x.Role == payment.Claim && p.Decision == payment.Authorize
	claimed := x.Role == payment.Claim && p.Decision == payment.Cancel // taken by the authorization that was then let go
	decided := true
	switch b.state {
	case confirmed:
		decided = p.Decision == payment.Confirm || authorized || claimed
	case added:
		decided = p.Decision == payment.Confirm
	case cancelled:
		decided = p.Decision == payment.Cancel
	}
	found.check(decided, "I16", "%s, part %d: %v has it %s, and the payment decided %q", name, x.Number, x.Participant, b.state, p.Decision)
	if b.state == confirmed {
		found.check(b.taken == x.Amount.Minor, "I12", "%s, part %d: %v took %d of %d", name, x.Number, x.Participant, b.taken, x.Amount.Minor)
	}
	found.check(b.account == x.Account, "I12", "%s, part %d: %v has it on another account", name, x.Number, x.Participant)
}

// legs are what the branches of one payment moved on the platform's own accounts.
type legs struct {
	clearing int64 // into payment_clearing, less what came out
	funded   int64 // out of points_funding, less what came in
	redeemed int64 // points into points_redeemed, less what came out
}

// take counts what a hold's confirm moved.
func (l *legs) take(x *payment.Part, b branch) {
	if b.state != confirmed {
		return
	}
	if x.Participant == payment.Points {
		l.redeemed += x.Amount.Minor
		return
	}
	for _, f := range moved(x, clearing) {
		switch f.From {
		case clearing:
			l.clearing += f.Amount.Minor
		case funding:
			l.funded -= f.Amount.Minor
		}
	}
}

// add counts what an add moved.
func (l *legs) add(x *payment.Part, b branch) {
	if b.state != added {
		return
	}
	for _, f := range moved(x, redeemed) {
		switch f.From {
		case clearing:
			l.clearing -= f.Amount.Minor
		case funding:
			l.funded += f.Amount.Minor
		case redeemed:
			l.redeemed -= f.Amount.Minor
		}
	}
}

const pointsCurrency = money.PT

// totals holds the platform's own accounts, over all volumes, to what the payments say.
func (c *crosscheck) totals() {
	for p, want := range c.sums.payments {
		have := c.sums.accounts[p]
		delete(c.sums.accounts, p)
		c.total(p, have, want)
	}
	for p, have := range c.sums.accounts { // on which no payment says anything
		c.total(p, have, 0)
	}
}

func (c *crosscheck) total(p purse, have, want int64) {
	id := "X1"
	if p.kind != clearing {
		id = "X2"
	}
	c.run.found.check(have == want, id, "%s of tenant %d has %d %v over all volumes, and the payments say %d", p.kind, p.tenant, have, p.currency, want)
}

// orphans looks for rows of participants that belong to no payment. That there are none, counting tells; only if there
// are, every row is looked at.
func (c *crosscheck) orphans(ctx context.Context, pay *shelf) error {
	for _, h := range c.holders {
		n, err := countRows(ctx, h.shelf.db, h.table)
		if err != nil {
			return err
		}
		c.run.found.count("I5", n)
		if n == h.matched {
			continue
		}
		for _, v := range h.shelf.volumes {
			err := h.shelf.pages(ctx, v.n, h.table, paymentBatch, func(keys []book.Key) error { return c.orphansAmong(ctx, pay, h, v.n, keys) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crosscheck) orphansAmong(ctx context.Context, pay *shelf, h *holder, volume int, keys []book.Key) error {
	parts := map[book.Key]bool{}
	by := map[int][]book.Key{}
	for _, k := range keys {
		v := k.ID.Volume(pay.Volumes)
		by[v] = append(by[v], book.Key{Tenant: k.Tenant, ID: k.ID.Root()})
	}
	for v, roots := range by {
		m, err := pay.pick(ctx, v, "payments", roots)
		if err != nil {
			return err
		}
		m.(*payment.Machine).EachPayment(func(p *payment.Payment) {
			for i := range p.Parts {
				if x := &p.Parts[i]; x.Participant == h.participant && x.Account.Volume(h.shelf.Volumes) == volume {
					parts[branchID(p, x)] = true
				}
			}
		})
	}
	rows, err := h.read(ctx, volume, keys)
	if err != nil {
		return err
	}
	for k, b := range rows {
		switch {
		case parts[k]:
		case b.open > 0:
			c.run.found.wrong("I5", "%s holds %d for %s, part %d, and there is no such payment: an orphan hold", book.Name(h.shelf.Name, volume),
				b.open, c.run.IDs.Encode(id.Payment, k.ID.Root()), k.ID.Part())
		default:
			c.run.found.wrong("I11", "%s has a branch that is %s for %s, part %d, and there is no such payment", book.Name(h.shelf.Name, volume),
				b.state, c.run.IDs.Encode(id.Payment, k.ID.Root()), k.ID.Part())
		}
	}
	return nil
}
