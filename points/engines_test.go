package points

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
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
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

const volumes = 2

// platform is the service over two volumes, with a writer, a saver and a real store.
type platform struct {
	*Service
	t      testing.TB
	log    *journal.Journal
	state  *book.SQLState
	writer *book.Writer
	saver  *book.Saver
	once   sync.Once
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
	db := open("points")
	files, err := fs.Sub(Schema, "schema")
	check(t, err)
	check(t, db.Migrate(ctx, files))
	state, err := book.NewSQLState(ctx, db)
	check(t, err)
	p := &platform{
		t: t, log: log, state: state, saver: book.NewSaver(state),
		writer: book.NewWriter(log, clk, false, nil, book.Hooks{Fatal: func(err error) { panic(err) }}),
	}
	t.Cleanup(p.stop)
	var books []*book.Book
	for v := range volumes {
		b, err := book.Open(ctx, book.Config{
			Service: "points", Volume: v, Machine: NewMachine(v, volumes, nil), Log: log, State: state, Clock: clk, Writer: p.writer,
			Saver: p.saver, Limits: book.Limits{Rows: 20, Keep: clock.Second},
		})
		check(t, err)
		books = append(books, b)
	}
	p.Service = New(books, log, id.NewSource(nil), clk, branch.Japan)
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

// customer opens an account with points that never expire, and some that expire tomorrow.
func (p *platform) customer(amount int64) id.ID {
	p.t.Helper()
	now := p.clk.Now()
	owner := p.ids.New(now, p.ids.Slot())
	v, err := p.Open(p.t.Context(), tenant, owner)
	check(p.t, err)
	for i, expires := range []clock.Micros{0, now + clock.Day} {
		r := Request{Tenant: tenant, Key: p.ids.New(now, 0), Fingerprint: [16]byte{byte(i)}}
		_, err = p.Credit(p.t.Context(), r, v.ID, points(amount/2), Free, expires)
		check(p.t, err)
	}
	return v.ID
}

func (p *platform) try(account id.ID, n int64) tcc.TryRequest {
	now := p.clk.Now()
	return tcc.TryRequest{
		Branch: tcc.Branch{Tenant: tenant, ID: p.ids.New(now, p.ids.Slot()).Facet(1)}, Account: account, Amount: points(n),
		Purpose: tcc.Charge, NotAfter: now + clock.Hour, EffectiveAt: now,
	}
}

// verify stops the platform and holds what its journals say to the invariants.
func (p *platform) verify() {
	p.t.Helper()
	p.stop()
	checked := 0
	for v := range volumes {
		m := NewMachine(v, volumes, nil)
		_, err := book.Recover(context.Background(), book.Name("points", v), v, m, p.log, book.NewMemState())
		check(p.t, err)
		for _, f := range m.Check() {
			checked += f.Checked
			if len(f.Violations) > 0 {
				p.t.Errorf("%s: %s", f.Invariant, strings.Join(f.Violations, "; "))
			}
		}
	}
	if checked == 0 {
		p.t.Error("nothing was checked")
	}
}

// TestTheLastPoints: many clients want the last 100 points at once; one gets them.
func TestTheLastPoints(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		account := p.customer(100)
		var won, short atomic.Int32
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				r := p.try(account, 100)
				_, err := p.Try(t.Context(), r)
				switch {
				case err == nil:
					won.Add(1)
					_, err = p.Confirm(t.Context(), tcc.ConfirmRequest{Branch: r.Branch, Account: account, Capture: 1, Amount: r.Amount, Final: true})
					if err != nil {
						t.Error(err)
					}
				case fault.HasCode(err, fault.InsufficientFunds):
					short.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || short.Load() != 29 {
			t.Fatalf("%d won, %d were refused", won.Load(), short.Load())
		}
		p.verify()
	})
}

// TestAnswersOutliveThePlatform sends every verb several times, restarts, sends them again, wipes the tables and sends
// them once more: one effect each, and the same answer for ever.
func TestAnswersOutliveThePlatform(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		account := p.customer(10_000)
		var tries [12]tcc.TryRequest
		for i := range tries {
			tries[i] = p.try(account, int64(500+100*i)) // the last ones find too little
		}
		credit := Request{Tenant: tenant, Key: [16]byte{1: 9}, Fingerprint: [16]byte{8}}
		answers := func() (out []string) {
			for i, r := range tries {
				confirm := tcc.ConfirmRequest{Branch: r.Branch, Account: account, Capture: 1, Amount: r.Amount, Final: i%2 == 0}
				refund := tcc.AddRequest{
					Branch: tcc.Branch{Tenant: tenant, ID: r.Branch.ID.Facet(2)}, Account: account, Amount: points(100), Purpose: tcc.Refund,
					Origin: r.Branch.ID,
				}
				for range 2 {
					a, errA := p.Try(t.Context(), r)
					b, errB := p.Confirm(t.Context(), confirm)
					c, errC := p.Add(t.Context(), refund)
					out = append(out, fmt.Sprintf("%+v %v %+v %v %+v %v", a, errA, b, errB, c, errC))
				}
				if out[2*i] != out[2*i+1] {
					t.Errorf("duplicate: %s\nfirst:     %s", out[2*i+1], out[2*i])
				}
			}
			g, err := p.Credit(t.Context(), credit, account, points(7), Paid, 0)
			return append(out, fmt.Sprintf("%+v %v", g, err))
		}
		first := strings.Join(answers(), "\n")
		for _, wipe := range []bool{false, true} {
			p.stop()
			for v := range volumes {
				if wipe {
					check(t, p.state.Wipe(t.Context(), book.Name("points", v), v, NewMachine(v, volumes, nil).Tables()))
				}
			}
			p = start(t, open)
			if again := strings.Join(answers(), "\n"); again != first {
				t.Fatalf("after a restart (tables wiped: %v)\nfirst\n%s\nthen\n%s", wipe, first, again)
			}
		}
		if !strings.Contains(first, "insufficient_funds") {
			t.Error("no Try was refused")
		}
		p.verify()
	})
}

// TestEntriesExplainAPayment reads what receipts name out of the journal.
func TestEntriesExplainAPayment(t *testing.T) {
	p := start(t, func(name string) *store.DB { return storetest.Open(t, storetest.SQLite(t)(name)) })
	account := p.customer(300)
	r := p.try(account, 200)
	held, err := p.Try(t.Context(), r)
	check(t, err)
	other, err := p.Try(t.Context(), p.try(account, 50)) // of another payment
	check(t, err)
	took, err := p.Confirm(t.Context(), tcc.ConfirmRequest{Branch: r.Branch, Account: account, Capture: 1, Amount: points(150), Final: true})
	check(t, err)
	entries, err := p.Entries(t.Context(), tenant, r.Branch.Payment(), []tcc.Receipt{held, other, took, took, {}})
	check(t, err)
	var got []string
	for _, e := range entries {
		line := e.What
		for _, l := range e.Legs {
			line += fmt.Sprintf(" %s %v debit=%v pending=%v", l.Kind, l.Amount.Minor, l.Debit, l.Pending)
		}
		got = append(got, line)
	}
	want := []string{
		"hold points 200 debit=true pending=true",
		"post points 150 debit=true pending=false points_redeemed 150 debit=false pending=false",
		"void points 50 debit=false pending=true",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
	if _, err := p.Entries(t.Context(), tenant, r.Branch.Payment(), []tcc.Receipt{{Book: "points/00", Seq: 1 << 30}}); !fault.HasCode(err, fault.DataDamaged) {
		t.Error(err)
	}
}
