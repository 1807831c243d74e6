package balance

import (
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// TestCheckFindsWhatIsWrong breaks one thing at a time.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	type world struct {
		m    *Machine
		a    *Audit
		cash *Account
		held *Branch
		gone *Branch // cancelled
	}
	make := func() world {
		s := newOnThread(t)
		s.SaveEvery = 0
		cash := s.yen(Balance, 5000)
		kept, posted, gone := s.tryRequest(cash, 700), s.tryRequest(cash, 300), s.tryRequest(cash, 100)
		done(t)(s.Try(t.Context(), gone))
		done(t)(s.Cancel(t.Context(), cancelOf(gone)))
		done(t)(s.Try(t.Context(), kept))
		done(t)(s.Try(t.Context(), posted))
		done(t)(s.Confirm(t.Context(), confirmOf(posted, 1, 300, true)))
		w := world{m: s.machine(), a: NewAudit()}
		for seq := uint64(1); ; seq++ {
			blocks, err := s.Log.Read(t.Context(), "balance/00", seq, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(blocks) == 0 {
				break
			}
			for _, e := range blocks[0].Events {
				if ev, err := decode(e.Type, e.Body); err == nil {
					w.a.Add(ev)
				}
			}
		}
		w.cash = w.m.accounts.Edit(book.Key{Tenant: tenant, ID: cash})
		w.held = w.m.branches.Edit(book.Key{Tenant: tenant, ID: kept.Branch.ID})
		w.gone = w.m.branches.Edit(book.Key{Tenant: tenant, ID: gone.Branch.ID})
		return w
	}
	for name, c := range map[string]struct {
		spoil func(w world)
		want  []string // invariants, each at least once and no other
	}{
		"nothing":            {func(world) {}, nil},
		"one yen more":       {func(w world) { w.cash.CreditsPosted++ }, []string{"I2", "I3"}},
		"a held yen lost":    {func(w world) { w.cash.DebitsPending-- }, []string{"I3", "I5"}},
		"an orphan hold":     {func(w world) { w.held.Account[3]++ }, []string{"I5"}},
		"a hold ended twice": {func(w world) { w.held.Hold.Released = 701 }, []string{"I5", "I6"}},
		"a status that lies": {func(w world) { w.held.Status = branch.Confirmed }, []string{"I6"}},
		"let go too little":  {func(w world) { w.gone.Hold.Released-- }, []string{"I5", "I6"}},
		"taken and cancelled": {func(w world) {
			w.gone.Hold.Posted, w.gone.Hold.Released, w.gone.Captures = 100, 0, []branch.Capture{{Number: 1, Amount: 100}}
		}, []string{"I6"}},
		"a refusal that held": {func(w world) { w.gone.Status = branch.Refused }, []string{"I6"}},
		"a hold without end":  {func(w world) { w.gone.Status = branch.Held }, []string{"I6"}},
		"a capture forgotten": {func(w world) { w.held.Captures = []branch.Capture{{Number: 1, Amount: 1}} }, []string{"I6"}},
		"a version lost":      {func(w world) { w.cash.Version-- }, []string{"I3"}},
		"overdrawn":           {func(w world) { w.cash.DebitsPosted += 5000 }, []string{"I2", "I3", "I4"}},
		"the wrong kind":      {func(w world) { w.cash.Kind = Payable }, []string{"I4"}},
		"another currency":    {func(w world) { w.cash.Currency = money.USD }, []string{"I2", "I8"}},
		"an account lost": {func(w world) {
			*w.cash = Account{Kind: Balance, Account: ledger.Account{
				Currency: money.JPY,
				Normal:   ledger.Credit, Status: ledger.Open,
			}}
		}, []string{"I2", "I3", "I5"}},
	} {
		w := make()
		c.spoil(w)
		found := map[string]bool{}
		for _, v := range append(Check(w.m), w.a.Compare(w.m)...) {
			found[v.Invariant] = true
		}
		for _, i := range c.want {
			if !found[i] {
				t.Errorf("%s: %s was not found", name, i)
			}
		}
		if len(found) != len(c.want) {
			t.Errorf("%s: found %v, want %v", name, found, c.want)
		}
	}
}

func TestAuditFindsBrokenEntries(t *testing.T) {
	a := NewAudit()
	ev := samples()[10].(*added)
	a.Add(ev)
	if v := a.Compare(NewMachine(0, 1)); len(v) != 1 || v[0].Invariant != "I3" {
		t.Fatal(v) // two accounts without a row
	}
	a = NewAudit()
	ev.Entry.Legs = append([]ledger.Leg[id.ID](nil), ev.Entry.Legs...)
	ev.Entry.Legs[0].Amount.Minor++
	a.Add(ev)
	if v := a.Compare(NewMachine(0, 1)); len(v) != 1 || v[0].Invariant != "I1" {
		t.Fatal(v)
	}
}
