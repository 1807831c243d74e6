package ledger

import "github.com/koban-pay/koban/fault"

// Batch plans many chains over one view before any of them is applied. Each stands or falls alone, and sees what those
// before it did. Applying the entries to the view's rows in the same order leads to what the batch saw.
type Batch[R comparable] struct {
	view     View[R]
	accounts map[R]*Account
	holds    map[R]*Hold[R]
	legs     []Leg[R] // room for the entries to come
	changes  []HoldChange[R]
}

// NewBatch returns an empty batch over a view, whose rows must not change while the batch is in use.
func NewBatch[R comparable](view View[R]) *Batch[R] {
	return &Batch[R]{view: view, accounts: make(map[R]*Account), holds: make(map[R]*Hold[R])}
}

// Plan decides a chain as the function Plan does, and lets the chains to come see it if it stands. A chain that falls
// leaves no trace.
func (b *Batch[R]) Plan(day Day, chain ...Transfer[R]) (Entry[R], *fault.Error) {
	if err := checkChain(chain); err != nil {
		return Entry[R]{}, err
	}
	legs, holds := size(chain)
	b.legs, b.changes = reserve(b.legs, legs), reserve(b.changes, holds)
	e := Entry[R]{Day: day, Legs: b.legs[:0:legs], Holds: b.changes[:0:holds]}
	if err := e.plan(&overlay[R]{base: b}, chain); err != nil {
		return Entry[R]{}, err
	}
	b.legs, b.changes = b.legs[len(e.Legs):], b.changes[len(e.Holds):]
	e.Legs, e.Holds = fit(e.Legs), fit(e.Holds)
	Apply(b, e)
	return e, nil
}

// reserve returns a slice of at least n elements to carve entries from: many entries share one allocation.
func reserve[T any](s []T, n int) []T {
	const chunk = 256
	if len(s) >= n {
		return s
	}
	return make([]T, max(n, chunk))
}

// Account returns the account as the chains so far have left it, or nil; it must not be changed.
func (b *Batch[R]) Account(ref R) *Account {
	if a, ok := b.accounts[ref]; ok {
		return a
	}
	return b.view.Account(ref)
}

// Hold returns the hold as the chains so far have left it, or nil; it must not be changed.
func (b *Batch[R]) Hold(ref R) *Hold[R] {
	if h, ok := b.holds[ref]; ok {
		return h
	}
	return b.view.Hold(ref)
}

// EditAccount and EditHold are for Apply: they give the batch's own copy of a row.
func (b *Batch[R]) EditAccount(ref R) *Account {
	a, ok := b.accounts[ref]
	if !ok {
		row := *b.view.Account(ref)
		a = &row
		b.accounts[ref] = a
	}
	return a
}

// EditHold gives the batch's own copy of a hold, as EditAccount does.
func (b *Batch[R]) EditHold(ref R) *Hold[R] {
	h, ok := b.holds[ref]
	if !ok {
		h = new(Hold[R])
		if base := b.view.Hold(ref); base != nil {
			*h = *base
		}
		b.holds[ref] = h
	}
	return h
}
