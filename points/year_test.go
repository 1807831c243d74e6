package points

import (
	"fmt"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc/branch"
)

// TestPointsOfAYearFit: who is given points three times a day, of both classes, for more than a year, always gets them.
// What comes on one day stands in one lot of its class.
func TestPointsOfAYearFit(t *testing.T) {
	h := booktest.New(t, "points", func() book.Machine { return NewMachine(0, 1, nil) })
	do := func(cmd any) any {
		t.Helper()
		reply, err := h.Do(branch.CommandOf(cmd, branch.Japan))
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	do(&Open{Tenant: tenant, Owner: name("ann")})
	n := 0
	for day := range 420 {
		for range 3 {
			for _, class := range []Class{Free, Paid} {
				n++
				do(&Grant{
					Tenant: tenant, Key: name(fmt.Sprint("key", n)), ID: name(fmt.Sprint("grant", n)), Account: account("ann"),
					Amount: points(1), Class: class, ExpiresAt: Until(h.Clock.Now(), GrantDays),
				})
			}
			h.Advance(8 * time.Hour)
		}
		v := do(&Read{Tenant: tenant, Account: account("ann")}).(View)
		if len(v.Lots) > 2*(min(day, GrantDays)+2) { // the first day begins in the evening
			t.Fatalf("after %d days the points stand in %d lots", day+1, len(v.Lots))
		}
	}
	if v := do(&Read{Tenant: tenant, Account: account("ann")}).(View); v.Available < 6*GrantDays || v.Available > 6*(GrantDays+1) {
		t.Errorf("%d points are left of the last year", v.Available)
	}
}

// TestPointsExpireWhenADayEnds: at midnight in Japan, after the whole of the last day.
func TestPointsExpireWhenADayEnds(t *testing.T) {
	at := func(text string) clock.Micros {
		u, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return clock.FromTime(u)
	}
	for _, c := range []struct {
		now  string
		days int
		want string
	}{
		{"2026-12-01T00:00:00+09:00", 1, "2026-12-03T00:00:00+09:00"},
		{"2026-12-01T23:59:59+09:00", 1, "2026-12-03T00:00:00+09:00"},
		{"2026-12-01T15:00:00Z", 1, "2026-12-04T00:00:00+09:00"}, // it is the 2nd in Japan
		{"2027-02-28T12:00:00+09:00", 365, "2028-02-29T00:00:00+09:00"},
	} {
		if got := Until(at(c.now), c.days); got != at(c.want) {
			t.Errorf("from %s for %d days: %v, want %s", c.now, c.days, got, c.want)
		}
	}
	if Until(at("2026-12-01T00:00:00Z"), 0) != 0 {
		t.Error("0 days is not never")
	}
}
