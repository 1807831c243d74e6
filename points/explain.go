package points

import (
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// explained tells what an event did for a branch. It reads nothing but the event, which carries outcomes.
func (m *Machine) explained(raw journal.Event) (b tcc.Branch, out []tcc.Entry, err error) {
	if raw.Type < typeOpened {
		return b, nil, nil // the kernel's
	}
	ev, err := m.Decode(raw.Type, raw.Body)
	if err != nil {
		return b, nil, err
	}
	if of, ok := ev.(interface{ about() *branchOf }); ok {
		b = tcc.Branch{Tenant: of.about().Tenant, ID: of.about().Branch}
	}
	return b, m.explain(ev), nil
}

// explain returns the entries of one event: what was set aside or let go, then what was posted.
func (m *Machine) explain(ev any) (out []tcc.Entry) {
	switch e := ev.(type) {
	case *tried:
		return []tcc.Entry{{What: "hold", Legs: []tcc.Leg{pending(e.Account, true, e.Amount)}}}
	case *confirmed:
		legs := []tcc.Leg{posted(e.Account, Customer, true, sumParts(e.Taken))}
		for _, s := range e.To {
			legs = append(legs, posted(m.ownID(s.Kind), s.Kind, false, s.Amount))
		}
		return append([]tcc.Entry{{What: "post", Legs: legs}}, m.explainBack(e.Account, e.Back)...)
	case *cancelled:
		return m.explainBack(e.Account, e.Back)
	case *added:
		var legs []tcc.Leg
		for _, s := range e.From {
			legs = append(legs, posted(m.ownID(s.Kind), s.Kind, true, s.Amount))
		}
		_, _, lost := sumBack(e.Back)
		switch {
		case e.Suspense:
			legs = append(legs, posted(m.ownID(Suspense), Suspense, false, e.Amount))
		case lost < e.Amount:
			legs = append(legs, posted(e.Account, Customer, false, e.Amount-lost))
		}
		if lost > 0 && !e.Suspense {
			legs = append(legs, posted(m.ownID(Expired), Expired, false, lost))
		}
		return []tcc.Entry{{What: "add", Legs: legs}}
	}
	return nil
}

// explainBack returns the entries of points that are let go, and those of the lots among them that had expired.
func (m *Machine) explainBack(account id.ID, back []Back) (out []tcc.Entry) {
	all, moved, lost := sumBack(back)
	if all > 0 {
		out = append(out, tcc.Entry{What: "void", Legs: []tcc.Leg{pending(account, false, all)}})
	}
	if moved > 0 {
		out = append(out, tcc.Entry{What: "lot", Legs: []tcc.Leg{
			posted(account, Customer, true, moved), posted(account, Customer, false, moved),
		}})
	}
	if lost > 0 {
		out = append(out, tcc.Entry{What: "expire", Legs: []tcc.Leg{
			posted(account, Customer, true, lost), posted(m.ownID(Expired), Expired, false, lost),
		}})
	}
	return out
}

func posted(account id.ID, k Kind, debit bool, n int64) tcc.Leg {
	return tcc.Leg{Account: account, Kind: k.String(), Debit: debit, Amount: points(n)}
}

func pending(account id.ID, debit bool, n int64) tcc.Leg {
	return tcc.Leg{Account: account, Kind: Customer.String(), Debit: debit, Pending: true, Amount: points(n)}
}
