package balance

import (
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

func TestPaymentMovesFromCustomerToMerchant(t *testing.T) {
	s := newOnThread(t)
	cash, shop := s.yen(Balance, 5000), s.yen(Payable, 0)
	try := s.tryRequest(cash, 1000)

	held := done(t)(s.Try(t.Context(), try))
	if held.Available != 4000 || held.Book != "balance/00" || held.Seq == 0 || held.At != s.Clock.Now() {
		t.Fatalf("%+v", held)
	}
	s.expect(cash, 5000, 1000)
	done(t)(s.Confirm(t.Context(), confirmOf(try, 1, 1000, true)))
	s.expect(cash, 4000, 0)
	s.expect(s.machine().Own(PaymentClearing, money.JPY), 1000, 0)

	added := done(t)(s.Add(t.Context(), s.addRequest(shop, 1200, tcc.Funding{From: "payment_clearing", Amount: money.Yen(1000)},
		tcc.Funding{From: "points_funding", Amount: money.Yen(200)})))
	if added.Suspense || added.Available != 1200 {
		t.Fatalf("%+v", added)
	}
	s.expect(s.machine().Own(PaymentClearing, money.JPY), 0, 0)
	s.expect(s.machine().Own(PointsFunding, money.JPY), -200, 0)
	s.expect(shop, 1200, 0)
	s.audit()
}

func TestRefundGoesTheWayBack(t *testing.T) {
	s := newOnThread(t)
	shop, cash := s.yen(Payable, 1200), s.yen(Balance, 0)
	try := s.tryRequest(shop, 1200)
	try.Purpose = tcc.Refund
	done(t)(s.Try(t.Context(), try))
	c := confirmOf(try, 1, 1200, true)
	c.To = []tcc.Funding{{From: "payment_clearing", Amount: money.Yen(1000)}, {From: "points_funding", Amount: money.Yen(200)}}
	done(t)(s.Confirm(t.Context(), c))
	s.expect(shop, 0, 0)
	s.expect(s.machine().Own(PaymentClearing, money.JPY), 1000, 0)
	s.expect(s.machine().Own(PointsFunding, money.JPY), 200, 0)
	done(t)(s.Add(t.Context(), s.addRequest(cash, 1000)))
	s.expect(cash, 1000, 0)
	s.audit()
}

// TestDuplicates sends every verb again: at once, after a restart, and after what came later.
func TestDuplicates(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	a, b := s.tryRequest(cash, 1000), s.tryRequest(cash, 700)
	add := s.addRequest(cash, 50)
	poor := s.tryRequest(cash, 1_000_000)
	orphan := cancelOf(s.tryRequest(cash, 1))
	steps := []func() (tcc.Receipt, error){
		func() (tcc.Receipt, error) { return s.Try(t.Context(), a) },
		func() (tcc.Receipt, error) { return s.Try(t.Context(), poor) },
		func() (tcc.Receipt, error) { return s.Confirm(t.Context(), confirmOf(a, 1, 300, false)) },
		func() (tcc.Receipt, error) { return s.Confirm(t.Context(), confirmOf(a, 2, 300, true)) },
		func() (tcc.Receipt, error) { return s.Try(t.Context(), b) },
		func() (tcc.Receipt, error) { return s.Cancel(t.Context(), cancelOf(b)) },
		func() (tcc.Receipt, error) { return s.Add(t.Context(), add) },
		func() (tcc.Receipt, error) { return s.Cancel(t.Context(), orphan) },
		func() (tcc.Receipt, error) { return s.Cancel(t.Context(), cancelOf(poor)) },
	}
	type outcome struct {
		receipt tcc.Receipt
		err     string
	}
	run := func(f func() (tcc.Receipt, error)) outcome {
		r, err := f()
		if err != nil {
			return outcome{r, err.Error()}
		}
		return outcome{r, ""}
	}
	var first []outcome
	for i, f := range steps {
		first = append(first, run(f))
		s.Advance(time.Second)
		if again := run(f); again != first[i] {
			t.Fatalf("step %d: first %+v, then %+v", i, first[i], again)
		}
	}
	head := s.Core().Head().Seq
	s.Advance(time.Hour) // far beyond NotAfter
	for _, restart := range []bool{false, true} {
		if restart {
			s.Restart()
			head = s.Core().Head().Seq
		}
		for i, f := range steps {
			again := run(f)
			if i == 4 { // its Cancel came since: "held" would be a lie
				if _, err := f(); !fault.HasCode(err, fault.TryAfterCancel) {
					t.Fatal(err)
				}
				continue
			}
			if again != first[i] {
				t.Fatalf("step %d: first %+v, then %+v", i, first[i], again)
			}
		}
	}
	if s.Core().Head().Seq != head {
		t.Fatal("a duplicate made a block")
	}
	s.expect(cash, 5000-600+50, 0)
	s.audit()
}

func TestOtherBodyIsConflict(t *testing.T) {
	s := newOnThread(t)
	cash, other := s.yen(Balance, 5000), s.yen(Balance, 5000)
	try := s.tryRequest(cash, 1000)
	done(t)(s.Try(t.Context(), try))
	for name, change := range map[string]func(*tcc.TryRequest){
		"amount":    func(r *tcc.TryRequest) { r.Amount = money.Yen(999) },
		"currency":  func(r *tcc.TryRequest) { r.Amount.Currency = money.USD },
		"account":   func(r *tcc.TryRequest) { r.Account = other },
		"purpose":   func(r *tcc.TryRequest) { r.Purpose = tcc.Refund },
		"not after": func(r *tcc.TryRequest) { r.NotAfter++ },
		"effective": func(r *tcc.TryRequest) { r.EffectiveAt++ },
		"customer":  func(r *tcc.TryRequest) { r.Customer = other },
		"merchant":  func(r *tcc.TryRequest) { r.Merchant = other },
	} {
		r := try
		change(&r)
		if _, err := s.Try(t.Context(), r); !fault.HasCode(err, fault.IDReused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	first := confirmOf(try, 1, 400, false)
	done(t)(s.Confirm(t.Context(), first))
	for name, change := range map[string]func(*tcc.ConfirmRequest){
		"amount":  func(r *tcc.ConfirmRequest) { r.Amount = money.Yen(399) },
		"final":   func(r *tcc.ConfirmRequest) { r.Final = true },
		"to":      func(r *tcc.ConfirmRequest) { r.To = []tcc.Funding{{From: "fees", Amount: r.Amount}} },
		"account": func(r *tcc.ConfirmRequest) { r.Account = other },
	} {
		r := first
		change(&r)
		if _, err := s.Confirm(t.Context(), r); !fault.HasCode(err, fault.IDReused) {
			t.Errorf("confirm, %s: %v", name, err)
		}
	}
	add := s.addRequest(cash, 100)
	done(t)(s.Add(t.Context(), add))
	changed := add
	changed.Origin = other
	_, err := s.Add(t.Context(), changed)
	refused(t, err, fault.IDReused)

	// One branch has one verb to begin with.
	asAdd, asTry, asCancel, asConfirm := add, try, cancelOf(try), first
	asAdd.Branch, asTry.Branch, asCancel.Branch, asConfirm.Branch = try.Branch, add.Branch, add.Branch, add.Branch
	for _, f := range []func() (tcc.Receipt, error){
		func() (tcc.Receipt, error) { return s.Add(t.Context(), asAdd) },
		func() (tcc.Receipt, error) { return s.Try(t.Context(), asTry) },
		func() (tcc.Receipt, error) { return s.Cancel(t.Context(), asCancel) },
		func() (tcc.Receipt, error) { return s.Confirm(t.Context(), asConfirm) },
	} {
		_, err := f()
		refused(t, err, fault.IDReused)
	}
	s.expect(cash, 4700, 600)
	s.audit()
}

func TestCancelBeforeTry(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	try := s.tryRequest(cash, 1000)
	tomb := done(t)(s.Cancel(t.Context(), cancelOf(try)))
	if tomb.Seq == 0 {
		t.Fatal("the tombstone is in no block")
	}
	for range 2 {
		_, err := s.Try(t.Context(), try)
		refused(t, err, fault.TryAfterCancel)
		s.Save()
		s.Restart()
	}
	_, err := s.Confirm(t.Context(), confirmOf(try, 1, 1000, true))
	refused(t, err, fault.AlreadyCancelled)
	s.expect(cash, 5000, 0)
	s.audit()
}

func TestTryAfterDeadline(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	onTime, late := s.tryRequest(cash, 1), s.tryRequest(cash, 1)
	s.Clock.Set(onTime.NotAfter)
	done(t)(s.Try(t.Context(), onTime))
	s.Advance(time.Microsecond)
	_, err := s.Try(t.Context(), late)
	refused(t, err, fault.TryTooLate)
	_, err = s.Confirm(t.Context(), confirmOf(late, 1, 1, true))
	refused(t, err, fault.NotTried)
	s.expect(cash, 5000, 1)
}

func TestConfirmAndCancelExcludeEachOther(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	a, b, c := s.tryRequest(cash, 100), s.tryRequest(cash, 200), s.tryRequest(cash, 300)
	_, err := s.Confirm(t.Context(), confirmOf(a, 1, 100, true))
	refused(t, err, fault.NotTried)
	for _, r := range []tcc.TryRequest{a, b, c} {
		done(t)(s.Try(t.Context(), r))
	}
	done(t)(s.Confirm(t.Context(), confirmOf(a, 1, 100, true)))
	if r := done(t)(s.Cancel(t.Context(), cancelOf(b))); r.Available != 4600 {
		t.Fatal(r)
	}
	done(t)(s.Confirm(t.Context(), confirmOf(c, 1, 100, false)))
	_, err = s.Cancel(t.Context(), cancelOf(a))
	refused(t, err, fault.AlreadyConfirmed)
	_, err = s.Confirm(t.Context(), confirmOf(b, 1, 200, true))
	refused(t, err, fault.AlreadyCancelled)
	_, err = s.Cancel(t.Context(), cancelOf(c)) // in part
	refused(t, err, fault.AlreadyConfirmed)
	s.expect(cash, 4800, 200)
	s.audit()
}

func TestCaptures(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	try := s.tryRequest(cash, 1000)
	done(t)(s.Try(t.Context(), try))
	for _, c := range []struct {
		number       uint32
		yen          int64
		final        bool
		want         string
		posted, held int64
		available    int64 // in the receipt
	}{
		{0, 100, false, "invalid_request", 5000, 1000, 0},
		{1, 0, true, "invalid_amount", 5000, 1000, 0},
		{1, -1, true, "invalid_amount", 5000, 1000, 0},
		{1, 1001, true, "exceeds_hold", 5000, 1000, 0},
		{2, 300, false, "ok", 4700, 700, 4000}, // in any order
		{1, 200, false, "ok", 4500, 500, 4000},
		{3, 501, false, "exceeds_hold", 4500, 500, 0},
		{3, 100, true, "ok", 4400, 0, 4400}, // lets go of 400
		{4, 1, false, "hold_ended", 4400, 0, 0},
		{2, 300, false, "ok", 4400, 0, 4000}, // as it was then
	} {
		r, err := s.Confirm(t.Context(), confirmOf(try, c.number, c.yen, c.final))
		if code(err) != c.want {
			t.Fatalf("%+v: %v", c, err)
		}
		if err == nil && r.Available != c.available {
			t.Fatalf("%+v: %d is available", c, r.Available)
		}
		s.expect(cash, c.posted, c.held)
	}
	s.audit()
}

func TestCapturesAreBounded(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	try := s.tryRequest(cash, 5000)
	done(t)(s.Try(t.Context(), try))
	for n := uint32(1); n <= branch.MaxCaptures; n++ {
		done(t)(s.Confirm(t.Context(), confirmOf(try, n, 1, false)))
	}
	_, err := s.Confirm(t.Context(), confirmOf(try, branch.MaxCaptures+1, 1, true))
	refused(t, err, fault.LimitExceeded)
	s.audit()
}

// TestNothingStopsConfirm suspends the account and lowers nothing else: what was granted is granted.
func TestNothingStopsConfirm(t *testing.T) {
	for _, how := range []ledger.Status{ledger.NoOut, ledger.NoIn, ledger.Suspended} {
		s := newOnThread(t)
		cash := s.open(Balance, Terms{Currency: money.JPY, Limits: ledger.Limits{DayOut: 3000}}, 5000)
		a, b := s.tryRequest(cash, 1000), s.tryRequest(cash, 2000)
		done(t)(s.Try(t.Context(), a))
		done(t)(s.Try(t.Context(), b))
		if _, err := s.Suspend(t.Context(), tenant, cash, how); err != nil {
			t.Fatal(err)
		}
		s.Advance(time.Hour)
		done(t)(s.Confirm(t.Context(), confirmOf(a, 1, 1000, true)))
		done(t)(s.Cancel(t.Context(), cancelOf(b)))
		s.expect(cash, 4000, 0)
		s.audit()
	}
}

// TestAddIsNeverRefused lets every reason stand in the way of an Add.
func TestAddIsNeverRefused(t *testing.T) {
	s := newOnThread(t)
	capped := s.open(Balance, Terms{Currency: money.JPY, Cap: 1000}, 900)
	limited := s.open(Balance, Terms{Currency: money.JPY, Limits: ledger.Limits{DayIn: 100}}, 0)
	closed, stopped, dollars := s.yen(Balance, 0), s.yen(Payable, 0), s.open(Balance, Terms{Currency: money.USD}, 0)
	if _, err := s.Close(t.Context(), tenant, closed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Suspend(t.Context(), tenant, stopped, ledger.NoIn); err != nil {
		t.Fatal(err)
	}
	suspense := s.machine().Own(Suspense, money.JPY)
	in := s.account(suspense)
	want := in.Posted()
	for _, c := range []struct {
		account  id.ID
		yen      int64
		suspense bool
		why      fault.Code
	}{
		{capped, 101, true, fault.LimitExceeded},
		{capped, 100, false, ""},
		{limited, 101, true, fault.LimitExceeded},
		{closed, 1, true, fault.AccountClosed},
		{stopped, 1, true, fault.AccountSuspended},
		{dollars, 1, true, fault.CurrencyMismatch},
		{s.ids.New(s.Clock.Now(), 0).Facet(tcc.BalanceAccount), 1, true, fault.AccountNotFound},
		{s.machine().Own(Fees, money.JPY), 1, true, fault.AccountNotFound}, // not an owner's
	} {
		r := s.addRequest(c.account, c.yen)
		got := done(t)(s.Add(t.Context(), r))
		if got.Suspense != c.suspense || got.Seq == 0 {
			t.Fatalf("%+v: %+v", c, got)
		}
		if again := done(t)(s.Add(t.Context(), r)); again != got {
			t.Fatalf("%+v, then %+v", got, again)
		}
		if c.suspense {
			want += c.yen
		}
		s.Restart() // with every row at hand, to look at the case
		var b *Branch
		s.SaveEvery = 0
		done(t)(s.Add(t.Context(), r))
		s.machine().EachBranch(func(_ book.Key, row *Branch) { b = row })
		s.SaveEvery = 3
		if b == nil || b.Refusal.Code != string(c.why) {
			t.Fatalf("%+v: the case is %+v", c, b)
		}
	}
	s.expect(suspense, want, 0)
	s.expect(capped, 1000, 0)
	s.audit()
}

func TestAddFromSuspenseToSuspense(t *testing.T) {
	s := newOnThread(t)
	gone := s.ids.New(s.Clock.Now(), 0).Facet(tcc.BalanceAccount)
	r := done(t)(s.Add(t.Context(), s.addRequest(gone, 10, tcc.Funding{From: "suspense", Amount: money.Yen(10)})))
	if !r.Suspense {
		t.Fatal("where did it go?")
	}
	r = done(t)(s.Add(t.Context(), s.addRequest(gone, 10, tcc.Funding{From: "suspense", Amount: money.Yen(7)},
		tcc.Funding{From: "fees", Amount: money.Yen(3)})))
	if !r.Suspense {
		t.Fatal("where did it go?")
	}
	s.expect(s.machine().Own(Suspense, money.JPY), 3, 0)
	s.audit()
}

// TestBrokenRequests are refused, leave no trace, and do not bind the branch.
func TestBrokenRequests(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	try := s.tryRequest(cash, 1000)
	head := s.Core().Head().Seq
	for _, bad := range []struct {
		amount money.Amount
		want   fault.Code
	}{
		{money.Yen(0), fault.InvalidAmount},
		{money.Yen(-5), fault.InvalidAmount},
		{money.Yen(money.MaxStored + 1), fault.AmountOverflow},
		{money.Of(5, money.PT), fault.InvalidCurrency},
		{money.Of(5, money.None), fault.InvalidCurrency},
	} {
		amount, want := bad.amount, bad.want
		r, c, a := try, confirmOf(try, 1, 1, true), s.addRequest(cash, 1)
		r.Amount, c.Amount, a.Amount = amount, amount, amount
		_, err := s.Try(t.Context(), r)
		refused(t, err, want)
		_, err = s.Confirm(t.Context(), c)
		refused(t, err, want)
		_, err = s.Add(t.Context(), a)
		refused(t, err, want)
	}
	nine := make([]tcc.Funding, MaxFundings+1)
	for i := range nine {
		nine[i] = tcc.Funding{From: "fees", Amount: money.Yen(1)}
	}
	huge := tcc.Funding{From: "fees", Amount: money.Yen(money.MaxStored)}
	for name, from := range map[string][]tcc.Funding{
		"none":           {},
		"too little":     {{From: "fees", Amount: money.Yen(8)}},
		"too much":       {{From: "fees", Amount: money.Yen(10)}},
		"wrapping":       {huge, huge, huge, huge, huge, {From: "fees", Amount: money.Yen(14)}},
		"other currency": {{From: "fees", Amount: money.Of(9, money.USD)}},
		"unknown":        {{From: "till", Amount: money.Yen(9)}},
		"an owner's":     {{From: "balance", Amount: money.Yen(9)}},
		"negative":       {{From: "fees", Amount: money.Yen(10)}, {From: "suspense", Amount: money.Yen(-1)}},
		"many":           nine,
	} {
		if _, err := s.Add(t.Context(), s.addRequest(cash, 9, from...)); tcc.OutcomeOf(err) != tcc.Refused {
			t.Errorf("add from %s: %v", name, err)
		}
		c := confirmOf(try, 1, 9, true)
		c.To = from
		if _, err := s.Confirm(t.Context(), c); tcc.OutcomeOf(err) != tcc.Refused {
			t.Errorf("confirm to %s: %v", name, err)
		}
	}
	if s.Core().Head().Seq != head {
		t.Fatal("a broken request made a block")
	}
	done(t)(s.Try(t.Context(), try))
}

// TestOwnAccountsAreOutOfReach: no request may name a volume's own account, or one of another service.
func TestOwnAccountsAreOutOfReach(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	suspense := s.machine().Own(Suspense, money.JPY)
	for _, x := range []id.ID{suspense, cash.Facet(tcc.PointsAccount), cash.Root()} {
		_, err := s.Try(t.Context(), s.tryRequest(x, 1))
		refused(t, err, fault.AccountNotFound)
		_, err = s.Open(t.Context(), tenant, x, Terms{Currency: money.JPY})
		refused(t, err, fault.AccountNotFound)
		_, err = s.Suspend(t.Context(), tenant, x, ledger.Suspended)
		refused(t, err, fault.AccountNotFound)
	}
}

func TestTenantsAreApart(t *testing.T) {
	s := newOnThread(t)
	cash := s.yen(Balance, 5000)
	try := s.tryRequest(cash, 1000)
	done(t)(s.Try(t.Context(), try))
	foreign := try
	foreign.Branch.Tenant++
	_, err := s.Try(t.Context(), foreign)
	refused(t, err, fault.AccountNotFound)
	_, err = s.Account(t.Context(), tenant+1, cash)
	refused(t, err, fault.AccountNotFound)
	own, other := s.addRequest(cash, 10), s.addRequest(cash, 10)
	other.Branch.Tenant++
	done(t)(s.Add(t.Context(), own))
	if r := done(t)(s.Add(t.Context(), other)); !r.Suspense {
		t.Fatal("an Add crossed from one tenant to another")
	}
	s.audit()
}

func TestLimitsCountInTheTenantsDay(t *testing.T) {
	s := newOnThread(t)
	cash := s.open(Balance, Terms{Currency: money.JPY, Limits: ledger.Limits{DayOut: 1000}}, 5000)
	midnight := (s.Clock.Now()/clock.Day+1)*clock.Day - 9*clock.Hour // in Japan
	for _, c := range []struct {
		at   clock.Micros
		yen  int64
		want string
	}{
		{midnight - 1, 600, "ok"},
		{midnight - 1, 401, "limit_exceeded"},
		{midnight - 1, 400, "ok"},
		{midnight, 1000, "ok"},
		{midnight, 1, "limit_exceeded"},
	} {
		r := s.tryRequest(cash, c.yen)
		r.EffectiveAt = c.at
		if _, err := s.Try(t.Context(), r); code(err) != c.want {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	s.audit()
}
