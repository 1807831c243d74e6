package ledger

// overlay is what the transfers of a chain see: the rows of a view, under the copies that the chain changed. Chains
// are short, so the copies are searched one by one.
type overlay[R comparable] struct {
	base     View[R]
	accounts []named[R, Account]
	holds    []named[R, Hold[R]]
}

type named[R comparable, V any] struct {
	ref R
	row V
}

func find[R comparable, V any](rows []named[R, V], ref R) *V {
	for i := range rows {
		if rows[i].ref == ref {
			return &rows[i].row
		}
	}
	return nil
}

// account returns the account as the chain sees it, or nil. It is valid until the next apply.
func (o *overlay[R]) account(ref R) *Account {
	if a := find(o.accounts, ref); a != nil {
		return a
	}
	return o.base.Account(ref)
}

// hold returns the hold as the chain sees it, or nil. It is valid until the next apply.
func (o *overlay[R]) hold(ref R) *Hold[R] {
	if h := find(o.holds, ref); h != nil {
		return h
	}
	return o.base.Hold(ref)
}

// apply counts a step on copies.
func (o *overlay[R]) apply(s *step[R], day Day) {
	if s.holds {
		pend(o.ownAccount(s.change.Account), &s.change, day)
		o.ownHold(s.change.Hold).change(&s.change)
	}
	if s.posts {
		for _, l := range s.legs {
			o.ownAccount(l.Account).post(l.Side, l.Amount.Minor, day)
		}
	}
}

func (o *overlay[R]) ownAccount(ref R) *Account {
	if a := find(o.accounts, ref); a != nil {
		return a
	}
	if o.accounts == nil {
		o.accounts = make([]named[R, Account], 0, 4)
	}
	o.accounts = append(o.accounts, named[R, Account]{ref, *o.base.Account(ref)})
	return &o.accounts[len(o.accounts)-1].row
}

func (o *overlay[R]) ownHold(ref R) *Hold[R] {
	if h := find(o.holds, ref); h != nil {
		return h
	}
	n := named[R, Hold[R]]{ref: ref}
	if h := o.base.Hold(ref); h != nil {
		n.row = *h
	}
	o.holds = append(o.holds, n)
	return &o.holds[len(o.holds)-1].row
}
