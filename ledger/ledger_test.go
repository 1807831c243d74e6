package ledger_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

type (
	entry  = ledger.Entry[int]
	leg    = ledger.Leg[int]
	change = ledger.HoldChange[int]
)

const (
	debit  = ledger.Debit
	credit = ledger.Credit
	most   = money.MaxStored
)

// impossible entries: Check names what is wrong, and Apply panics.
var impossible = []struct {
	name  string
	entry entry
}{
	{"with nothing", entry{}},
	{"of one leg", entry{Legs: []leg{{1, debit, money.Yen(1)}}}},
	{"that does not balance", entry{Legs: []leg{{1, debit, money.Yen(2)}, {2, credit, money.Yen(1)}}}},
	{"of two debits", entry{Legs: []leg{{1, debit, money.Yen(1)}, {2, debit, money.Yen(1)}}}},
	{"across currencies", entry{Legs: []leg{{1, debit, money.Yen(1)}, {2, credit, money.Of(1, money.PT)}}}},
	{"that balances only over currencies", entry{Legs: []leg{
		{1, debit, money.Yen(2)}, {2, credit, money.Yen(1)}, {3, credit, money.Of(1, money.PT)},
	}}},
	{"with a zero leg", entry{Legs: []leg{{1, debit, money.Yen(0)}, {2, credit, money.Yen(0)}}}},
	{"with negative legs", entry{Legs: []leg{{1, debit, money.Yen(-1)}, {2, credit, money.Yen(-1)}}}},
	{"with a leg too large", entry{Legs: []leg{{1, debit, money.Yen(most + 1)}, {2, credit, money.Yen(most + 1)}}}},
	{"whose sum wraps around", entry{Legs: []leg{
		{1, debit, money.Yen(most)},
		{2, debit, money.Yen(most)},
		{3, debit, money.Yen(most)},
		{4, debit, money.Yen(4)},
		{5, credit, money.Yen(1)},
	}}},
	{"on no side", entry{Legs: []leg{{1, 0, money.Yen(1)}, {2, credit, money.Yen(1)}}}},
	{"with two legs for one", entry{Legs: []leg{
		{1, debit, money.Yen(1)}, {1, debit, money.Yen(1)}, {2, credit, money.Yen(2)},
	}}},
	{"with an empty change", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit}}}},
	{"with a change on no side", entry{Holds: []change{{Hold: 9, Account: 1, Opened: 1}}}},
	{"with a negative change", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Opened: 2, Released: -1}}}},
	{"with less than nothing opened", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Opened: -1, Released: 1}}}},
	{"with less than nothing posted", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Posted: -1}}}},
	{"with a release too large", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Released: most + 1}}}},
	{"with a posting too large", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Posted: most + 1}}}},
	{"with a hold too large", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Opened: most + 1}}}},
	{"with two changes for one", entry{Holds: []change{
		{Hold: 9, Account: 1, Side: debit, Opened: 1}, {Hold: 9, Account: 1, Side: debit, Released: 1},
	}}},
	{"that posts without a leg", entry{Holds: []change{{Hold: 9, Account: 1, Side: debit, Opened: 1, Posted: 1}}}},
	{"that posts more than its leg", entry{
		Legs: []leg{{1, debit, money.Yen(3)}, {2, credit, money.Yen(3)}},
		Holds: []change{
			{Hold: 8, Account: 1, Side: debit, Opened: 2, Posted: 2}, {Hold: 9, Account: 1, Side: debit, Opened: 2, Posted: 2},
		},
	}},
}

func TestImpossibleEntries(t *testing.T) {
	for _, c := range impossible {
		t.Run(c.name, func(t *testing.T) {
			if err := c.entry.Check(); !fault.HasCode(err, fault.DataDamaged) {
				t.Fatal(err)
			}
			mustPanic(t, func() { ledger.Apply(fourAccounts(), c.entry) })
		})
	}
}

// TestImpossibleRows applies entries that are sound by themselves to rows that cannot take them.
func TestImpossibleRows(t *testing.T) {
	move := func(from, to int, n int64) entry {
		return entry{Legs: []leg{{from, debit, money.Yen(n)}, {to, credit, money.Yen(n)}}}
	}
	held := func(c change) entry { return entry{Holds: []change{c}} }
	for name, e := range map[string]entry{
		"an account that is not there":    move(1, 77, 1),
		"more than is available":          move(1, 2, 1001),
		"more than can be counted":        move(1, 2, most),
		"another currency":                move(1, 4, 1),
		"money into a closed account":     move(1, 3, 1),
		"more held than is available":     held(change{Hold: 9, Account: 1, Side: debit, Opened: 1001}),
		"a hold on no account":            held(change{Hold: 9, Account: 77, Side: debit, Opened: 1}),
		"a hold that exists":              held(change{Hold: 5, Account: 1, Side: debit, Opened: 1}),
		"a hold that does not exist":      held(change{Hold: 6, Account: 1, Side: debit, Released: 1}),
		"more than is left of the hold":   held(change{Hold: 5, Account: 1, Side: debit, Released: 101}),
		"another account than the hold's": held(change{Hold: 5, Account: 2, Side: debit, Released: 1}),
		"another side than the hold's":    held(change{Hold: 5, Account: 1, Side: credit, Released: 1}),
		"another day than the hold's":     held(change{Hold: 5, Account: 1, Side: debit, HeldOn: 7, Released: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			b := fourAccounts()
			for _, more := range []ledger.Transfer[int]{ // so that a change of the wrong one would find enough to change
				ledger.Move(1, 2, money.Yen(500)), ledger.HoldDebit(7, 2, money.Yen(100)), ledger.HoldCredit(8, 1, money.Yen(100)),
			} {
				b.do(t, 0, more)
			}
			if err := e.Check(); err != nil {
				t.Fatal(err)
			}
			mustPanic(t, func() { ledger.Apply(b, e) })
		})
	}
}

// fourAccounts has ¥1,100 on account 1, ¥100 of which hold 5 holds; nothing on 2; 3 is closed; 4 is in points.
func fourAccounts() *book[int] {
	b := newBook[int]()
	for i := range 5 {
		b.accounts[i] = &ledger.Account{Currency: money.JPY, Normal: credit, Status: ledger.Open}
	}
	b.accounts[0].Normal = debit
	b.accounts[3].Status = ledger.Closed
	b.accounts[4].Currency = money.PT
	for _, transfer := range []ledger.Transfer[int]{ledger.Move(0, 1, money.Yen(1100)), ledger.HoldDebit(5, 1, money.Yen(100))} {
		e, err := ledger.Plan(b, 0, transfer)
		if err != nil {
			panic(err)
		}
		ledger.Apply(b, e)
	}
	return b
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if r, ok := recover().(string); !ok || !strings.HasPrefix(r, "ledger: ") {
			t.Fatalf("panicked with %v", r)
		}
	}()
	f()
}

// TestPossibleEntries: what is at a bound, but within, passes.
func TestPossibleEntries(t *testing.T) {
	for name, e := range map[string]entry{
		"the largest": {
			Legs:  []leg{{1, debit, money.Yen(most)}, {2, credit, money.Yen(most)}},
			Holds: []change{{Hold: 8, Account: 1, Side: debit, Opened: most, Posted: most}},
		},
		"the largest release": {Holds: []change{{Hold: 8, Account: 1, Side: debit, Opened: most, Released: most}}},
		"holds on two accounts": {
			Legs: []leg{{1, debit, money.Yen(2)}, {2, debit, money.Yen(3)}, {3, credit, money.Yen(5)}},
			Holds: []change{
				{Hold: 8, Account: 1, Side: debit, Opened: 2, Posted: 2}, {Hold: 9, Account: 2, Side: debit, Opened: 3, Posted: 3},
			},
		},
		"two currencies": {Legs: []leg{
			{1, debit, money.Yen(2)}, {4, credit, money.Of(3, money.PT)}, {5, debit, money.Of(3, money.PT)}, {2, credit, money.Yen(2)},
		}},
	} {
		if err := e.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEmptyIsNil: an entry is equal to itself after a journey through a codec, which knows no empty list.
func TestEmptyIsNil(t *testing.T) {
	b := fourAccounts()
	hold, move := ledger.HoldDebit(6, 1, money.Yen(1)), ledger.Move(1, 2, money.Yen(1))
	for _, plan := range []func(ledger.Day, ...ledger.Transfer[int]) (entry, *fault.Error){
		ledger.NewBatch(b).Plan,
		func(day ledger.Day, chain ...ledger.Transfer[int]) (entry, *fault.Error) {
			return ledger.Plan(b, day, chain...)
		},
	} {
		held, err := plan(0, hold)
		moved, err2 := plan(0, move)
		if err != nil || err2 != nil || held.Legs != nil || moved.Holds != nil || len(held.Holds) != 1 || len(moved.Legs) != 2 {
			t.Error(err, err2, held, moved)
		}
	}
}

func TestHoldCheck(t *testing.T) {
	for _, h := range []ledger.Hold[int]{
		{},
		{Side: debit},
		{Amount: 1},
		{Side: 3, Amount: 1},
		{Side: debit, Amount: -1},
		{Side: debit, Amount: 1, Posted: -1},
		{Side: debit, Amount: 1, Released: -1},
		{Side: debit, Amount: 3, Posted: 2, Released: 2},
	} {
		if !fault.HasCode(h.Check(), fault.DataDamaged) {
			t.Errorf("%+v passes", h)
		}
	}
	for _, h := range []ledger.Hold[int]{{Side: debit, Amount: 1}, {Side: credit, Amount: 3, Posted: 2, Released: 1}} {
		if err := h.Check(); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestAccountCheck(t *testing.T) {
	good := ledger.Account{Currency: money.JPY, Normal: credit, Status: ledger.Open, CreditsPosted: 10}
	for name, damage := range map[string]func(*ledger.Account){
		"no row":                    func(a *ledger.Account) { *a = ledger.Account{} },
		"no currency":               func(a *ledger.Account) { a.Currency = 1 },
		"no side":                   func(a *ledger.Account) { a.Normal = 3 },
		"no status":                 func(a *ledger.Account) { a.Status = ledger.Closed + 1 },
		"negative":                  func(a *ledger.Account) { a.CreditsPosted = -1; a.MayGoNegative = true },
		"negative held":             func(a *ledger.Account) { a.DebitsPending = -1 },
		"negative incoming":         func(a *ledger.Account) { a.CreditsPending = -1 },
		"overdrawn":                 func(a *ledger.Account) { a.DebitsPosted = 11 },
		"held too much":             func(a *ledger.Account) { a.DebitsPending = 11 },
		"too many debits":           func(a *ledger.Account) { a.DebitsPending, a.DebitsPosted, a.MayGoNegative = most, 1, true },
		"too many credits":          func(a *ledger.Account) { a.CreditsPending = most },
		"closed with money":         func(a *ledger.Account) { a.Status = ledger.Closed },
		"negative use":              func(a *ledger.Account) { a.Used.DayIn = -1 },
		"use before 1970":           func(a *ledger.Account) { a.Used.Day = -1 },
		"more in day than in month": func(a *ledger.Account) { a.Used.DayOut = 1 },
	} {
		a := good
		if damage(&a); !fault.HasCode(a.Check(), fault.DataDamaged) {
			t.Errorf("%s passes", name)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

// TestOneYen: a yen more or less on any one row is seen by the trial balance.
func TestOneYen(t *testing.T) {
	b := fourAccounts()
	trials := ledger.Total(maps.Values(b.accounts))
	if len(trials) != 2 || trials[0].Currency != money.JPY || trials[1].Currency != money.PT ||
		trials[0].Accounts != 4 || trials[0].Debits.Int64() != 1100 || !trials[0].Balanced() || !trials[1].Balanced() {
		t.Fatal(trials)
	}
	for _, a := range b.accounts {
		for _, n := range []*int64{&a.DebitsPosted, &a.CreditsPosted} {
			*n++
			if !slices.ContainsFunc(ledger.Total(maps.Values(b.accounts)), func(t ledger.Trial) bool { return !t.Balanced() }) {
				t.Error("one yen too much is not seen")
			}
			*n--
		}
	}
	// The sums have no bound: three of the largest do not wrap.
	large := ledger.Account{Currency: money.JPY, DebitsPosted: most}
	sum := ledger.Total(slices.Values([]*ledger.Account{&large, &large, &large}))[0]
	if sum.Debits.String() != "13835058055282163709" || sum.Balanced() {
		t.Error(sum)
	}
}

func TestChainLength(t *testing.T) {
	b := fourAccounts()
	chain := make([]ledger.Transfer[int], ledger.MaxChain+1)
	for i := range chain {
		chain[i] = ledger.Move(1, 2, money.Yen(1))
	}
	if _, err := ledger.Plan(b, 0, chain...); code(err) != "invalid_request" {
		t.Error(err)
	}
	if _, err := ledger.NewBatch(b).Plan(0, chain...); code(err) != "invalid_request" {
		t.Error(err)
	}
	if got := b.do(t, 0, chain[1:]...); got != "ok" {
		t.Error(got)
	}
	if got := b.do(t, 0, ledger.Transfer[int]{}); got == "ok" {
		t.Error("a transfer that says nothing was planned")
	}
}

// TestUnlinked: in a batch, a chain that falls takes nothing with it and leaves nothing behind.
func TestUnlinked(t *testing.T) {
	b := fourAccounts()
	batch := ledger.NewBatch(b)
	steps := []struct {
		want  string
		chain []ledger.Transfer[int]
	}{
		{"ok", []ledger.Transfer[int]{ledger.Move(1, 2, money.Yen(1000))}},
		{"insufficient_funds", []ledger.Transfer[int]{ledger.Move(2, 1, money.Yen(1)), ledger.Move(2, 1, money.Yen(1000))}},
		{"ok", []ledger.Transfer[int]{ledger.HoldDebit(6, 2, money.Yen(1000))}},
		{"id_reused", []ledger.Transfer[int]{ledger.HoldDebit(6, 2, money.Yen(1))}},
		{"ok", []ledger.Transfer[int]{ledger.PostFinal(6, 1, money.Yen(400)), ledger.Move(1, 2, money.Yen(399))}},
		{"hold_ended", []ledger.Transfer[int]{ledger.Void(6)}},
		{"ok", []ledger.Transfer[int]{ledger.Void(5)}},
		{"hold_ended", []ledger.Transfer[int]{ledger.Void(5)}},
	}
	var entries []entry
	for i, s := range steps {
		e, err := batch.Plan(0, s.chain...)
		if code(err) != s.want {
			t.Fatalf("chain %d: %s, not %s", i, code(err), s.want)
		}
		if err == nil {
			entries = append(entries, e)
		}
	}
	if !b.same(fourAccounts()) {
		t.Fatal("planning changed a row")
	}
	for _, e := range entries {
		ledger.Apply(b, e)
	}
	b.judge(t)
	if one, two := b.accounts[1].Available(), b.accounts[2].Available(); one != 101 || two != 999 {
		t.Error(one, two)
	}
}

// TestMonths compares every month until the year 2407 with the standard library's calendar.
func TestMonths(t *testing.T) {
	months := make([]int, 160_000+146_097+1)
	for day := range months {
		months[day] = calendarMonth(day)
	}
	a := ledger.Account{Currency: money.JPY, Normal: credit, Status: ledger.Open, Limits: ledger.Limits{MonthIn: 1}}
	for day := range 160_000 {
		a.Used = ledger.Usage{Day: ledger.Day(day), MonthIn: 1}
		for _, later := range []int{1, 365, 146_097} {
			same := months[day] == months[day+later]
			if used := a.CanReceive(money.Yen(1), ledger.Day(day+later)) != nil; used != same {
				t.Fatalf("days %d and %d are in one month: %v", day, day+later, used)
			}
		}
	}
}

// TestDayBounds: a day before 1970 counts on the first, and the last day that a Day can say is one like any other.
func TestDayBounds(t *testing.T) {
	b := fourAccounts()
	b.accounts[2].Limits.DayIn = 10
	move := ledger.Move(1, 2, money.Yen(6))
	for _, step := range []struct {
		day  ledger.Day
		want string
	}{{-1 << 31, "ok"}, {0, "limit_exceeded"}, {1<<31 - 1, "ok"}, {1<<31 - 1, "limit_exceeded"}} {
		if got := b.do(t, step.day, move); got != step.want {
			t.Errorf("day %d: %s, not %s", step.day, got, step.want)
		}
	}
}

func TestWords(t *testing.T) {
	words := []string{"open", "no_out", "no_in", "suspended", "closed"}
	for i, w := range words {
		s, ok := ledger.ParseStatus(w)
		if !ok || s != ledger.Status(i+1) || s.String() != w {
			t.Errorf("%s is %d", w, s)
		}
	}
	if _, ok := ledger.ParseStatus(""); ok || ledger.Status(0).String() != "invalid" || ledger.Status(6).String() != "invalid" {
		t.Error("a status that is none")
	}
	if debit.String() != "debit" || credit.String() != "credit" || ledger.Side(0).String() != "invalid" || debit.Opposite() != credit || credit.Opposite() != debit {
		t.Error("the sides are confused")
	}
	a := ledger.Account{Currency: money.JPY, Normal: credit, Status: ledger.Open}
	if got := code(a.CanBecome(0)); got != "invalid_request" {
		t.Error(got)
	}
	a.CreditsPosted = 1
	mustPanic(t, func() { a.Become(ledger.Closed) })
}

// TestSize keeps the promises about memory: a row in 128 bytes, and a plan of one hold in one allocation.
func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(ledger.Account{}); n > 128 {
		t.Errorf("an account takes %d bytes", n)
	}
	b := populated(1)
	try := ledger.HoldDebit(number(5), number(1), money.Yen(1))
	got := testing.AllocsPerRun(100, func() {
		if _, err := ledger.Plan(b, 1, try); err != nil {
			t.Fatal(err)
		}
	})
	if got > 1 {
		t.Errorf("a hold takes %v allocations", got)
	}
}
