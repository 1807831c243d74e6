package balance

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

const volumes = 2

// platform is the service over two volumes, with a writer, a saver and a real store.
type platform struct {
	*Service
	t      testing.TB
	ids    *id.Source
	clk    clock.Clock
	log    *journal.Journal
	state  *book.SQLState
	writer *book.Writer
	saver  *book.Saver
	once   sync.Once
	opened int // how many accounts were
}

func start(t testing.TB, open func(string) *store.DB) *platform {
	t.Helper()
	return startAt(t, open, clock.NewSystem())
}

func startAt(t testing.TB, open func(string) *store.DB, clk clock.Clock) *platform {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log, err := journal.Open(ctx, open("journal"))
	check(t, err)
	db := open("balance")
	files, err := fs.Sub(Schema, "schema")
	check(t, err)
	check(t, db.Migrate(ctx, files))
	state, err := book.NewSQLState(ctx, db)
	check(t, err)
	p := &platform{
		t: t, ids: id.NewSource(nil), clk: clk, log: log, state: state, saver: book.NewSaver(state),
		writer: book.NewWriter(log, clk, false, nil, book.Hooks{Fatal: func(err error) { panic(err) }}),
	}
	t.Cleanup(p.stop)
	var books []*book.Book
	for v := range volumes {
		b, err := book.Open(ctx, book.Config{
			Service: "balance", Volume: v, Machine: NewMachine(v, volumes), Log: log, State: state,
			Clock: clk, Writer: p.writer, Saver: p.saver, Limits: book.Limits{Rows: 50, Keep: clock.Second},
		})
		check(t, err)
		books = append(books, b)
	}
	p.Service = New(books, log, branch.Japan)
	return p
}

// stop ends this life of the platform. What is durable is saved.
func (p *platform) stop() {
	p.once.Do(func() {
		p.writer.Close(context.Background())
		p.saver.Close()
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// yen opens an account in the next volume.
func (p *platform) yen(k Kind, amount int64) id.ID {
	p.t.Helper()
	p.opened++
	x, err := p.open(p.opened%volumes, k, amount)
	check(p.t, err)
	return x
}

func (p *platform) open(volume int, k Kind, amount int64) (id.ID, error) {
	slot := id.FirstSlot(volume, volumes)
	key := p.ids.New(p.clk.Now(), slot)
	binary.BigEndian.PutUint16(key[:], slot) // what id.SlotOf reads
	owner, err := p.OpenOwner(context.Background(), OpenOwner{
		Key: book.Key{Tenant: tenant, ID: key}, Owner: p.ids.New(p.clk.Now(), slot),
		Kind: k, Terms: Terms{Currency: money.JPY}, Opening: amount,
	})
	return owner.Facet(uint8(k)), err
}

func (p *platform) try(account id.ID, yen int64) tcc.TryRequest {
	now := p.clk.Now()
	return tcc.TryRequest{
		Branch: tcc.Branch{Tenant: tenant, ID: p.ids.New(now, p.ids.Slot()).Facet(1)}, Account: account,
		Amount: money.Yen(yen), Purpose: tcc.Charge, NotAfter: now + clock.Hour, EffectiveAt: now,
	}
}

// at calls f n times at once, and waits for all.
func at(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// pay moves yen from one account to another, as a coordinator would.
func (p *platform) pay(ctx context.Context, r tcc.TryRequest, to id.ID) error {
	if _, err := p.Try(ctx, r); err != nil {
		return err
	}
	if _, err := p.Confirm(ctx, confirmOf(r, 1, r.Amount.Minor, true)); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	b := tcc.Branch{Tenant: tenant, ID: r.Branch.ID.Facet(9)}
	receipt, err := p.Add(ctx, tcc.AddRequest{
		Branch: b, Account: to, Amount: r.Amount, Purpose: tcc.Charge, EffectiveAt: r.EffectiveAt,
		Funding: []tcc.Funding{{From: "payment_clearing", Amount: r.Amount}},
	})
	if err != nil || receipt.Suspense {
		return fmt.Errorf("add: %+v %w", receipt, err)
	}
	return nil
}

// TestTheLastYen: a hundred clients spend the last ¥100; one wins, and the others are refused.
func TestTheLastYen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		cash, shop := p.yen(Balance, 100), p.yen(Payable, 0)
		var won, short atomic.Int32
		at(100, func(int) {
			switch err := p.pay(t.Context(), p.try(cash, 100), shop); {
			case err == nil:
				won.Add(1)
			case fault.HasCode(err, fault.InsufficientFunds):
				short.Add(1)
			default:
				t.Error(err)
			}
		})
		if won.Load() != 1 || short.Load() != 99 {
			t.Fatalf("%d won, %d were refused", won.Load(), short.Load())
		}
		p.agree(map[id.ID]int64{cash: 0, shop: 100})
	})
}

// TestAnswersOutliveThePlatform sends every verb many times at once, restarts, sends them again, wipes the tables and
// sends them once more: one effect each, and the same answer for ever.
func TestAnswersOutliveThePlatform(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		cash, shop := p.yen(Balance, 100_000), p.yen(Payable, 0)
		const payments = 40
		var tries [payments]tcc.TryRequest
		for i := range tries {
			tries[i] = p.try(cash, int64(1000+100*i)) // the last ones find too little
		}
		answers := func() [payments]string {
			var out [payments]string
			at(payments, func(i int) {
				var got [3]string
				at(len(got), func(j int) {
					a, errA := p.Try(t.Context(), tries[i])
					b, errB := p.Confirm(t.Context(), confirmOf(tries[i], 1, tries[i].Amount.Minor, true))
					got[j] = fmt.Sprintf("%+v %v %+v %v", a, errA, b, errB)
				})
				if got[0] != got[1] || got[1] != got[2] {
					t.Errorf("duplicates at once: %q", got)
				}
				out[i] = got[0]
			})
			return out
		}
		first := answers()
		for _, wipe := range []bool{false, true} {
			p.stop()
			if wipe {
				for v := range volumes {
					check(t, p.state.Wipe(t.Context(), book.Name("balance", v), v, NewMachine(v, volumes).Tables()))
				}
			}
			p = start(t, open)
			if again := answers(); again != first {
				t.Fatalf("after a restart (tables wiped: %v)\nfirst %v\nthen  %v", wipe, first, again)
			}
		}
		a, err := p.Account(t.Context(), tenant, cash)
		check(t, err)
		if a.Posted() < 0 || a.Posted() >= 5000 || a.Held() != 0 {
			t.Fatalf("%d posted, %d held", a.Posted(), a.Held())
		}
		p.agree(map[id.ID]int64{cash: a.Posted(), shop: 0})
	})
}

// TestOppositePayments: A pays B while B pays A, over two volumes, and nothing is made or lost.
func TestOppositePayments(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		a, b := p.yen(Balance, 10_000), p.yen(Balance, 10_000)
		at(32, func(i int) {
			from, to := a, b
			if i%2 == 0 {
				from, to = b, a
			}
			for range 4 {
				if err := p.pay(t.Context(), p.try(from, 50), to); err != nil {
					t.Error(err)
				}
			}
		})
		p.agree(map[id.ID]int64{a: 10_000, b: 10_000})
	})
}

// agree checks the balances, and that a replay of the journals gives the books that are in the tables, and right ones.
func (p *platform) agree(want map[id.ID]int64) {
	p.t.Helper()
	for x, posted := range want {
		a, err := p.Account(context.Background(), tenant, x)
		check(p.t, err)
		if a.Posted() != posted {
			p.t.Fatalf("%d is posted, not %d", a.Posted(), posted)
		}
	}
	p.stop()
	rows := 0
	for v := range volumes {
		replayed := NewMachine(v, volumes)
		if found := auditLog(p.t, p.log, book.Name("balance", v), replayed); len(found) > 0 {
			p.t.Fatalf("%+v", found)
		}
		rows += p.sameRows(v, replayed)
	}
	if rows < len(want) {
		p.t.Fatalf("only %d rows were compared", rows)
	}
}

// sameRows loads every row that a replayed machine has out of the tables, compares, and returns how many there are.
func (p *platform) sameRows(v int, replayed *Machine) int {
	p.t.Helper()
	tables := NewMachine(v, volumes)
	var wants []book.Want
	var rows []string
	replayed.EachAccount(func(k book.Key, a *Account) {
		wants, rows = append(wants, book.Want{Table: tables.accounts, Key: k}), append(rows, fmt.Sprintf("%+v", *a))
	})
	replayed.EachBranch(func(k book.Key, b *Branch) {
		wants, rows = append(wants, book.Want{Table: tables.branches, Key: k}), append(rows, fmt.Sprintf("%+v", *b))
	})
	name := book.Name("balance", v)
	core, err := book.Recover(context.Background(), name, v, NewMachine(v, volumes), p.log, p.state) // what the tables are behind by
	check(p.t, err)
	check(p.t, book.SaveNow(context.Background(), core, p.state))
	found, _, err := p.state.Load(context.Background(), name, v, wants)
	check(p.t, err)
	core = book.NewCore(name, v, tables)
	for i, w := range wants {
		core.Install(w, found[i])
	}
	loaded := map[book.Key]string{}
	tables.EachAccount(func(k book.Key, a *Account) { loaded[k] = fmt.Sprintf("%+v", *a) })
	tables.EachBranch(func(k book.Key, b *Branch) { loaded[k] = fmt.Sprintf("%+v", *b) })
	for i, w := range wants {
		if loaded[w.Key] != rows[i] {
			p.t.Fatalf("%s %v\ntables say %s\njournal    %s", book.TableName(w.Table), w.Key, loaded[w.Key], rows[i])
		}
	}
	if len(loaded) != len(wants) {
		p.t.Fatalf("%d rows of %d are in the tables", len(loaded), len(wants))
	}
	return len(wants)
}
