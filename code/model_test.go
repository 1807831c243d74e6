package code

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// model is what anyone would say of sessions and payments, without times of day, rows or events.
type model struct {
	at       clock.Micros
	sessions map[string]*session
	payments map[string]*payment
}

type session struct {
	minor    int64
	by       string // the payment that has it
	used     bool
	deadline clock.Micros
}

func (s *session) status(at clock.Micros) Status {
	switch {
	case s.used:
		return Used
	case s.by == "" && s.deadline <= at:
		return Expired
	}
	return Open
}

type payment struct {
	try     *tcc.TryRequest
	session string
	said    fault.Code // to the Try
	ended   string
}

// TestModel runs random scans, payments and waits against the model, and holds the book to its invariants.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := booktest.New(t, "code", func() book.Machine { return NewMachine(0, 1, DefaultRules) })
		x := &walk{T: r, h: h, m: &model{at: h.Clock.Now(), sessions: map[string]*session{}, payments: map[string]*payment{}}}
		r.Repeat(map[string]func(*rapid.T){
			"scan": x.scan, "try": x.try, "again": x.again, "confirm": x.confirm, "cancel": x.cancel,
			"wait": func(r *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 200).Draw(r, "seconds")) * time.Second
				if rapid.Bool().Draw(r, "late") {
					h.Clock.Advance(d) // no timer rings
				} else {
					h.Advance(d)
				}
				x.m.at = h.Clock.Now()
			},
			"restart": func(*rapid.T) { h.Restart() },
			"":        x.compare,
		})
		h.Advance(0)
		h.Rebuild()
		verify(t, h)
	})
}

type walk struct {
	*rapid.T
	h *booktest.Harness
	m *model
	n int
}

func (x *walk) do(cmd any, want fault.Code) any {
	reply, err := x.h.Do(branch.CommandOf(cmd, branch.Japan))
	got := fault.Code("")
	if err != nil {
		got = fault.Of(err).Code
	}
	if got != want {
		x.Fatalf("%T %+v: %q, want %q (%v)", cmd, cmd, got, want, err)
	}
	return reply
}

func (x *walk) scan(r *rapid.T) {
	x.n++
	n := fmt.Sprint("session", x.n)
	minor := rapid.SampledFrom([]int64{0, 500}).Draw(r, "minor")
	x.do(&Scan{
		Tenant: tenant, Key: name("key " + n), ID: name(n), Customer: name("ann"), Merchant: name("cafe"), Currency: money.JPY, Minor: minor,
	}, "")
	x.m.sessions[n] = &session{minor: minor, deadline: x.m.at + 5*clock.Minute}
}

func draw[V any](r *rapid.T, of map[string]V) string {
	names := make([]string, 0, len(of))
	for n := range of {
		names = append(names, n)
	}
	if len(names) == 0 {
		r.Skip("none")
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(r, "name")
}

func (x *walk) try(r *rapid.T) {
	n := draw(r, x.m.sessions)
	s := x.m.sessions[n]
	who := rapid.SampledFrom([]string{"ann", "ann", "ann", "bob"}).Draw(r, "who")
	where := rapid.SampledFrom([]string{"cafe", "cafe", "cafe", "kiosk"}).Draw(r, "where")
	minor := rapid.SampledFrom([]int64{500, 500, 600}).Draw(r, "minor")
	want := fault.Code("")
	switch {
	case who != "ann":
		want = fault.SessionForeign
	case where != "cafe", s.minor != 0 && s.minor != minor:
		want = fault.SessionMismatch
	case s.by != "":
		want = fault.SessionUsed
	case s.status(x.m.at) == Expired:
		want = fault.SessionExpired
	}
	x.n++
	pay := fmt.Sprint("pay", x.n)
	p := &payment{session: n, said: want, try: &tcc.TryRequest{
		Branch: part(pay), Account: name(n), Amount: money.Yen(minor), NotAfter: x.m.at + clock.Minute, Customer: name(who), Merchant: name(where),
	}}
	x.do(p.try, want)
	x.m.payments[pay] = p
	if want == "" {
		s.by = pay
	}
}

// again sends a Try once more, whatever has become of it.
func (x *walk) again(r *rapid.T) {
	p := x.m.payments[draw(r, x.m.payments)]
	want := p.said
	if want == "" && p.ended == "cancelled" {
		want = fault.TryAfterCancel
	}
	x.do(p.try, want)
	other := *p.try
	other.Amount.Minor++
	if want != fault.TryAfterCancel || p.said == "" {
		x.do(&other, fault.IDReused)
	}
}

func (x *walk) confirm(r *rapid.T) {
	pay := draw(r, x.m.payments)
	p := x.m.payments[pay]
	cmd := &tcc.ConfirmRequest{Branch: p.try.Branch, Account: p.try.Account, Capture: 1, Amount: p.try.Amount, Final: true}
	switch {
	case p.said != "":
		x.do(cmd, fault.NotTried)
	case p.ended == "cancelled":
		x.do(cmd, fault.AlreadyCancelled)
	default:
		x.do(cmd, "")
		p.ended, x.m.sessions[p.session].used = "confirmed", true
	}
}

func (x *walk) cancel(r *rapid.T) {
	pay := draw(r, x.m.payments)
	p := x.m.payments[pay]
	cmd := &tcc.CancelRequest{Branch: p.try.Branch, Account: p.try.Account}
	switch {
	case p.ended == "confirmed":
		x.do(cmd, fault.AlreadyConfirmed)
	case p.said != "" || p.ended == "cancelled":
		x.do(cmd, "")
	default:
		x.do(cmd, "")
		s := x.m.sessions[p.session]
		p.ended, s.by, s.deadline = "cancelled", "", x.m.at+5*clock.Minute
	}
}

func (x *walk) compare(*rapid.T) {
	for n, s := range x.m.sessions {
		v := x.do(&ReadSession{Tenant: tenant, ID: name(n)}, "").(Session)
		if v.Status != s.status(x.m.at) || v.ExpiresAt != s.deadline {
			x.Fatalf("%s is %+v, want %v until %v", n, v, s.status(x.m.at), s.deadline)
		}
	}
}
