package verify

import (
	"context"
	"fmt"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// walker follows every payment through its events, and requires each step to be one that there is (I10, I16). It knows
// the ways from the published states, not from the machine that is judged.
type walker struct {
	machine book.Machine
	found   *findings
	ids     *id.Codec
	at      map[book.Key]standing // of those that have not ended
}

// standing is where a payment stood after its last event.
type standing struct {
	status   payment.Status
	decision payment.Decision
}

func newWalker(m book.Machine, found *findings, ids *id.Codec) *walker {
	return &walker{machine: m, found: found, ids: ids, at: map[book.Key]standing{}}
}

// ways are the changes of status that there are (docs/concepts/tcc.md); 0 is a payment that does not exist.
var ways = map[payment.Status][]payment.Status{
	0:                  {payment.Accepted},
	payment.Accepted:   {payment.Accepted, payment.Authorized, payment.Captured, payment.Succeeded, payment.Failed},
	payment.Authorized: {payment.Authorized, payment.Captured, payment.Voided, payment.Expired},
}

// decisions are the changes of decision that there are.
var decisions = map[payment.Decision][]payment.Decision{
	payment.Undecided: {payment.Undecided, payment.Authorize, payment.Confirm, payment.Cancel},
	payment.Authorize: {payment.Authorize, payment.Confirm, payment.Cancel},
	payment.Confirm:   {payment.Confirm},
	payment.Cancel:    {payment.Cancel},
}

func (w *walker) see(b *journal.Block, e journal.Event) {
	ev, err := w.machine.Decode(e.Type, e.Body)
	if err != nil {
		return // the replay says so
	}
	switch ev := ev.(type) {
	case payment.Started:
		w.step(b, ev.Payment.Tenant, ev.Payment.ID, ev.Payment.Standing)
	case payment.Advanced:
		w.step(b, ev.Tenant, ev.ID, ev.Standing)
	case payment.Decided:
		w.step(b, ev.Tenant, ev.ID, ev.Standing)
	}
}

func (w *walker) step(b *journal.Block, t id.Tenant, x id.ID, to payment.Standing) {
	k := book.Key{Tenant: t, ID: x}
	from := w.at[k]
	name := w.ids.Encode(id.Payment, x)
	w.found.check(oneOf(ways[from.status], to.Status), "I10", "%s went from %v to %v in block %d of %s", name, from.status, to.Status, b.Seq, b.Book)
	w.found.check(oneOf(decisions[from.decision], to.Decision), "I16", "%s was decided %q and then %q, in block %d of %s", name, from.decision, to.Decision, b.Seq, b.Book)
	if len(ways[to.Status]) == 0 {
		delete(w.at, k) // it has ended: whatever came after would come out of nothing
		return
	}
	w.at[k] = standing{to.Status, to.Decision}
}

func oneOf[T comparable](list []T, v T) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// sums adds up what the books' own accounts have, and what the payments say that they must have.
type sums struct {
	accounts map[purse]int64
	payments map[purse]int64
}

// purse is a kind of a volume's own accounts, over all volumes.
type purse struct {
	tenant   id.Tenant
	kind     string
	currency money.Currency
}

const (
	clearing = "payment_clearing"
	funding  = "points_funding"
	redeemed = "points_redeemed"
)

func newSums() *sums { return &sums{map[purse]int64{}, map[purse]int64{}} }

func (s *sums) account(t id.Tenant, kind string, c money.Currency, posted int64) {
	switch kind {
	case clearing, funding, redeemed:
		s.accounts[purse{t, kind, c}] += posted
	}
}

// paymentBatch is how many payments are held to their participants at once.
const paymentBatch = 500

// judgePayments holds every payment to what its participants wrote, and the participants' rows to the payments.
func (r *run) judgePayments(ctx context.Context, sums *sums) error {
	pay := r.shelf(Payment)
	c := &crosscheck{run: r, sums: sums, holders: []*holder{
		{participant: payment.Balance, shelf: r.shelf(Balance), table: "balance_branches", each: balanceBranches},
		{participant: payment.Points, shelf: r.shelf(Points), table: "points_branches", each: pointsBranches},
		{participant: payment.Code, shelf: r.shelf(Code), table: "code_branches", each: codeBranches},
	}}
	if pay == nil || !c.whole() {
		return nil // a book cannot be replayed, and that has been said
	}
	for _, v := range pay.volumes {
		refunded := map[book.Key]int64{}
		err := pay.pages(ctx, v.n, "payments", paymentBatch, func(keys []book.Key) error {
			m, err := pay.pick(ctx, v.n, "payments", keys)
			if err != nil {
				return err
			}
			return c.batch(ctx, m.(*payment.Machine), refunded)
		})
		if err != nil {
			return err
		}
		if err := r.judgeRefunds(ctx, pay, v.n, refunded); err != nil {
			return err
		}
	}
	if err := c.orphans(ctx, pay); err != nil {
		return err
	}
	c.totals()
	return r.judgeKeys(ctx, pay)
}

// judgeRefunds requires each charge to have given back what its refunds gave (I18).
func (r *run) judgeRefunds(ctx context.Context, pay *shelf, volume int, refunded map[book.Key]int64) error {
	return pay.pages(ctx, volume, "payments", loadBatch, func(keys []book.Key) error {
		m, err := pay.pick(ctx, volume, "payments", keys)
		if err != nil {
			return err
		}
		m.(*payment.Machine).EachPayment(func(p *payment.Payment) {
			k := book.Key{Tenant: p.Tenant, ID: p.ID}
			if p.Kind != payment.Charge {
				return
			}
			r.found.check(p.Refunded == refunded[k], "I18", "%s says that %d was given back, its refunds gave %d",
				r.IDs.Encode(id.Payment, p.ID), p.Refunded, refunded[k])
			delete(refunded, k)
		})
		return nil
	})
}

// judgeKeys requires every key to stand for one thing, and every payment and operation to have its key (I21).
func (r *run) judgeKeys(ctx context.Context, pay *shelf) error {
	n, err := countKeys(ctx, pay.db)
	if err != nil {
		return err
	}
	r.found.count("I21", n.keys)
	if n.lost > 0 {
		r.found.wrong("I21", "%d keys stand for nothing", n.lost)
	}
	if n.keys != n.targets || n.keys != n.made {
		r.found.wrong("I21", "%d keys stand for %d different things, and there are %d payments and operations", n.keys, n.targets, n.made)
	}
	return nil
}

// judgeAmounts holds one payment's amounts to each other (I18).
func (c *crosscheck) judgeAmounts(p *payment.Payment, name string) {
	captured, refunded, sum := int64(0), int64(0), int64(0)
	good := p.Captured <= p.Amount.Minor && p.Refunded <= p.Captured && p.Refunded >= 0
	for _, s := range p.Sources {
		captured, refunded, sum = captured+s.Captured, refunded+s.Refunded, sum+s.Amount
		good = good && s.Captured <= s.Amount && s.Refunded >= 0 && s.Refunding >= 0 && s.Refunded+s.Refunding <= s.Captured
	}
	c.run.found.check(good && captured == p.Captured && refunded == p.Refunded && sum == p.Amount.Minor, "I18",
		"%s of %d has captured %d and given back %d, by sources: %s", name, p.Amount.Minor, p.Captured, p.Refunded, fmt.Sprint(p.Sources))
}

// branchID returns the key of a part's branch.
func branchID(p *payment.Payment, x *payment.Part) book.Key {
	return book.Key{Tenant: p.Tenant, ID: p.Branch(x).ID}
}

// moved returns what a part's verb moved to or from one of the volume's own accounts.
func moved(x *payment.Part, standard string) (out []tcc.Funding) {
	if len(x.Funding) > 0 {
		return x.Funding
	}
	return []tcc.Funding{{From: standard, Amount: x.Amount}}
}
