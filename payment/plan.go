package payment

import (
	"fmt"
	"slices"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Names of a volume's own accounts (design of the legs: ARCHITECTURE.md, "One request").
const (
	clearing     = "payment_clearing"
	pointsCost   = "points_funding"
	pointsBurned = "points_redeemed"
)

// pointRate is what one point is worth in minor units of the payment's currency.
var pointRate = money.Rate{Num: 1, Den: 1}

// pointsFor returns the points that an amount is paid with.
func pointsFor(minor int64) money.Amount {
	return money.Of(minor*pointRate.Den/pointRate.Num, money.PT)
}

// chargeParts returns the parts of a charge: a hold per source, a claim on the session, and what the merchant gets.
func chargeParts(p *Payment) []Part {
	n := len(p.Sources) + 1
	if !p.Session.IsNil() {
		n++
	}
	parts, funding := make([]Part, 0, n), make([]tcc.Funding, 0, len(p.Sources))
	add := func(x Part) {
		x.Number = uint8(len(parts) + 1)
		parts = append(parts, x)
	}
	for i, s := range p.Sources {
		if s.Amount == 0 {
			continue
		}
		x := Part{Role: Hold, Account: s.Account, Source: uint8(i + 1)}
		from := tcc.Funding{Amount: money.Of(s.Amount, p.Amount.Currency)}
		if s.Type == FromPoints {
			x.Participant, x.Amount, from.From = Points, pointsFor(s.Amount), pointsCost
		} else {
			x.Participant, x.Amount, from.From = Balance, from.Amount, clearing
		}
		add(x)
		funding = append(funding, from)
	}
	if !p.Session.IsNil() {
		add(Part{Participant: Code, Role: Claim, Account: p.Session, Amount: p.Amount})
	}
	add(Part{Participant: Balance, Role: Add, Account: p.Merchant.Facet(tcc.PayableAccount), Amount: p.Amount, Funding: funding})
	return parts
}

// share is how much of a refund goes back to one source.
type share struct {
	source int
	minor  int64
}

// allocate divides a refund over the charge's sources, last source first: the customer's own money before points that
// were listed ahead of it. It reports false if the amount is more than is left.
func allocate(charge *Payment, minor int64) ([]share, bool) {
	var out []share
	for i := len(charge.Sources) - 1; i >= 0 && minor > 0; i-- {
		s := charge.Sources[i]
		if take := givable(&s, i, minor); take > 0 {
			out = append(out, share{i, take})
			minor -= take
		}
	}
	return out, minor == 0
}

// refundParts returns the parts of a refund: a hold on what the merchant has, and what each source gets back.
func refundParts(charge *Payment, shares []share) ([]Part, []Source) {
	total := int64(0)
	hold := Part{Number: 1, Participant: Balance, Role: Hold, Account: charge.Merchant.Facet(tcc.PayableAccount)}
	parts := []Part{hold}
	var sources []Source
	cur := charge.Amount.Currency
	for _, sh := range shares {
		s := charge.Sources[sh.source]
		amount := money.Of(sh.minor, cur)
		x := Part{Number: uint8(len(parts) + 1), Role: Add, Account: s.Account, Source: uint8(sh.source + 1)}
		to := tcc.Funding{From: clearing, Amount: amount}
		if s.Type == FromPoints {
			to.From = pointsCost
			x.Participant, x.Amount, x.Origin = Points, pointsFor(sh.minor), charge.branchOf(sh.source)
			x.Funding = []tcc.Funding{{From: pointsBurned, Amount: x.Amount}}
		} else {
			x.Participant, x.Amount = Balance, amount
			x.Funding = []tcc.Funding{{From: clearing, Amount: amount}}
		}
		parts = append(parts, x)
		parts[0].Funding = append(parts[0].Funding, to)
		sources = append(sources, Source{Type: s.Type, Account: s.Account, Amount: sh.minor})
		total += sh.minor
	}
	parts[0].Amount = money.Of(total, cur)
	return parts, sources
}

// branchOf returns the branch that took the given source's value.
func (p *Payment) branchOf(source int) id.ID {
	for i := range p.Parts {
		if x := &p.Parts[i]; x.Role == Hold && int(x.Source) == source+1 {
			return p.ID.Facet(x.Number)
		}
	}
	return id.Nil
}

// want is one source that a request names.
type want struct {
	from   SourceType
	amount money.Amount
	open   bool // takes the rest
}

// divide turns what a request wants to be paid from into sources that add up to the amount: the one without an amount
// takes the rest. Without any, all is paid from the balance.
func divide(amount money.Amount, customer id.ID, wants []want) ([]Source, error) {
	if amount.Currency == money.PT {
		return nil, fault.InvalidCurrency.New("a payment is in money; points are a source of it").WithParam("amount.currency")
	}
	if len(wants) == 0 {
		wants = []want{{from: FromBalance, open: true}}
	}
	rest, open := amount.Minor, -1
	out := make([]Source, len(wants))
	for i, w := range wants {
		facet := tcc.BalanceAccount
		if w.from == FromPoints {
			facet = tcc.PointsAccount
		}
		out[i] = Source{Type: w.from, Account: customer.Facet(facet)}
		switch {
		case w.open && open >= 0:
			return nil, fault.SourcesMismatch.New("only one source may be left without an amount").WithParam("sources")
		case w.open:
			open = i
			continue
		case w.amount.Currency != amount.Currency && (w.from != FromPoints || w.amount.Currency != money.PT):
			return nil, fault.CurrencyMismatch.New("the payment is in %s", amount.Currency).WithParam(fmt.Sprintf("sources.%d.amount.currency", i))
		}
		out[i].Amount = w.amount.Minor
		if rest -= w.amount.Minor; rest < 0 {
			return nil, fault.SourcesMismatch.New("the sources are more than the payment's %d", amount.Minor).WithParam("sources")
		}
	}
	if open >= 0 {
		out[open].Amount = rest
	}
	return out, checkSources(amount, out)
}

// checkSources requires sources that add up to the amount, each type once.
func checkSources(amount money.Amount, sources []Source) error {
	sum := int64(0)
	for i, s := range sources {
		if slices.ContainsFunc(sources[:i], func(o Source) bool { return o.Type == s.Type }) {
			return fault.InvalidRequest.New("each type of source may be named once").WithParam("sources")
		}
		if s.Amount < 0 {
			return fault.InvalidAmount.New("expected a positive amount").WithParam("sources")
		}
		var err error
		if sum, err = money.AddInt(sum, s.Amount); err != nil {
			return fault.AmountOverflow.New("").WithParam("sources")
		}
	}
	if sum != amount.Minor {
		return fault.SourcesMismatch.New("the sources add up to %d, the payment is %d", sum, amount.Minor).WithParam("sources")
	}
	return nil
}
