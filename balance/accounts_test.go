package balance

import (
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

func TestOpenIsIdempotent(t *testing.T) {
	s := newOnThread(t)
	x := s.new().Facet(tcc.PayableAccount)
	terms := Terms{Currency: money.JPY, Cap: 10, Limits: ledger.Limits{DayIn: 1, DayOut: 2, MonthIn: 3, MonthOut: 4}}
	a, err := s.Open(t.Context(), tenant, x, terms)
	if err != nil || a.Kind != Payable || a.Terms() != terms || a.OpenedAt != s.Clock.Now() {
		t.Fatal(a, err)
	}
	head := s.Core().Head().Seq
	if again, err := s.Open(t.Context(), tenant, x, terms); err != nil || again != a || s.Core().Head().Seq != head {
		t.Fatal(again, err)
	}
	for name, change := range map[string]func(*Terms){
		"currency": func(t *Terms) { t.Currency = money.USD },
		"cap":      func(t *Terms) { t.Cap = 0 },
		"limits":   func(t *Terms) { t.Limits.MonthOut++ },
	} {
		other := terms
		change(&other)
		if _, err := s.Open(t.Context(), tenant, x, other); !fault.HasCode(err, fault.AccountExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []Terms{
		{},
		{Currency: money.PT},
		{Currency: money.JPY, Cap: -1},
		{Currency: money.JPY, Cap: money.MaxStored + 1},
		{Currency: money.JPY, Limits: ledger.Limits{MonthIn: -1}},
	} {
		if _, err := s.Open(t.Context(), tenant, s.new().Facet(tcc.BalanceAccount), bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	s.audit()
}

// key returns a caller's key in slot 0.
func (s *onThread) key() book.Key {
	k := s.new()
	k[0], k[1] = 0, 0
	return book.Key{Tenant: tenant, ID: k}
}

func TestOneKeyNamesOneOwner(t *testing.T) {
	s := newOnThread(t)
	c := OpenOwner{
		Key: s.key(), Print: Print{1}, Owner: s.ids.New(s.Clock.Now(), 0), Kind: Balance,
		Terms: Terms{Currency: money.JPY}, Opening: 100, EffectiveAt: s.Clock.Now(),
	}
	first, err := s.OpenOwner(t.Context(), c)
	if err != nil || first != c.Owner {
		t.Fatal(first, err)
	}
	s.Save()
	s.Restart()
	c.Owner = s.ids.New(s.Clock.Now(), 0) // each try draws another
	again, err := s.OpenOwner(t.Context(), c)
	if err != nil || again != first {
		t.Fatal(again, err)
	}
	c.Print = Print{2}
	_, err = s.OpenOwner(t.Context(), c)
	refused(t, err, fault.IdempotencyKeyReused)
	s.expect(first.Facet(tcc.BalanceAccount), 100, 0)
	s.expect(s.machine().Own(Suspense, money.JPY), -100, 0)
	_, err = s.Account(t.Context(), tenant, c.Owner.Facet(tcc.BalanceAccount))
	refused(t, err, fault.AccountNotFound)
	s.audit()
}

func TestOpenOwnerRefuses(t *testing.T) {
	s := newOnThread(t)
	taken := s.yen(Balance, 0)
	base := OpenOwner{Owner: s.ids.New(s.Clock.Now(), 0), Kind: Balance, Terms: Terms{Currency: money.JPY}}
	for name, c := range map[string]struct {
		change func(*OpenOwner)
		want   fault.Code
	}{
		"negative": {func(c *OpenOwner) { c.Opening = -1 }, fault.InvalidAmount},
		"too much": {func(c *OpenOwner) { c.Opening = money.MaxStored + 1 }, fault.AmountOverflow},
		"cap":      {func(c *OpenOwner) { c.Terms.Cap, c.Opening = 10, 11 }, fault.LimitExceeded},
		"kind":     {func(c *OpenOwner) { c.Kind = Suspense }, fault.AccountNotFound},
		"points":   {func(c *OpenOwner) { c.Kind = Kind(tcc.PointsAccount) }, fault.AccountNotFound},
		"exists":   {func(c *OpenOwner) { c.Owner = taken.Root() }, fault.AccountExists},
		"currency": {func(c *OpenOwner) { c.Terms.Currency = money.PT }, fault.InvalidCurrency},
		"slot":     {func(c *OpenOwner) { c.Owner = s.ids.New(s.Clock.Now(), 9) }, fault.Bug},
	} {
		r := base
		r.Key = s.key()
		c.change(&r)
		if _, err := s.OpenOwner(t.Context(), r); !fault.HasCode(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		r.Owner, r.Kind, r.Terms, r.Opening = s.ids.New(s.Clock.Now(), 0), Balance, base.Terms, 1
		if _, err := s.OpenOwner(t.Context(), r); err != nil {
			t.Errorf("%s: the refusal bound the key: %v", name, err)
		}
	}
	s.audit()
}

func TestOneKeyCreditsOnce(t *testing.T) {
	s := newOnThread(t)
	cash := s.open(Balance, Terms{Currency: money.JPY, Cap: 1000}, 0)
	c := AddCredit{Key: s.key(), Print: Print{1}, ID: s.new(), Account: cash, Amount: money.Yen(600), EffectiveAt: s.Clock.Now()}
	first, err := s.Credit(t.Context(), c)
	if err != nil || first.Posted != 600 || first.Available != 600 || first.Status != ledger.Open || first.Seq == 0 {
		t.Fatal(first, err)
	}
	full := c
	full.Key, full.ID = s.key(), s.new()
	_, refusal := s.Credit(t.Context(), full)
	refused(t, refusal, fault.LimitExceeded)

	try := s.tryRequest(cash, 600)
	done(t)(s.Try(t.Context(), try))
	done(t)(s.Confirm(t.Context(), confirmOf(try, 1, 600, true))) // there would be room by now
	s.Restart()
	c.ID, full.ID = s.new(), s.new()
	if again, err := s.Credit(t.Context(), c); err != nil || again != first {
		t.Fatalf("%+v %v", again, err)
	}
	if _, err := s.Credit(t.Context(), full); err == nil || err.Error() != refusal.Error() {
		t.Fatal(err)
	}
	c.Print[0]++
	_, err = s.Credit(t.Context(), c)
	refused(t, err, fault.IdempotencyKeyReused)
	s.expect(cash, 0, 0)
	s.audit()
}

func TestCreditRefuses(t *testing.T) {
	s := newOnThread(t)
	closed, stopped := s.yen(Balance, 0), s.yen(Balance, 0)
	if _, err := s.Close(t.Context(), tenant, closed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Suspend(t.Context(), tenant, stopped, ledger.NoIn); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account id.ID
		amount  money.Amount
		want    fault.Code
	}{
		{closed, money.Yen(1), fault.AccountClosed},
		{stopped, money.Yen(1), fault.AccountSuspended},
		{stopped, money.Of(1, money.USD), fault.CurrencyMismatch},
		{stopped, money.Yen(0), fault.InvalidAmount},
		{s.ids.New(s.Clock.Now(), 0).Facet(tcc.BalanceAccount), money.Yen(1), fault.AccountNotFound},
		{s.machine().Own(Fees, money.JPY), money.Yen(1), fault.AccountNotFound},
	} {
		_, err := s.Credit(t.Context(), AddCredit{Key: s.key(), ID: s.new(), Account: c.account, Amount: c.amount})
		refused(t, err, c.want)
	}
	s.audit()
}

func TestStatus(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 100)
	for _, how := range []ledger.Status{ledger.Open, ledger.Closed, 0, 99} {
		_, err := s.Suspend(t.Context(), tenant, cash, how)
		refused(t, err, fault.InvalidRequest)
	}
	_, err := s.Close(t.Context(), tenant, cash)
	refused(t, err, fault.AccountNotEmpty)
	a, err := s.Suspend(t.Context(), tenant, cash, ledger.NoOut)
	if err != nil || a.Status != ledger.NoOut {
		t.Fatal(a, err)
	}
	_, err = s.Try(t.Context(), s.tryRequest(cash, 1))
	refused(t, err, fault.AccountSuspended)
	head := s.Core().Head().Seq
	if _, err := s.Suspend(t.Context(), tenant, cash, ledger.NoOut); err != nil || s.Core().Head().Seq != head {
		t.Fatal("a suspension that stands already made a block:", err)
	}
	if a, err = s.Lift(t.Context(), tenant, cash); err != nil || a.Status != ledger.Open {
		t.Fatal(a, err)
	}
	try := s.tryRequest(cash, 100)
	done(t)(s.Try(t.Context(), try))
	done(t)(s.Confirm(t.Context(), confirmOf(try, 1, 100, true)))
	if a, err = s.Close(t.Context(), tenant, cash); err != nil || a.Status != ledger.Closed {
		t.Fatal(a, err)
	}
	_, err = s.Lift(t.Context(), tenant, cash)
	refused(t, err, fault.AccountClosed)
	_, err = s.Lift(t.Context(), tenant, s.new().Facet(tcc.BalanceAccount))
	refused(t, err, fault.AccountNotFound)
	s.audit()
}

// TestOwnAccountIDs: one per kind, currency and volume, and it names all three.
func TestOwnAccountIDs(t *testing.T) {
	seen := make(map[id.ID]bool)
	for _, volumes := range []int{1, 3, 8, 4096} {
		clear(seen)
		for v := range min(volumes, 8) {
			for k := PaymentClearing; k <= Fees; k++ {
				for _, c := range money.Currencies() {
					x := OwnAccount(k, c, v, volumes)
					if seen[x] || x.Volume(volumes) != v || KindOf(x) != k || ownCurrency(x) != c || !KindOf(x).own() || KindOf(x).owned() {
						t.Fatal(k, c, v, volumes, x)
					}
					seen[x] = true
				}
			}
		}
	}
}

func TestKindsAndStatusesHaveWords(t *testing.T) {
	for _, k := range []Kind{Balance, Payable, PaymentClearing, PointsFunding, Suspense, Fees} {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Error(k)
		}
		if _, ok := parseOwn(k.String()); ok != k.own() {
			t.Error(k)
		}
	}
}

func TestEntriesExplainAPayment(t *testing.T) {
	s := newOnThread(t)
	cash, shop := s.yen(Balance, 5000), s.yen(Payable, 0)
	payment := s.new()
	try := s.tryRequest(cash, 1000)
	try.Branch = s.branch(payment, 1)
	stranger := s.tryRequest(cash, 1)
	confirm := confirmOf(try, 1, 900, true)
	add := s.addRequest(shop, 900)
	add.Branch = s.branch(payment, 2)
	receipts := []tcc.Receipt{
		done(t)(s.Try(t.Context(), try)), done(t)(s.Try(t.Context(), stranger)),
		done(t)(s.Confirm(t.Context(), confirm)), done(t)(s.Add(t.Context(), add)),
	}
	receipts = append(receipts, receipts[0], tcc.Receipt{Book: "balance/00"}) // a duplicate, and one without a block
	got, err := s.Entries(t.Context(), tenant, payment, receipts)
	if err != nil || len(got) != 3 {
		t.Fatal(got, err)
	}
	clearing := s.machine().Own(PaymentClearing, money.JPY)
	want := [][]tcc.Leg{
		{{Account: cash, Kind: "balance", Debit: true, Pending: true, Amount: money.Yen(1000)}},
		{
			{Account: cash, Kind: "balance", Debit: true, Amount: money.Yen(900)},
			{Account: clearing, Kind: "payment_clearing", Amount: money.Yen(900)},
			{Account: cash, Kind: "balance", Pending: true, Amount: money.Yen(100)},
		},
		{{Account: clearing, Kind: "payment_clearing", Debit: true, Amount: money.Yen(900)}, {Account: shop, Kind: "payable", Amount: money.Yen(900)}},
	}
	for i, what := range []string{"hold", "post", "add"} {
		e := got[i]
		blocks, err := s.Log.Read(t.Context(), e.Book, e.Seq, 1)
		if err != nil || e.What != what || e.Hash != blocks[0].Hash || e.At != blocks[0].At || len(e.Legs) != len(want[i]) {
			t.Fatalf("%+v %v", e, err)
		}
		for j := range e.Legs {
			if e.Legs[j] != want[i][j] {
				t.Errorf("%s: leg %d: %+v", what, j, e.Legs[j])
			}
		}
	}
	if got, err := s.Entries(t.Context(), tenant+1, payment, receipts); err != nil || len(got) != 0 {
		t.Error("another tenant sees", got, err)
	}
	for _, r := range []tcc.Receipt{{Book: "points/00", Seq: 1}, {Book: "balance/00", Seq: 1 << 40}} {
		_, err = s.Entries(t.Context(), tenant, payment, []tcc.Receipt{r})
		refused(t, err, fault.DataDamaged)
	}
}

func TestExists(t *testing.T) {
	s := newOnThread(t)
	x := s.yen(Balance, 0)
	for _, c := range []struct {
		tenant id.Tenant
		id     id.ID
		want   bool
	}{{tenant, x, true}, {tenant + 1, x, false}, {tenant, x.Facet(tcc.PayableAccount), false}} {
		if got, err := s.Exists(t.Context(), c.tenant, c.id); err != nil || got != c.want {
			t.Error(c, got, err)
		}
	}
}
