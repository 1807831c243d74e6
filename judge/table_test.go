package judge_test

import (
	"math"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/judge"
)

// judged returns a judge that has seen the day, and the rows that the day changed.
func judged(t *testing.T, c judge.Config) (*bench, map[judge.RowKey][]any) {
	t.Helper()
	c.Remember = 1 << 20
	b := newBench(c)
	for _, x := range day(t) {
		b.Block(x)
	}
	rows := map[judge.RowKey][]any{}
	for _, r := range b.Changed("balance/00") {
		for _, table := range b.Tables("balance") {
			if table.Name != r.Table {
				continue
			}
			for _, text := range table.Want(r.Key) {
				rows[r] = append(rows[r], text)
			}
			for range table.Stays {
				rows[r] = append(rows[r], "as it was")
			}
		}
	}
	b.Sweep() // before anything is given up
	if c.Keep > 0 {
		b.Cut()
	}
	if len(b.Changed("balance/00")) > 0 || len(rows) < 20 {
		t.Fatalf("%d rows, and some changed again", len(rows))
	}
	return b, rows
}

func TestRowsAreComparedInFullAndByDigest(t *testing.T) {
	for name, c := range map[string]judge.Config{"in full": {}, "by digest": {Keep: 1}} {
		t.Run(name, func(t *testing.T) {
			b, rows := judged(t, c)
			for r, values := range rows {
				b.Row("balance/00", r, values)
			}
			b.Swept("balance", 0, math.MaxInt64)
			b.right(t)
			for r, values := range rows {
				for i := range values {
					b.found = nil
					was := values[i]
					values[i] = was.(string) + "1"
					b.Row("balance/00", r, values)
					values[i] = was
					if len(b.found) != 1 || b.found[0].Invariant != "I24" {
						t.Fatalf("%s: value %d was changed, found are %v", r.Table, i, b.found)
					}
				}
			}
		})
	}
}

// TestWhatNoRuleGivesStays: a column that no rule gives may change with an event on its row, and only with one.
func TestWhatNoRuleGivesStays(t *testing.T) {
	blocks := day(t)
	b := newBench(judge.Config{Remember: 1 << 20})
	had, moved := map[judge.RowKey]int{}, 0
	for n, x := range blocks {
		b.Block(x)
		if x.Book != "balance/00" {
			continue
		}
		for _, r := range b.Changed(x.Book) {
			for _, table := range b.Tables("balance") {
				if table.Name != r.Table || table.Stays == 0 {
					continue
				}
				if had[r] > 0 {
					moved++
				}
				had[r] = n + 1
				var values []any
				for _, text := range table.Want(r.Key) {
					values = append(values, text)
				}
				for _, rest := range []int{n, n} {
					b.Row(x.Book, r, append(values, rest))
				}
			}
		}
	}
	b.right(t)
	if moved < 10 {
		t.Errorf("only %d rows were changed by a second event", moved)
	}
}

func TestMissingAndUnknownRowsAreFound(t *testing.T) {
	b, rows := judged(t, judge.Config{})
	var missing judge.RowKey
	for r, values := range rows {
		if missing.Table == "" && r.Table == "balance_accounts" {
			missing = r
			continue
		}
		b.Row("balance/00", r, values)
	}
	b.right(t)
	b.Swept("balance", 0, 0)
	b.right(t) // all rows are younger than that
	b.Swept("balance", 0, math.MaxInt64)
	if len(b.found) != 1 || !strings.Contains(b.found[0].String(), "the table has no such row") {
		t.Errorf("a row was not shown, found are %v", b.found)
	}
	b.found = nil
	b.Row("balance/00", missing, nil)
	if len(b.found) != 1 || !strings.Contains(b.found[0].String(), "the table has no such row") {
		t.Errorf("a row is not there, found are %v", b.found)
	}
	b.found = nil
	b.Row("balance/00", judge.RowKey{Table: "balance_accounts", Key: book.Key{Tenant: 1, ID: id.ID{7}}}, rows[missing])
	if len(b.found) != 1 || !strings.Contains(b.found[0].String(), "the journal gives no such row") {
		t.Errorf("a row came out of nothing, found are %v", b.found)
	}
}

// BenchmarkBlocks says how many events a judge takes in a second, and how much it keeps of a payment that ended.
func BenchmarkBlocks(b *testing.B) {
	blocks := day(b)
	events := 0
	for _, x := range blocks {
		events += len(x.Events)
	}
	for b.Loop() {
		j := newBench(judge.Config{})
		for _, x := range blocks {
			j.Block(x)
		}
		j.Cut()
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}
