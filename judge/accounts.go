package judge

import (
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
)

// accounts are the accounts of a ledger. Those in use are in memory; where there is an attic, the others are there.
type accounts struct {
	volumes int
	most    int                   // how many are young before the others go; 0: no limit
	attic   *attic.Shelf          // nil: there is none
	young   map[book.Key]*Account // used lately
	old     map[book.Key]*Account // used before that, and not since
	number  []int                 // how many there are, by volume
	shown   []marks               // by volume, the accounts that the sweep has seen
	expect  []int                 // by volume, how many there were when the sweep began
}

// marks is one bit for each account of a volume.
type marks []uint64

func newAccounts(volumes int) accounts {
	return accounts{
		volumes: volumes, young: map[book.Key]*Account{}, old: map[book.Key]*Account{}, number: make([]int, volumes),
		shown: make([]marks, volumes), expect: make([]int, volumes),
	}
}

// get returns an account, nil if it is not known. It is valid until tidy, and whoever changes it marks it.
func (a *accounts) get(k book.Key) *Account {
	if x := a.young[k]; x != nil {
		return x
	}
	x := a.old[k]
	if x == nil && a.attic != nil {
		var key [placeBytes]byte
		text, ok := a.attic.Get(place(&key, k))
		if !ok {
			return nil
		}
		x = (&eye{rest: text}).accountOf()
	}
	if x != nil {
		a.young[k] = x
		delete(a.old, k)
	}
	return x
}

// add adds an account, in the place of any of this key.
func (a *accounts) add(k book.Key, x *Account) {
	v := k.ID.Volume(a.volumes)
	if was := a.get(k); was != nil {
		x.n = was.n
	} else {
		x.n = a.number[v]
		a.number[v]++
	}
	x.changed = true
	a.young[k] = x
}

// tidy gives those that were not used for long to the attic.
func (a *accounts) tidy() {
	if a.attic == nil || len(a.young) < a.most {
		return
	}
	var key [placeBytes]byte
	var text pen
	for k, x := range a.old {
		if x.changed {
			text = text[:0].accountOf(x)
			a.attic.Put(place(&key, k), text)
			x.changed = false
		}
	}
	a.old, a.young = a.young, make(map[book.Key]*Account, a.most)
}

// len returns how many there are.
func (a *accounts) len() (n int) {
	for _, x := range a.number {
		n += x
	}
	return n
}

// each calls f for every account, in no order.
func (a *accounts) each(f func(book.Key, *Account)) {
	for _, m := range []map[book.Key]*Account{a.young, a.old} {
		for k, x := range m {
			f(k, x)
		}
	}
	if a.attic == nil {
		return
	}
	for c := a.attic.Cursor(nil); c.Next(); {
		if k := keyAt(c.Key()); a.young[k] == nil && a.old[k] == nil {
			f(k, (&eye{rest: c.Value()}).accountOf())
		}
	}
}

// sweep begins a sweep: none was seen yet.
func (a *accounts) sweep() {
	copy(a.expect, a.number)
	for v := range a.shown {
		clear(a.shown[v])
	}
}

// saw notes that the sweep has seen an account.
func (a *accounts) saw(k book.Key, x *Account) {
	m := &a.shown[k.ID.Volume(a.volumes)]
	for len(*m) <= x.n/64 {
		*m = append(*m, 0)
	}
	(*m)[x.n/64] |= 1 << (x.n % 64)
}

func (m marks) has(n int) bool { return n/64 < len(m) && m[n/64]>>(n%64)&1 == 1 }

// missing returns the accounts of a volume that there were before a time and that the sweep has not seen, in order.
func (a *accounts) missing(volume int, began clock.Micros) (out []book.Key) {
	all := true
	for n := 0; n < a.expect[volume] && all; n++ {
		all = a.shown[volume].has(n)
	}
	if all {
		return nil
	}
	a.each(func(k book.Key, x *Account) {
		if k.ID.Volume(a.volumes) == volume && x.since < began && !a.shown[volume].has(x.n) {
			out = append(out, k)
		}
	})
	slices.SortFunc(out, compareKeys)
	return out
}
