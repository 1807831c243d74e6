package ledger_test

import (
	"fmt"
	"math/big"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// calendarMonth counts months with the standard library's calendar.
func calendarMonth(day int) int {
	at := time.Unix(int64(day)*86400, 0).UTC()
	return at.Year()*12 + int(at.Month())
}

// TestModel runs random chains, suspensions and closures through the ledger, a batch and the model: all three must say
// the same, to the code of every refusal, and hold the same numbers.
func TestModel(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				w.changeStatus()
				continue
			}
			w.day += rapid.SampledFrom([]int{0, 0, 0, 0, 1, -1, 3, 30}).Draw(t, "later")
			w.round(reached)
		}
	})
	for _, code := range []string{
		"ok", "invalid_amount", "amount_overflow", "id_reused", "hold_not_found", "hold_ended", "same_account",
		"currency_mismatch", "exceeds_hold", "account_closed", "account_suspended", "limit_exceeded", "insufficient_funds",
	} {
		if reached[code] == 0 {
			t.Errorf("no chain came to %s", code)
		}
	}
}

// world holds the same state three times over.
type world struct {
	t       *rapid.T
	book    *book[int]
	model   *model
	day     int
	planner ledger.Planner[int]
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, book: newBook[int](), model: &model{holds: map[int]*modelHold{}}, day: 20_450}
	limit := rapid.SampledFrom([]int64{0, 0, 0, 100, 250, 1000})
	for i := range 6 {
		a := ledger.Account{
			Currency: money.JPY, Normal: ledger.Credit, Status: ledger.Open,
			MayGoNegative: rapid.Bool().Draw(t, "negative"), Cap: limit.Draw(t, "cap"),
			Limits: ledger.Limits{
				DayIn: limit.Draw(t, "day in"), DayOut: limit.Draw(t, "day out"),
				MonthIn: limit.Draw(t, "month in"), MonthOut: limit.Draw(t, "month out"),
			},
		}
		switch i {
		case 0, 1: // where money comes from, and goes to
			a = ledger.Account{Currency: money.JPY, Normal: ledger.Side(i + 1), Status: ledger.Open, MayGoNegative: true}
		case 4:
			a.Currency = money.PT
		case 5: // where points come from
			a = ledger.Account{Currency: money.PT, Normal: ledger.Debit, Status: ledger.Open, MayGoNegative: true}
		}
		row := a
		w.book.accounts[i] = &row
		w.model.accounts = append(w.model.accounts, &modelAccount{terms: a})
	}
	return w
}

// round draws a few chains, and plans them in a batch and one by one: in memory that every plan before has used, and in
// memory of their own.
func (w *world) round(reached map[string]int) {
	before, untouched := w.book.clone(), w.book.clone()
	batch := ledger.NewBatch(before)
	var entries []ledger.Entry[int]
	for range rapid.IntRange(1, 3).Draw(w.t, "chains") {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 4).Draw(w.t, "chain")
		chain := make([]ledger.Transfer[int], len(steps))
		for i, s := range steps {
			chain[i] = s.transfer()
		}
		entry, err := batch.Plan(ledger.Day(w.day), chain...)
		if again, no := w.planner.Plan(w.book, ledger.Day(w.day), chain...); !reflect.DeepEqual(again, entry) || code(no) != code(err) {
			w.t.Fatalf("%+v: in memory that was used before %+v and %s, in a batch %+v and %s", steps, again, code(no), entry, code(err))
		}
		got := w.book.do(w.t, ledger.Day(w.day), chain...)
		var want string
		w.model, want = w.model.do(w.day, steps)
		if got != want || code(err) != want {
			w.t.Fatalf("%+v: %s, in a batch %s, not %s", steps, got, code(err), want)
		}
		if err == nil {
			entries = append(entries, entry)
		}
		reached[got]++
		w.compare()
	}
	if !before.same(untouched) {
		w.t.Fatal("a batch changed the rows it reads")
	}
	for _, entry := range entries {
		ledger.Apply(before, entry)
	}
	if !before.same(w.book) {
		w.t.Fatal("a batch led elsewhere than its chains one by one")
	}
}

// drawStep draws a step that makes sense more often than not.
func drawStep(t *rapid.T) modelStep {
	amount := rapid.OneOf(
		rapid.Int64Range(1, 120), rapid.Int64Range(-1, 1), rapid.SampledFrom([]int64{1 << 60, 1<<62 - 1, 1 << 62, 1<<63 - 1}),
	)
	if rapid.IntRange(0, 3).Draw(t, "usual") > 0 {
		amount = rapid.Int64Range(1, 120)
	}
	account, other := rapid.IntRange(0, 5).Draw(t, "account"), rapid.IntRange(0, 5).Draw(t, "other")
	currency := money.JPY
	if points := account > 3 && other > 3; points != (rapid.IntRange(0, 9).Draw(t, "strange") == 0) {
		currency = money.PT
	}
	return modelStep{
		kind:    rapid.SampledFrom([]string{"move", "move", "move", "hold", "hold", "post", "post", "void"}).Draw(t, "kind"),
		account: account, other: other, currency: currency,
		hold: rapid.IntRange(0, 7).Draw(t, "hold"), side: rapid.SampledFrom([]ledger.Side{ledger.Debit, ledger.Credit}).Draw(t, "side"),
		amount: amount.Draw(t, "amount"), final: rapid.Bool().Draw(t, "final"),
	}
}

func (s modelStep) transfer() ledger.Transfer[int] {
	amount := money.Of(s.amount, s.currency)
	switch {
	case s.kind == "move":
		return ledger.Move(s.account, s.other, amount)
	case s.kind == "hold" && s.side == ledger.Debit:
		return ledger.HoldDebit(s.hold, s.account, amount)
	case s.kind == "hold":
		return ledger.HoldCredit(s.hold, s.account, amount)
	case s.kind == "post" && s.final:
		return ledger.PostFinal(s.hold, s.other, amount)
	case s.kind == "post":
		return ledger.Post(s.hold, s.other, amount)
	default:
		return ledger.Void(s.hold)
	}
}

func (w *world) changeStatus() {
	i := rapid.IntRange(0, 5).Draw(w.t, "account")
	to := ledger.Status(rapid.IntRange(int(ledger.Open), int(ledger.Closed)).Draw(w.t, "status"))
	m := w.model.accounts[i]
	empty := m.balance().Sign() == 0 && m.waiting(true).Sign() == 0 && m.waiting(false).Sign() == 0
	want := "ok"
	switch {
	case m.terms.Status == ledger.Closed:
		want = "account_closed"
	case to == ledger.Closed && !empty:
		want = "account_not_empty"
	}
	a := w.book.accounts[i]
	if got := code(a.CanBecome(to)); got != want {
		w.t.Fatalf("from %v to %v: %s, not %s", a.Status, to, got, want)
	}
	if want == "ok" {
		a.Become(to)
		m.terms.Status = to
	}
}

func (w *world) compare() {
	for i, m := range w.model.accounts {
		a := w.book.accounts[i]
		got := []int64{a.Posted(), a.Held(), a.Incoming(), a.Available(), int64(a.Version)}
		want := []*big.Int{m.balance(), m.waiting(false), m.waiting(true), m.available(), big.NewInt(int64(m.dues))}
		if len(m.flows) > 0 && !m.full {
			got = append(got, a.Used.DayIn, a.Used.DayOut, a.Used.MonthIn, a.Used.MonthOut)
			for _, month := range []bool{false, true} {
				want = append(want, m.used(true, month, 0), m.used(false, month, 0))
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			w.t.Fatalf("account %d: %v, not %v", i, got, want)
		}
	}
	for k, m := range w.model.holds {
		h := w.book.holds[k]
		if big.NewInt(h.Open()).Cmp(m.open) != 0 || big.NewInt(h.Posted).Cmp(m.posted) != 0 {
			w.t.Fatalf("hold %d: %+v, not %+v", k, *h, *m)
		}
	}
}
