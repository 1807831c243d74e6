package balance

import (
	"context"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
	"github.com/koban-pay/koban/tcc/verbs"
)

const tenant = id.Tenant(7)

// onThread is a service over one volume on one thread, which forgets its rows after every few commands.
type onThread struct {
	*Service
	*booktest.Harness
	t   testing.TB
	ids *id.Source
}

func newOnThread(t testing.TB) *onThread {
	h := booktest.New(t, "balance", func() book.Machine { return NewMachine(0, 1) })
	return &onThread{New([]verbs.Book{harnessBook{h}}, h.Log, branch.Japan), h, t, id.NewSource(nil)}
}

// harnessBook lets a service use a harness as a book.
type harnessBook struct{ *booktest.Harness }

func (harnessBook) Name() string { return book.Name("balance", 0) }

func (b harnessBook) Do(_ context.Context, cmd any) (any, error) { return b.Harness.Do(cmd) }

func (b harnessBook) Start(cmd any, done func(any, error)) { done(b.Harness.Do(cmd)) }

func (s *onThread) machine() *Machine { return s.Machine().(*Machine) }

func (s *onThread) new() id.ID { return s.ids.New(s.Clock.Now(), s.ids.Slot()) }

// open opens an account that holds amount.
func (s *onThread) open(k Kind, terms Terms, amount int64) id.ID {
	s.t.Helper()
	key := s.new()
	key[0], key[1] = 0, 0 // of slot 0
	owner, err := s.OpenOwner(s.t.Context(), OpenOwner{
		Key: book.Key{Tenant: tenant, ID: key}, Owner: s.ids.New(s.Clock.Now(), 0),
		Kind: k, Terms: terms, Opening: amount, EffectiveAt: s.Clock.Now(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return owner.Facet(uint8(k))
}

func (s *onThread) yen(k Kind, amount int64) id.ID {
	return s.open(k, Terms{Currency: money.JPY}, amount)
}

func (s *onThread) account(x id.ID) Account {
	s.t.Helper()
	a, err := s.Account(s.t.Context(), tenant, x)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// expect checks what is on an account.
func (s *onThread) expect(x id.ID, posted, held int64) {
	s.t.Helper()
	if a := s.account(x); a.Posted() != posted || a.Held() != held {
		s.t.Fatalf("the account has %d posted and %d held, not %d and %d", a.Posted(), a.Held(), posted, held)
	}
}

func (s *onThread) branch(payment id.ID, n uint8) tcc.Branch {
	return tcc.Branch{Tenant: tenant, ID: payment.Facet(n)}
}

func (s *onThread) tryRequest(account id.ID, yen int64) tcc.TryRequest {
	return tcc.TryRequest{
		Branch: s.branch(s.new(), 1), Account: account, Amount: money.Yen(yen), Purpose: tcc.Charge,
		NotAfter: s.Clock.Now() + clock.Minute, EffectiveAt: s.Clock.Now(),
	}
}

func confirmOf(r tcc.TryRequest, capture uint32, yen int64, final bool) tcc.ConfirmRequest {
	return tcc.ConfirmRequest{
		Branch: r.Branch, Account: r.Account, Capture: capture, Amount: money.Yen(yen), Final: final,
		EffectiveAt: r.EffectiveAt,
	}
}

func cancelOf(r tcc.TryRequest) tcc.CancelRequest {
	return tcc.CancelRequest{Branch: r.Branch, Account: r.Account, NotAfter: r.NotAfter, EffectiveAt: r.EffectiveAt}
}

func (s *onThread) addRequest(account id.ID, yen int64, from ...tcc.Funding) tcc.AddRequest {
	if from == nil {
		from = []tcc.Funding{{From: "payment_clearing", Amount: money.Yen(yen)}}
	}
	return tcc.AddRequest{
		Branch: s.branch(s.new(), 9), Account: account, Amount: money.Yen(yen), Purpose: tcc.Charge, Funding: from,
		EffectiveAt: s.Clock.Now(),
	}
}

// done returns the receipt of a verb that must succeed.
func done(t testing.TB) func(tcc.Receipt, error) tcc.Receipt {
	return func(r tcc.Receipt, err error) tcc.Receipt {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// code returns the code of a refusal, "ok" for none.
func code(err error) string {
	if err == nil {
		return "ok"
	}
	return string(fault.Of(err).Code)
}

func refused(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if !fault.HasCode(err, want) {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// audit replays the journal into a machine that keeps everything, and checks it.
func (s *onThread) audit() {
	s.t.Helper()
	s.Rebuild()
	if v := auditLog(s.t, s.Log, "balance/00", NewMachine(0, 1)); len(v) > 0 {
		s.t.Fatalf("violations: %+v", v)
	}
}

// auditLog replays a journal into an empty machine, and checks and audits it.
func auditLog(t testing.TB, log verbs.Log, name string, m *Machine) []Violation {
	t.Helper()
	core := book.NewCore(name, 0, m)
	a := NewAudit()
	for seq := uint64(1); ; seq++ {
		blocks, err := log.Read(context.Background(), name, seq, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks) == 0 {
			break
		}
		if wants, err := core.Replay(blocks[0]); err != nil || wants != nil {
			t.Fatal(wants, err)
		}
		for _, e := range blocks[0].Events {
			if e.Type >= book.FirstEventType {
				ev, err := decode(e.Type, e.Body)
				if err != nil {
					t.Fatal(err)
				}
				a.Add(ev)
			}
		}
	}
	return append(Check(m), a.Compare(m)...)
}
