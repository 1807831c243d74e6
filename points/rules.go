package points

import (
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
)

// Rules are what a tenant decided about its points. They are read when something is decided, and the outcome goes into
// the event: another rule never changes the past (rule B1).
type Rules struct {
	// RefundDays is for how many days points live that return by a refund after their lot expired. 0: they are forfeited.
	RefundDays int
	// ReleaseDays is the same for points that were held when their lot expired, and are let go. 0: they expire at once.
	ReleaseDays int
	// AddDays is for how many days points live that an Add makes anew. 0: they never expire.
	AddDays int
}

// DefaultRules give a customer a month for points that come back too late through no fault of theirs, and a week for
// those that a payment held and did not take: no more, because a customer can have points held in order to keep them.
var DefaultRules = Rules{RefundDays: 30, ReleaseDays: 7, AddDays: 365}

// GrantDays is for how many days points live that an operator gives away.
const GrantDays = 365

// RuleSet holds the rules of the tenants that have their own; all others have DefaultRules. It must not change while a
// machine uses it.
type RuleSet map[id.Tenant]Rules

func (s RuleSet) of(t id.Tenant) *Rules {
	if r, ok := s[t]; ok {
		return &r
	}
	return &DefaultRules
}

// zone is how far business days are ahead of UTC: Japan has one time zone and no summer time.
const zone = 9 * clock.Hour

// dayOf returns the business day of a time.
func dayOf(at clock.Micros) ledger.Day { return ledger.Day((at + zone) / clock.Day) }

// Until returns when points expire that live for a number of days from now on: when the last of them ends in the
// company's zone, so never earlier than that many times 24 hours. 0 days is never. Points that come on one day so have
// one expiry, and stand in one lot, however many grants they are.
func Until(now clock.Micros, days int) clock.Micros {
	if days == 0 {
		return 0
	}
	last := (now + zone) / clock.Day // the day it is
	return (last+clock.Micros(days)+1)*clock.Day - zone
}

// back says where points come back to: their own lot, if that has not expired; else a new one of the given days, or
// nowhere if there are none.
func (p *placer) back(part Part, now clock.Micros, days int) Back {
	b := Back{From: part.Lot, Class: part.Class, ExpiresAt: part.ExpiresAt, Amount: part.Amount}
	switch {
	case !gone(part.ExpiresAt, now):
		b.To = part.Lot
	case days > 0:
		b.ExpiresAt = Until(now, days)
		b.To = p.place(b.Class, b.ExpiresAt)
	default:
		b.ExpiresAt = 0
	}
	return b
}

// placer finds the numbers of lots that points go into, within one decision.
type placer struct {
	account *Account
	fresh   []Lot
}

// place returns the number of the lot for points of a class and expiry: the one that is there, or a new one.
func (p *placer) place(c Class, expires clock.Micros) int64 {
	if l := p.account.Lots.like(c, expires); l != nil {
		return l.N
	}
	if l := Lots(p.fresh).like(c, expires); l != nil {
		return l.N
	}
	n := p.account.NextLot + int64(len(p.fresh))
	p.fresh = append(p.fresh, Lot{N: n, Class: c, ExpiresAt: expires})
	return n
}
