package bench

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// TestMeasure runs every mode for a moment: each does its work without an error, its books hold, and nothing is left.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	var told []string
	report, err := Measure(t.Context(), Config{
		Dir: dir, Customers: 100, Concurrency: []int{8}, Duration: 200 * time.Millisecond, Hot: true,
		Progress: func(step, _ string) { told = append(told, step) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Runs) != 3 {
		t.Fatalf("%d runs", len(report.Runs))
	}
	for i, mode := range []Mode{InProcess, REST, Ledger} {
		r := report.Runs[i]
		if r.Mode != mode || !r.Hot || r.Concurrency != 8 || r.Store != "sqlite" {
			t.Errorf("run %d is %+v", i, r)
		}
		if !r.Verified || r.Errors != 0 || r.Problem != "" {
			t.Errorf("%s: verified %v, %d errors: %s", mode, r.Verified, r.Errors, r.Problem)
		}
		if r.Count == 0 || r.PerSecond == 0 || r.P50 == 0 || r.P99 < r.P50 || r.Bound == 0 || r.Ratio == 0 || r.CPU == 0 || r.Allocs == 0 || r.Bytes == 0 {
			t.Errorf("%s: a figure is missing: %+v", mode, r)
		}
		if !slices.Contains(told, string(mode)+": verifying the books") {
			t.Errorf("%s: nothing was told of it", mode)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
	checkShape(t, report)
}

// checkShape holds the report to the members that scripts rely on.
func checkShape(t *testing.T, report *Report) {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Machine map[string]any   `json:"machine"`
		Runs    []map[string]any `json:"runs"`
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("mode store concurrency hot count errors per_s p50_us p99_us bound_per_s ratio cpu_us allocs bytes verified state_lag_blocks") {
		if _, ok := out.Runs[0][name]; !ok {
			t.Errorf("a run has no %s", name)
		}
	}
	if len(out.Machine) == 0 {
		t.Error("nothing is said of the machine")
	}
}

// TestVerifySees: a run whose books are not what the payments led to is not verified.
func TestVerifySees(t *testing.T) {
	b := &bench{Config: Config{Customers: 10}, clk: clock.NewSystem(), mode: InProcess, dir: t.TempDir()}
	at, err := b.place(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.openPlatform(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	p := s.(*running)
	if _, err := p.pay(t.Context(), p.customers[0], p.merchants[0]); err != nil {
		t.Fatal(err)
	}
	if err := p.count(t.Context(), 1); err != nil {
		t.Errorf("after one payment: %v", err)
	}
	if err := p.count(t.Context(), 2); err == nil {
		t.Error("a payment that was never made is not missed")
	}
	now := p.app.Clock.Now()
	_, err = p.app.Balance.Credit(t.Context(), balance.AddCredit{
		Key: book.Key{Tenant: tenant, ID: id.ID(randomKey())},
		ID:  p.app.Fresh.New(now, p.merchants[0].Slot()), Account: p.merchants[0].Facet(tcc.PayableAccount), Amount: money.Yen(1), EffectiveAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.count(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "yen of the merchants") {
		t.Errorf("¥1 from nowhere: %v", err)
	}
}

// TestTransfersReplay: what the ledger's book stores leads to the accounts that it told of.
func TestTransfersReplay(t *testing.T) {
	m, out := newTransfers(), &book.Decision{}
	m.Apply(0, 1, openAccounts{0, 4})
	cmd := moveAll{ID: account(77), Moves: []moveOne{{0, 1, 500}, {1, 2, 300}, {2, 3, 301}, {1, 3, 200}}}
	m.Decide(20_000*clock.Day, cmd, out)
	ev := moved{ID: cmd.ID}
	batch := ledger.NewBatch[id.ID](m)
	for _, x := range cmd.Moves {
		if e, err := batch.Plan(20_000, ledger.Move(account(x.From), account(x.To), money.Yen(x.Minor))); err == nil {
			ev.Entries = append(ev.Entries, e)
		}
	}
	if len(ev.Entries) != 3 {
		t.Fatalf("%d transfers can stand, not 3: one takes more than there is", len(ev.Entries))
	}
	for _, e := range []any{openAccounts{3, 9}, ev} {
		typ, body := m.Encode(e)
		back, err := m.Decode(typ, body)
		if err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("decoded %v %v", cmp.Diff(e, back), err)
		}
		if _, err := m.Decode(typ, body[1:]); err == nil {
			t.Error("a body that was cut is decoded")
		}
	}
	m.Apply(0, 2, ev)
	if s := m.sum(4); s != (sums{1000, 1000, 6}) {
		t.Errorf("the accounts add up to %+v", s)
	}
	if got := m.Account(account(3)).Available(); got != 200 {
		t.Errorf("account 3 has %d", got)
	}
}

// TestPercentile: nearest rank.
func TestPercentile(t *testing.T) {
	hundred := make([]uint32, 100)
	for i := range hundred {
		hundred[i] = uint32(i + 1)
	}
	for _, c := range []struct {
		of   []uint32
		p    int
		want int64
	}{{nil, 50, 0}, {[]uint32{7}, 99, 7}, {[]uint32{1, 2}, 50, 1}, {hundred, 50, 50}, {hundred, 99, 99}} {
		if got := percentile(c.of, c.p); got != c.want {
			t.Errorf("%d %% of %d values: %d, expected %d", c.p, len(c.of), got, c.want)
		}
	}
}

// TestShape: the bound writes what the run wrote, per payment.
func TestShape(t *testing.T) {
	before := figures{commits: 10, blocks: 100, bytes: 1000, saves: map[string]int64{"a": 1, "b": 1}, rows: map[string]int64{"a": 5, "b": 5}}
	after := figures{commits: 20, blocks: 150, bytes: 6000, saves: map[string]int64{"a": 5, "b": 1}, rows: map[string]int64{"a": 405, "b": 5}}
	got := shapeOf(&tally{count: 200, before: before, after: after}, map[string]float64{"a": 300})
	want := shape{perCommit: 20, blocks: 5, blockBytes: 100, states: []stateShape{{service: "a", perOne: 2, perSave: 100, rowBytes: 300}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nexpected %+v", got, want)
	}
}

// TestThousands: figures people can read.
func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, expected %s", n, got, want)
		}
	}
}
