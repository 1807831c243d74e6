package ledger

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/money"
)

// Day is a business day: days since 1970-01-01 in the calendar that the tenant does business in. The caller says which
// day it is. What is said to be before that date counts on it.
type Day int32

// month returns the number of the month of d ≥ 0 in the Gregorian calendar. It counts in years that begin in March, so
// that a leap day is the last of its year.
func (d Day) month() int64 {
	const (
		marchOfYear0 = 719468 // days from then to 1970-01-01
		cycle        = 146097 // days in 400 years
	)
	day := (int64(d) + marchOfYear0) % cycle
	cycles := (int64(d) + marchOfYear0) / cycle
	year := (day - day/1460 + day/36524 - day/146096) / 365
	inYear := day - (365*year + year/4 - year/100)
	return (cycles*400+year)*12 + (5*inYear+2)/153
}

// Limits bound what an account takes in and gives out in a business day and in a month, in minor units. A limit of 0 is
// no limit. A hold counts when it is made, on that day; what of it is released counts no more.
type Limits struct {
	DayIn, DayOut, MonthIn, MonthOut int64
}

// Usage is what counts against the limits, in minor units, in the day Day and its month. It is kept whether there are
// limits or not, so that a new limit sees the day it is set on.
//
// Day is the latest day the account has seen. What comes later for an earlier day counts in Day: a late arrival never
// makes room.
type Usage struct {
	Day                              Day
	DayIn, DayOut, MonthIn, MonthOut int64
}

// on returns u as it is on day d.
func (u Usage) on(d Day) Usage {
	if d <= u.Day {
		return u
	}
	if d.month() != u.Day.month() {
		return Usage{Day: d}
	}
	return Usage{Day: d, MonthIn: u.MonthIn, MonthOut: u.MonthOut}
}

func (u *Usage) count(receives bool, minor int64) {
	if receives {
		u.DayIn += minor
		u.MonthIn += minor
	} else {
		u.DayOut += minor
		u.MonthOut += minor
	}
}

// uncount takes back what was counted on the given day, as far as that day and its month still are Day and its month.
func (u *Usage) uncount(receives bool, minor int64, counted Day) {
	if minor == 0 || counted != u.Day && counted.month() != u.Day.month() {
		return
	}
	day, month := &u.DayOut, &u.MonthOut
	if receives {
		day, month = &u.DayIn, &u.MonthIn
	}
	if counted == u.Day {
		*day -= minor
	}
	*month -= minor
}

// cut lets nothing count for more than most.
func (u *Usage) cut(most int64) {
	u.DayIn, u.DayOut = min(u.DayIn, most), min(u.DayOut, most)
	u.MonthIn, u.MonthOut = max(u.DayIn, min(u.MonthIn, most)), max(u.DayOut, min(u.MonthOut, most))
}

func (u *Usage) sane() bool {
	return u.Day >= 0 && u.DayIn >= 0 && u.DayOut >= 0 && u.MonthIn >= u.DayIn && u.MonthOut >= u.DayOut
}

func (l Limits) admit(u Usage, receives bool, amount money.Amount) *fault.Error {
	day, month, way := room(l.DayOut, u.DayOut), room(l.MonthOut, u.MonthOut), "out"
	if receives {
		day, month, way = room(l.DayIn, u.DayIn), room(l.MonthIn, u.MonthIn), "in"
	}
	switch {
	case amount.Minor > day:
		return fault.LimitExceeded.New("the account's limit a day does not allow %v more %s", amount, way)
	case amount.Minor > month:
		return fault.LimitExceeded.New("the account's limit a month does not allow %v more %s", amount, way)
	}
	return nil
}

// room returns what a limit leaves; it is negative where the limit was lowered below what is used.
func room(limit, used int64) int64 {
	if limit == 0 {
		return money.MaxStored
	}
	return limit - used
}
