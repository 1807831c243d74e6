package points

import (
	"fmt"
	"slices"

	"github.com/koban-pay/koban/internal/clock"
)

// Class says how points came about. The numbers are stored.
type Class uint8

// The classes, in the order in which they are spent.
const (
	Free Class = iota + 1 // given away
	Paid                  // bought
)

var classWords = [...]string{Free: "free", Paid: "paid"}

// String returns the class's word: "free" or "paid".
func (c Class) String() string {
	if c < Free || c > Paid {
		return "invalid"
	}
	return classWords[c]
}

// MarshalText returns the class's word.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the class's word.
func (c *Class) UnmarshalText(text []byte) error {
	for k := Free; k <= Paid; k++ {
		if classWords[k] == string(text) {
			*c = k
			return nil
		}
	}
	return fmt.Errorf("there is no class %q of points", text)
}

// MaxLots is the most lots that additions can give an account. What would make one more lands in suspense, or is
// refused where it may be; points that come back to their owner are let in beyond it. Points that live for a year have
// 366 days to expire on, in each of two classes (see Until): who gives days has room for them all.
const MaxLots = 1024

// Lot is a number of points of one class with one expiry.
type Lot struct {
	N         int64        `json:"lot"` // within the account, from 1
	Class     Class        `json:"class"`
	Left      int64        `json:"left"` // what was not spent, held parts included
	Held      int64        `json:"held"` // of Left, for payments under way
	ExpiresAt clock.Micros `json:"expires_at"`
}

// Part is a number of points of one lot.
type Part struct {
	Lot       int64
	Class     Class
	ExpiresAt clock.Micros // 0: never
	Amount    int64
}

// Back is points that return from a hold or a refund: Amount of the lot From, into the lot To, which is From itself or
// a new one. To is 0 where they were forfeited or landed in suspense.
type Back struct {
	From      int64
	To        int64
	Class     Class
	ExpiresAt clock.Micros // of To
	Amount    int64
}

func (b Back) part() Part {
	return Part{Lot: b.To, Class: b.Class, ExpiresAt: b.ExpiresAt, Amount: b.Amount}
}

// gone reports whether what expires at t is over at now. A lot is over from the instant that it names.
func gone(t, now clock.Micros) bool { return t != 0 && t <= now }

func (l *Lot) free() int64 { return l.Left - l.Held }

// Lots are the lots of one account, in the order in which they are spent.
type Lots []Lot

// first reports whether a is spent before b: earlier expiry, then free before paid, then the lower number.
func first(a, b *Lot) bool {
	switch {
	case a.ExpiresAt != b.ExpiresAt:
		return b.ExpiresAt == 0 || a.ExpiresAt != 0 && a.ExpiresAt < b.ExpiresAt
	case a.Class != b.Class:
		return a.Class < b.Class
	}
	return a.N < b.N
}

// Usable returns how many points can be taken at now.
func (ls Lots) Usable(now clock.Micros) (n int64) {
	for i := range ls {
		if l := &ls[i]; !gone(l.ExpiresAt, now) {
			n += l.free()
		}
	}
	return n
}

// Due returns when the next lot expires that has something left which is not held; 0 for never.
func (ls Lots) Due() clock.Micros {
	for i := range ls {
		if l := &ls[i]; l.free() > 0 {
			return l.ExpiresAt // the earliest stand first, and those that never expire last
		}
	}
	return 0
}

// expired returns what has to move to points_expired at now.
func (ls Lots) expired(now clock.Micros) (parts []Part) {
	for i := range ls {
		if l := &ls[i]; gone(l.ExpiresAt, now) && l.free() > 0 {
			parts = append(parts, Part{l.N, l.Class, l.ExpiresAt, expiring(l)})
		}
	}
	return parts
}

// pick appends the parts that make up amount, in the order in which lots are spent; it returns nil if less is usable at now.
func (ls Lots) pick(parts []Part, amount int64, now clock.Micros) []Part {
	for i := range ls {
		l := &ls[i]
		n := min(amount, l.free())
		if n == 0 || !usable(l, now) {
			continue
		}
		parts = append(parts, Part{l.N, l.Class, l.ExpiresAt, n})
		if amount -= n; amount == 0 {
			return parts
		}
	}
	return nil
}

func (ls Lots) find(n int64) *Lot {
	for i := range ls {
		if ls[i].N == n {
			return &ls[i]
		}
	}
	return nil
}

// like returns the lot of a class and expiry that has the lowest number, or nil.
func (ls Lots) like(c Class, expires clock.Micros) *Lot {
	for i := range ls {
		if ls[i].Class == c && ls[i].ExpiresAt == expires {
			return &ls[i]
		}
	}
	return nil
}

// add puts points into a lot, which is made if it is not there (any more).
func (ls *Lots) add(p Part) {
	l := ls.find(p.Lot)
	if l == nil {
		n := Lot{N: p.Lot, Class: p.Class, ExpiresAt: p.ExpiresAt}
		at, _ := slices.BinarySearchFunc(*ls, &n, func(a Lot, b *Lot) int {
			if first(&a, b) {
				return -1
			}
			return 1
		})
		*ls = slices.Insert(*ls, at, n)
		l = &(*ls)[at]
	}
	if l.Class != p.Class || l.ExpiresAt != p.ExpiresAt {
		panic(fmt.Sprintf("points: %+v added to %+v", p, *l))
	}
	l.Left += p.Amount
}

// change counts left and held on lot n, and drops the lot when nothing of it is left.
func (ls *Lots) change(n, left, held int64) {
	i := slices.IndexFunc(*ls, func(l Lot) bool { return l.N == n })
	if i < 0 {
		panic(fmt.Sprintf("points: there is no lot %d", n))
	}
	l := &(*ls)[i]
	l.Left += left
	l.Held += held
	if l.Held < 0 || l.Held > l.Left {
		panic(fmt.Sprintf("points: lot %+v after %+d left and %+d held", *l, left, held))
	}
	if l.Left == 0 {
		*ls = slices.Delete(*ls, i, i+1)
	}
}
