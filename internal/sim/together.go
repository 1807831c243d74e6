package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
)

// part is where a branch stands at its participant, whoever that is.
type part uint8

const (
	absent part = iota
	held
	taken
	letGo
	refused
	added
)

var partWords = [...]string{"absent", "held", "taken", "let go", "refused", "added"}

func (p part) String() string { return partWords[p] }

// parts reads every branch of every participant.
func (j *judge) parts() map[book.Key]part {
	out := make(map[book.Key]part)
	for _, s := range j.shadows("balance") {
		s.balance().EachBranch(func(k book.Key, b *balance.Branch) {
			out[k] = [...]part{absent, held, taken, letGo, refused, added}[b.Status]
		})
	}
	for _, s := range j.shadows("points") {
		s.points().EachBranch(func(k book.Key, b *points.Branch) {
			out[k] = [...]part{absent, held, refused, taken, letGo, added}[b.Status]
		})
	}
	for _, s := range j.shadows("code") {
		s.code().EachBranch(func(k book.Key, b *code.Branch) {
			out[k] = [...]part{absent, held, refused, taken, letGo}[b.Status]
		})
	}
	return out
}

// own are the sums of the platform's own accounts over all volumes, credits less debits.
type own struct{ clearing, funding, redeemed int64 }

// together checks what holds between the books.
func (j *judge) together(end bool) {
	parts := j.parts()
	var want own
	j.eachPayment(func(k book.Key, p *payment.Payment) {
		j.amounts(k, p)
		if end && p.Resource == payment.WorkInProgress && j.stuck(k) {
			j.fail("I19", "payment %v is %v, and still in progress: %v decided, deferred until %d µs", k, p.Status, p.Decision, p.DeferredUntil-morning)
		}
		for i := range p.Parts {
			x := &p.Parts[i]
			b := book.Key{Tenant: k.Tenant, ID: k.ID.Facet(x.Number)}
			got := parts[b]
			delete(parts, b)
			if why := wrong(p, x, got); why != "" {
				j.fail(why, "payment %v is %v, %v decided, and part %d (%v) is %v", k, p.Status, p.Decision, x.Number, x.Participant, got)
			}
			want.count(x, got)
		}
	})
	for b, got := range parts {
		j.fail("I5", "branch %v is %v, and there is no such payment", b, got)
	}
	if got := j.own(); got != want {
		j.fail("clearing", "the platform's accounts stand at %+v; decided and not yet added are %+v", got, want)
	} else if end && !j.unfinished() && (got.clearing != 0 || got.redeemed != -got.funding) {
		j.fail("clearing", "everything has ended, and the platform's accounts stand at %+v", got)
	}
}

// wrong names the invariant that a part breaks, "" if none.
func wrong(p *payment.Payment, x *payment.Part, got part) string {
	over := p.Resource != payment.WorkInProgress
	switch got {
	case held:
		if over && p.Status != payment.Authorized {
			return "I5" // an orphan hold
		}
		if over && x.Role == payment.Claim {
			return "I11"
		}
	case taken:
		if p.Decision != payment.Confirm && !(x.Role == payment.Claim && p.Phase >= payment.Tried) {
			return "I16"
		}
	case added:
		if p.Decision != payment.Confirm {
			return "I16"
		}
	case letGo:
		if p.Decision != payment.Cancel {
			return "I16"
		}
	case refused:
		if p.Decision != payment.Undecided && p.Decision != payment.Cancel {
			return "I11"
		}
	case absent:
		switch {
		case x.Role == payment.Add && p.Decision != payment.Confirm || !over:
		case p.Decision == payment.Cancel:
			return "I13" // a Cancel has left nothing behind
		default:
			return "I11"
		}
	}
	return ""
}

// amounts checks what a payment says of itself (I18).
func (j *judge) amounts(k book.Key, p *payment.Payment) {
	sum, back := int64(0), int64(0)
	for _, s := range p.Sources {
		sum += s.Captured
		back += s.Refunded
		if s.Captured > s.Amount || s.Refunded+s.Refunding > s.Captured || s.Refunded < 0 || s.Refunding < 0 {
			j.fail("I18", "payment %v: source %+v", k, s)
		}
	}
	if p.Captured > p.Amount.Minor || p.Refunded > p.Captured || sum != p.Captured || back != p.Refunded {
		j.fail("I18", "payment %v of %d: %d captured (%d from sources), %d refunded (%d)", k, p.Amount.Minor, p.Captured, sum, p.Refunded, back)
	}
}

// count adds what a part has moved over the platform's own accounts.
func (o *own) count(x *payment.Part, got part) {
	sign := int64(1)
	switch {
	case got == added:
		sign = -1
	case got != taken || x.Role != payment.Hold:
		return
	}
	if x.Participant == payment.Points {
		o.redeemed += sign * x.Amount.Minor
		return
	}
	if len(x.Funding) == 0 {
		o.clearing += sign * x.Amount.Minor
	}
	for _, f := range x.Funding {
		if f.From == balance.PaymentClearing.String() {
			o.clearing += sign * f.Amount.Minor
		} else {
			o.funding += sign * f.Amount.Minor
		}
	}
}

func (j *judge) own() (sum own) {
	for _, s := range j.shadows("balance") {
		s.balance().EachAccount(func(_ book.Key, a *balance.Account) {
			switch a.Kind {
			case balance.PaymentClearing:
				sum.clearing += a.Posted()
			case balance.PointsFunding:
				sum.funding += a.Posted()
			}
		})
	}
	for _, s := range j.shadows("points") {
		s.points().EachAccount(func(_ book.Key, a *points.Account) {
			if a.Kind == points.Redeemed {
				sum.redeemed += a.Posted()
			}
		})
	}
	return sum
}

// ended judges a world whose faults have ended long enough ago: everything is over (I19), what callers were told is so
// (I20), and the saved tables are what the journal says (I24).
func (j *judge) ended() {
	j.check(true)
	j.chains()
	j.tables()
	j.truths()
}

// emptied judges a world in which nothing can follow any more: nothing is held.
func (j *judge) emptied() {
	j.check(true)
	for b, got := range j.parts() {
		if got == held {
			j.fail("I5", "branch %v is still held", b)
		}
	}
	for _, s := range j.shadows("balance") {
		s.balance().EachAccount(func(k book.Key, a *balance.Account) {
			if a.Held() != 0 {
				j.fail("I5", "account %v still holds %d", k, a.Held())
			}
		})
	}
}

// chains recomputes the hash of every block, from genesis to head (I7).
func (j *judge) chains() {
	for _, name := range j.w.names {
		blocks, _ := j.w.disk.log.Read(context.Background(), name, 1, 1<<30)
		last := journal.Head{Book: name}
		for _, b := range blocks {
			again := *b
			journal.Seal(&again)
			if b.Seq != last.Seq+1 || b.Prev != last.Hash || again.Hash != b.Hash || b.Epoch < last.Epoch {
				j.fail("I7", "%s block %d does not follow block %d", name, b.Seq, last.Seq)
			}
			last = b.Head()
		}
	}
}

// tables compares the saved tables with those that a replay makes from nothing.
func (j *judge) tables() {
	ctx := context.Background()
	if !j.w.rests() {
		j.fail("I24", "the books cannot be saved at rest")
	}
	for _, name := range j.w.names {
		if err := book.SaveNow(ctx, j.books[name].core, j.state); err != nil {
			j.fail("I24", "%s: the replay cannot be saved: %v", name, err)
		}
	}
	saved, rebuilt := j.w.disk.tables.Dump(), j.state.Dump()
	for i := range max(len(saved), len(rebuilt)) {
		if i >= len(saved) || i >= len(rebuilt) || saved[i] != rebuilt[i] {
			j.fail("I24", "row %d of %d saved and %d rebuilt differs", i, len(saved), len(rebuilt))
			return
		}
	}
}

// truths looks up whatever callers were told: it exists, and ended as they heard (I20).
func (j *judge) truths() {
	facts := make(map[book.Key]string)
	j.eachPayment(func(k book.Key, p *payment.Payment) { facts[k] = fmt.Sprint(p.SettledAt, p.SettledStatus) })
	for k, t := range j.answers {
		_, ok := facts[book.Key{Tenant: k.Tenant, ID: t.target}]
		if !ok {
			j.fail("I20", "a caller was told of payment %x, which does not exist", t.target)
		} else if !j.keys[k] {
			j.fail("I20", "a caller was told of payment %x under key %v, which is not bound", t.target, k)
		}
	}
}

// accounts returns what stands on every account, as lines to compare.
func (j *judge) accounts() (lines []string) {
	line := func(service string, k book.Key, kind string, posted, held int64, currency money.Currency) {
		lines = append(lines, fmt.Sprintf("%s %v %s %d %d %v", service, k, kind, posted, held, currency))
	}
	for _, s := range j.shadows("balance") {
		s.balance().EachAccount(func(k book.Key, a *balance.Account) {
			line("balance", k, a.Kind.String(), a.Posted(), a.Held(), a.Currency)
		})
	}
	for _, s := range j.shadows("points") {
		s.points().EachAccount(func(k book.Key, a *points.Account) {
			line("points", k, a.Kind.String(), a.Posted(), a.Held(), a.Currency)
		})
	}
	slices.Sort(lines)
	return lines
}
