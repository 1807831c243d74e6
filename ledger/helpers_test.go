package ledger_test

import (
	"maps"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/ledger"
)

// asError keeps a nil refusal a nil error.
func asError(err *fault.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// code returns a refusal's code, and "ok" for none.
func code(err *fault.Error) string {
	if err == nil {
		return "ok"
	}
	return string(err.Code)
}

func newBook[R comparable]() *book[R] {
	return &book[R]{make(map[R]*ledger.Account), make(map[R]*ledger.Hold[R])}
}

// clone returns a copy that shares nothing.
func (b *book[R]) clone() *book[R] {
	c := newBook[R]()
	for ref, a := range b.accounts {
		row := *a
		c.accounts[ref] = &row
	}
	for ref, h := range b.holds {
		row := *h
		c.holds[ref] = &row
	}
	return c
}

// same reports whether both books hold equal rows.
func (b *book[R]) same(c *book[R]) bool {
	return maps.EqualFunc(b.accounts, c.accounts, func(x, y *ledger.Account) bool { return *x == *y }) &&
		maps.EqualFunc(b.holds, c.holds, func(x, y *ledger.Hold[R]) bool { return *x == *y })
}

// do plans a chain and applies what it leads to. It checks that planning changes nothing,
// and that every invariant holds afterwards.
func (b *book[R]) do(t rapid.TB, day ledger.Day, chain ...ledger.Transfer[R]) string {
	t.Helper()
	before := b.clone()
	entry, err := ledger.Plan(b, day, chain...)
	if !b.same(before) {
		t.Fatal("Plan changed a row")
	}
	if err != nil {
		return code(err)
	}
	if err := entry.Check(); err != nil {
		t.Fatal(err)
	}
	ledger.Apply(b, entry)
	b.judge(t)
	return "ok"
}

// judge checks I2, I4, I5 and I6 over the whole book.
func (b *book[R]) judge(t rapid.TB) {
	t.Helper()
	type place struct {
		account R
		side    ledger.Side
	}
	open := map[place]int64{}
	for ref, h := range b.holds {
		if err := h.Check(); err != nil {
			t.Fatalf("%v: %v", ref, err)
		}
		open[place{h.Account, h.Side}] += h.Open()
	}
	for ref, a := range b.accounts {
		if err := a.Check(); err != nil {
			t.Fatalf("%v: %v", ref, err)
		}
		if a.DebitsPending != open[place{ref, ledger.Debit}] || a.CreditsPending != open[place{ref, ledger.Credit}] {
			t.Fatalf("%v: pending is not what holds have open: %+v", ref, *a)
		}
	}
	for _, trial := range ledger.Total(maps.Values(b.accounts)) {
		if !trial.Balanced() {
			t.Fatalf("%v does not balance: debits %v, credits %v", trial.Currency, trial.Debits, trial.Credits)
		}
	}
}
