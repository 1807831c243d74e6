package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
)

// stories are what the crash walk dies in the middle of, and how they end when nothing happens.
var stories = []struct {
	name string
	tell func(w *World)
	ends string
}{
	{"charge", func(w *World) { w.town.pay(w, 1200, payment.Automatic, nil) }, "CAPTURED"},
	{"authorize and capture", func(w *World) { w.town.pay(w, 1200, payment.Manual, w.town.then(payment.ByCapture)) }, "CAPTURED"},
	{"authorize and void", func(w *World) { w.town.pay(w, 1200, payment.Manual, w.town.then(payment.ByVoid)) }, "VOIDED"},
	{"refused charge", func(w *World) { w.town.pay(w, 9999, payment.Automatic, nil) }, "FAILED insufficient_funds"},
	{"refunds", func(w *World) { w.town.pay(w, 1200, payment.Automatic, w.town.back(500, 700)) }, "REFUNDED + SUCCEEDED + SUCCEEDED"},
}

// pay pays for what the first customer has scanned, with 200 points and cash.
func (t *town) pay(w *World, amount int64, capture payment.Capture, then func(*World, *payment.Payment)) {
	o := order{customer: t.customers[0], merchant: t.merchants[0], amount: amount, points: 200, capture: capture, session: t.scanned}
	t.ask(w, o.customer.tenant, id.Nil, t.start(w, o), func(r payment.Reply) {
		if then != nil {
			then(w, r.Payment)
		}
	})
}

// then captures or voids.
func (t *town) then(cause payment.Cause) func(*World, *payment.Payment) {
	return func(w *World, p *payment.Payment) { t.operation(w, p, cause, func(payment.Reply) {}) }
}

// back refunds amounts, one after the other.
func (t *town) back(amounts ...int64) func(*World, *payment.Payment) {
	return func(w *World, p *payment.Payment) {
		if len(amounts) > 0 {
			t.refund(w, p, amounts[0], func(payment.Reply) { t.back(amounts[1:]...)(w, p) })
		}
	}
}

// walk tells a story with misfortunes at some of its steps, and returns the world as it ended.
func walk(tell func(*World), plans map[int]misfortune, plant Plant) *World {
	w := newWorld(7, plant, nil)
	w.run(w.now + 6*clock.Minute) // the first points expire before the story begins
	scan := w.town.scanCommand(w, order{customer: w.town.customers[0], merchant: w.town.merchants[0]})
	w.town.scanned = scan.ID
	w.must("code", scan.ID, scan)
	w.run(w.now + clock.Second)
	w.mix.wholeProcess = true
	w.plans = plans
	tell(w)
	w.run(w.now + 2*clock.Minute)
	w.plans = nil
	w.judged(w.judge.ended)
	return w
}

// end is how a story ended: what became of its payments, and what stands on every account.
func (w *World) end() (status string, accounts []string) {
	var list []string
	w.judge.eachPayment(func(_ book.Key, p *payment.Payment) {
		if p.Kind == payment.Refund {
			list = append(list, p.Status.String())
			return
		}
		list = slices.Insert(list, 0, strings.TrimSpace(p.Status.String()+" "+string(p.Failure)))
	})
	return strings.Join(list, " + "), w.judge.accounts()
}

// TestCrashWalk dies at every append and at every call of every story: before it, after it, and with its answer lost;
// and a second time while it recovers. The caller asks again, and the story has to end as if nothing had happened, to
// the yen.
func TestCrashWalk(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			w := walk(s.tell, map[int]misfortune{}, Plant{})
			steps := w.steps
			status, books := w.end()
			if status != s.ends || steps < 8 || len(w.judge.violations) > 0 {
				t.Fatalf("undisturbed, it ends as %q after %d steps, with %v; expected %q", status, steps, w.judge.violations, s.ends)
			}
			deaths := 0
			same := func(plans map[int]misfortune) {
				deaths += len(plans)
				w := walk(s.tell, plans, Plant{})
				got, accounts := w.end()
				if d := difference(books, accounts); d != "" || got != status || len(w.judge.violations) > 0 {
					t.Errorf("%v: it ends as %q, expected %q; %s %v", plans, got, status, d, w.judge.violations)
				}
			}
			for n := 1; n <= steps; n++ {
				for _, m := range []misfortune{diesBefore, diesAfter, lost} {
					same(map[int]misfortune{n: m})
				}
				for gap := 1; gap <= 8; gap++ {
					same(map[int]misfortune{n: diesBefore + misfortune(n%2), n + gap: diesBefore + misfortune(gap%2)})
				}
			}
			t.Logf("%d steps, %d misfortunes", steps, deaths)
		})
	}
}

// TestCrashWalkNotices walks through a platform that answers before its commit: it must not come through.
func TestCrashWalkNotices(t *testing.T) {
	plant := Plant{TellEarly: true}
	status, books := walk(stories[0].tell, map[int]misfortune{}, plant).end()
	for n := 1; n <= 20; n++ {
		w := walk(stories[0].tell, map[int]misfortune{n: diesBefore}, plant)
		if got, accounts := w.end(); got != status || difference(books, accounts) != "" || len(w.judge.violations) > 0 {
			return
		}
	}
	t.Error("a platform that answers before its commit survives every crash")
}

func difference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Sprintf("%q, expected %q", at(got, i), at(want, i))
		}
	}
	return ""
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}
