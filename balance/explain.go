package balance

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// explain tells what an event did for a branch.
func explain(_ int, raw journal.Event) (b tcc.Branch, out []tcc.Entry, err error) {
	if raw.Type < book.FirstEventType {
		return b, nil, nil
	}
	ev, err := decode(raw.Type, raw.Body)
	if err != nil {
		return b, nil, err
	}
	what, p, c, e := told(ev)
	if p == nil || len(e.Legs)+len(e.Holds) == 0 {
		return b, nil, nil
	}
	return tcc.Branch{Tenant: p.Tenant, ID: p.Branch}, []tcc.Entry{{What: what, Legs: legsOf(e, c)}}, nil
}

// told returns what the event of a branch is called, and what it moved. p is nil for another event.
func told(ev any) (what string, p *part, c money.Currency, e *entry) {
	switch ev := ev.(type) {
	case *tryHeld:
		return "hold", &ev.part, ev.Amount.Currency, &ev.Entry
	case *confirmed:
		return "post", &ev.part, ev.Amount.Currency, &ev.Entry
	case *cancelled:
		return "void", &ev.part, ev.Currency, &ev.Entry
	case *added:
		return "add", &ev.part, ev.Amount.Currency, &ev.Entry
	}
	return "", nil, 0, nil
}

func legsOf(e *entry, c money.Currency) (legs []tcc.Leg) {
	for i := range e.Legs {
		l := &e.Legs[i]
		legs = append(legs, tcc.Leg{Account: l.Account, Kind: KindOf(l.Account).String(), Debit: l.Side == ledger.Debit, Amount: l.Amount})
	}
	pending := func(h *ledger.HoldChange[id.ID], side ledger.Side, minor int64) {
		if minor > 0 {
			legs = append(legs, tcc.Leg{
				Account: h.Account, Kind: KindOf(h.Account).String(), Debit: side == ledger.Debit,
				Pending: true, Amount: money.Of(minor, c),
			})
		}
	}
	for i := range e.Holds {
		h := &e.Holds[i]
		pending(h, h.Side, h.Opened)
		pending(h, h.Side.Opposite(), h.Released)
	}
	return legs
}
