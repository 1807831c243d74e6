package balance

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// model is the service as one would explain it: what stands on each account, and what became of each branch. It knows
// no entries, no rows and no blocks.
type model struct {
	posted, held map[int]int64
	status       map[int]ledger.Status
	branches     map[int]*modelBranch
	suspense     int64
	clearing     int64
}

type modelBranch struct {
	state    string // held, confirmed, cancelled, tombstone, or the code of a refusal
	account  int
	amount   int64
	left     int64
	captures map[uint32]modelCapture
}

type modelCapture struct {
	amount int64
	final  bool
}

func (m *model) try(b, account int, amount int64, late bool) string {
	if old := m.branches[b]; old != nil {
		same := old.account == account && old.amount == amount
		switch {
		case old.state == "tombstone":
			return "try_after_cancel"
		case !same:
			return "id_reused"
		case old.state == "cancelled":
			return "try_after_cancel"
		case old.state == "held" || old.state == "confirmed":
			return "ok"
		}
		return old.state
	}
	n := &modelBranch{account: account, amount: amount, captures: map[uint32]modelCapture{}}
	m.branches[b] = n
	switch {
	case late:
		n.state = "try_too_late"
	case m.status[account] == ledger.Closed:
		n.state = "account_closed"
	case m.status[account] == ledger.NoOut || m.status[account] == ledger.Suspended:
		n.state = "account_suspended"
	case m.posted[account]-m.held[account] < amount:
		n.state = "insufficient_funds"
	default:
		n.state, n.left = "held", amount
		m.held[account] += amount
		return "ok"
	}
	return n.state
}

func (m *model) confirm(b, account int, capture uint32, amount int64, final bool) string {
	old := m.branches[b]
	switch {
	case old == nil:
		return "not_tried"
	case old.state == "cancelled" || old.state == "tombstone":
		return "already_cancelled"
	case old.state != "held" && old.state != "confirmed":
		return "not_tried"
	case old.account != account:
		return "id_reused"
	}
	if c, ok := old.captures[capture]; ok {
		if c != (modelCapture{amount, final}) {
			return "id_reused"
		}
		return "ok"
	}
	switch {
	case old.left == 0:
		return "hold_ended"
	case amount > old.left:
		return "exceeds_hold"
	}
	old.captures[capture] = modelCapture{amount, final}
	m.posted[account] -= amount
	m.clearing += amount
	let := amount
	if final {
		let = old.left
	}
	old.left -= let
	m.held[account] -= let
	if old.left == 0 {
		old.state = "confirmed"
	}
	return "ok"
}

func (m *model) cancel(b, account int) string {
	old := m.branches[b]
	switch {
	case old == nil:
		m.branches[b] = &modelBranch{state: "tombstone", account: account}
		return "ok"
	case old.state != "held" && old.state != "confirmed":
		return "ok" // nothing is held, and nothing will be
	case old.account != account:
		return "id_reused"
	case old.state == "confirmed" || old.state == "held" && len(old.captures) > 0:
		return "already_confirmed"
	case old.state == "held":
		m.held[account] -= old.left
		old.left, old.state = 0, "cancelled"
	}
	return "ok"
}

func (m *model) add(account int, amount int64) string {
	m.clearing -= amount
	if s := m.status[account]; s == ledger.NoIn || s == ledger.Suspended || s == ledger.Closed {
		m.suspense += amount
		return "suspense"
	}
	m.posted[account] += amount
	return "ok"
}

func (m *model) setStatus(account int, to ledger.Status) string {
	switch now := m.status[account]; {
	case now == to:
	case now == ledger.Closed:
		return "account_closed"
	case to == ledger.Closed && (m.posted[account] != 0 || m.held[account] != 0):
		return "account_not_empty"
	}
	m.status[account] = to
	return "ok"
}

// TestModel compares the service with the model over random commands, duplicates, late arrivals and restarts.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := newOnThread(t)
		s.SaveEvery = rapid.IntRange(1, 60).Draw(r, "save every") // between two saves, a restart replays
		m := &model{map[int]int64{}, map[int]int64{}, map[int]ledger.Status{}, map[int]*modelBranch{}, 0, 0}
		var accounts [3]id.ID
		for i := range accounts {
			m.posted[i], m.status[i] = int64(i)*1000, ledger.Open
			m.suspense -= m.posted[i]
			accounts[i] = s.yen(Balance, m.posted[i])
		}
		var branches [12]id.ID
		for i := range branches {
			branches[i] = s.new()
		}
		start := s.Clock.Now()
		pick := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(r, what) }
		for n := range rapid.IntRange(5, 60).Draw(r, "steps") {
			i, b := pick(len(accounts), "account"), pick(len(branches), "branch")
			amount := rapid.Int64Range(1, 900).Draw(r, "amount")
			branch := tcc.Branch{Tenant: tenant, ID: branches[b].Facet(1)}
			late := rapid.IntRange(0, 9).Draw(r, "late") == 0
			try := tcc.TryRequest{Branch: branch, Account: accounts[i], Amount: money.Yen(amount), NotAfter: start + clock.Hour, EffectiveAt: start}
			if late && m.branches[b] == nil {
				try.NotAfter = start - 1
			} else {
				late = false
			}
			var got, want string
			verb := rapid.SampledFrom([]string{"try", "try", "confirm", "confirm", "cancel", "add", "status", "restart"}).Draw(r, "verb")
			switch verb {
			case "try":
				if old := m.branches[b]; old != nil && rapid.Bool().Draw(r, "same") {
					i, amount = old.account, max(old.amount, 1)
					try.Account, try.Amount = accounts[i], money.Yen(amount)
				}
				if old := m.branches[b]; old != nil && old.state == "try_too_late" {
					try.NotAfter = start - 1
				}
				_, err := s.Try(t.Context(), try)
				got, want = code(err), m.try(b, i, amount, late)
			case "confirm":
				if old := m.branches[b]; old != nil {
					i = old.account
				}
				capture, final := uint32(1+pick(3, "capture")), rapid.Bool().Draw(r, "final")
				_, err := s.Confirm(t.Context(), tcc.ConfirmRequest{
					Branch: branch, Account: accounts[i], Capture: capture,
					Amount: money.Yen(amount), Final: final, EffectiveAt: start,
				})
				got, want = code(err), m.confirm(b, i, capture, amount, final)
			case "cancel":
				if old := m.branches[b]; old != nil && rapid.IntRange(0, 4).Draw(r, "other") > 0 {
					i = old.account
				}
				_, err := s.Cancel(t.Context(), tcc.CancelRequest{Branch: branch, Account: accounts[i]})
				got, want = code(err), m.cancel(b, i)
			case "add":
				receipt, err := s.Add(t.Context(), s.addRequest(accounts[i], amount))
				if got, want = code(err), m.add(i, amount); receipt.Suspense {
					got = "suspense"
				}
			case "status":
				to := rapid.SampledFrom([]ledger.Status{ledger.Open, ledger.Open, ledger.NoOut, ledger.NoIn, ledger.Suspended, ledger.Closed}).Draw(r, "to")
				_, err := s.Do(&SetStatus{tenant, accounts[i], to})
				got, want = code(err), m.setStatus(i, to)
			case "restart":
				if rapid.Bool().Draw(r, "saved") {
					s.Save()
				}
				s.Restart()
			}
			if got != want {
				r.Fatalf("step %d: %s of branch %d on account %d: got %s, the model says %s", n, verb, b, i, got, want)
			}
			m.compare(r, s, accounts[:])
		}
		s.audit()
	})
}

func (m *model) compare(r *rapid.T, s *onThread, accounts []id.ID) {
	for i, x := range accounts {
		a := s.account(x)
		got := fmt.Sprint(a.Posted(), a.Held(), a.Status)
		if want := fmt.Sprint(m.posted[i], m.held[i], m.status[i]); got != want {
			r.Fatalf("account %d is %s, the model says %s", i, got, want)
		}
	}
	for k, want := range map[Kind]int64{Suspense: m.suspense, PaymentClearing: m.clearing} {
		a, err := s.Account(s.t.Context(), tenant, s.machine().Own(k, money.JPY))
		if posted := a.Posted(); err == nil && posted != want || err != nil && want != 0 {
			r.Fatalf("%v has %d, the model says %d (%v)", k, posted, want, err)
		}
	}
}
