package book

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Segment is a stretch of a tenant's days in an index of keys: one day, or days of one month.
type Segment struct {
	Tenant      id.Tenant
	First, Last int64 // as Day counts them, both included
	Kept        bool  // a month whose filter is in the tables
}

// Day returns the number of the UTC day that a time falls into, from 1970-01-01.
func Day(at clock.Micros) int64 { return int64(at / clock.Day) }

// monthOf returns the first and the last day of a day's month.
func monthOf(day int64) (first, last int64) {
	t := clock.Micros(day * int64(clock.Day)).Time()
	first = day - int64(t.Day()) + 1
	return first, first + int64(time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()) - 1
}

// openDays is how many days have a filter of their own: the day of the last saved block, and the one before. Older ones
// are over and are joined into months.
const openDays = 2

// segments are those of one tenant, the latest first.
type segments struct {
	days   []*segment
	months []*segment // their filters never change; another one takes their place
}

// segment is a filter and the days that it is for. A day may be in a month and have a filter of its own besides.
type segment struct {
	first, last int64
	filter      *store.Filter
	cold        bool // keys that the store has are missing from the filter
	stale       bool // of a month: days that are over are to be joined to it
	kept        bool // of a month: it is whole, and its filter is in the tables
}

func find(list []*segment, first int64) (at int, ok bool) {
	return slices.BinarySearchFunc(list, first, func(s *segment, first int64) int { return cmp.Compare(first, s.first) })
}

func (s *segments) day(day int64) *segment {
	at, ok := find(s.days, day)
	if !ok {
		s.days = slices.Insert(s.days, at, &segment{first: day, last: day, filter: store.NewFilter(0)})
	}
	return s.days[at]
}

// month returns the segment of the month that begins with the given day. A new one has no day in it.
func (s *segments) month(first int64) *segment {
	at, ok := find(s.months, first)
	if !ok {
		s.months = slices.Insert(s.months, at, &segment{first: first, last: first - 1, filter: store.NewFullFilter(0)})
	}
	return s.months[at]
}

func (k *Keys) of(t id.Tenant) *segments {
	s := k.segments[t]
	if s == nil {
		s = &segments{}
		k.segments[t] = s
	}
	return s
}

// candidates returns the days that may hold the key.
func (k *Keys) candidates(key Key) (days []int64) {
	s := k.segments[key.Tenant]
	if s == nil {
		return nil
	}
	for _, list := range [...][]*segment{s.days, s.months} {
		for _, seg := range list {
			if seg.cold || seg.filter.Has(key.ID) {
				for day := seg.last; day >= seg.first; day-- {
					days = append(days, day)
				}
			}
		}
	}
	return days
}

// list says which segments the store has; their filters are still to be filled. Days up to over are over.
func (k *Keys) list(found []Segment, over int64) {
	for _, f := range found {
		first, last := monthOf(f.First)
		s := k.of(f.Tenant)
		switch {
		case f.Kept:
			m := s.month(first)
			m.last, m.cold, m.kept = last, true, true
		case f.First <= over:
			m := s.month(first)
			m.last, m.cold = min(last, over), true
		default:
			s.day(f.First).cold = true
		}
	}
	k.cold = false
}

// todo returns what there is to do about the filters, the latest days first: days after over that are to be filled, months
// whose kept filter is to be loaded, and months that are to be joined up to the given day.
func (k *Keys) todo(over int64) (out []Segment) {
	for t, s := range k.segments {
		for _, d := range s.days {
			if d.first <= over {
				first, _ := monthOf(d.first)
				s.month(first).stale = true
			} else if d.cold {
				out = append(out, Segment{Tenant: t, First: d.first, Last: d.first})
			}
		}
		for _, m := range s.months {
			_, last := monthOf(m.first)
			switch {
			case m.cold && m.kept:
				out = append(out, Segment{Tenant: t, First: m.first, Last: last, Kept: true})
			case m.cold || m.stale || !m.kept && last <= over:
				out = append(out, Segment{Tenant: t, First: m.first, Last: min(last, over)})
			}
		}
	}
	slices.SortFunc(out, func(a, b Segment) int { return cmp.Or(cmp.Compare(b.First, a.First), cmp.Compare(a.Tenant, b.Tenant)) })
	return out
}

// fill adds keys of the store to a day's filter; last says that these were all.
func (k *Keys) fill(s Segment, ids []id.ID, last bool) {
	seg := k.of(s.Tenant).day(s.First)
	for _, x := range ids {
		seg.filter.Add(x)
	}
	if last {
		seg.cold = false
	}
}

// joinable returns the filter that the days of s can be joined to, and the last day it has; nil if there is none.
func (k *Keys) joinable(s Segment) (*store.Filter, int64) {
	all := k.of(s.Tenant)
	m := all.month(s.First)
	strange := slices.ContainsFunc(all.days, func(d *segment) bool { return m.first <= d.first && d.first <= m.last })
	if m.cold || strange || m.last < m.first {
		return nil, 0
	}
	return m.filter, m.last
}

// joined puts a filter that holds all keys of s in the place of the filters that were for these days.
func (k *Keys) joined(s Segment, f *store.Filter) {
	all := k.of(s.Tenant)
	m := all.month(s.First)
	m.last, m.filter, m.cold, m.stale, m.kept = s.Last, f, false, false, s.Kept
	all.days = slices.DeleteFunc(all.days, func(d *segment) bool { return s.First <= d.first && d.first <= s.Last })
	k.over = max(k.over, s.Last)
}

// file notes that a new key is in the index.
func (k *Keys) file(key Key, day int64) {
	if day <= k.over {
		panic(fmt.Sprintf("book: %s %v is filed under day %d, which is over", k.table, key, day))
	}
	k.of(key.Tenant).day(day).filter.Add(key.ID)
}
