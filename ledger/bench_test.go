package ledger_test

import (
	"encoding/binary"
	"testing"

	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

type ref [16]byte

func number(n uint64) (r ref) {
	binary.BigEndian.PutUint64(r[8:], n)
	return r
}

// populated returns a book of n accounts that hold much, and a clearing account numbered 0.
func populated(n uint64) *book[ref] {
	b := &book[ref]{make(map[ref]*ledger.Account), make(map[ref]*ledger.Hold[ref])}
	for i := range n + 1 {
		b.accounts[number(i)] = &ledger.Account{
			Currency: money.JPY, Normal: ledger.Credit, Status: ledger.Open, MayGoNegative: i == 0, CreditsPosted: 1 << 50,
		}
	}
	return b
}

func BenchmarkPlan(b *testing.B) {
	yen := money.Yen(1)
	bk := populated(10_000)
	for i := range uint64(10_000) {
		e, _ := ledger.Plan(bk, 20_000, ledger.HoldDebit(number(1_000_000+i), number(1+i), money.Yen(1000)))
		ledger.Apply(bk, e)
	}
	for _, c := range []struct {
		name string
		plan func(i uint64) error
	}{
		{"hold", func(i uint64) error {
			_, err := ledger.Plan(bk, 20_000, ledger.HoldDebit(number(2_000_000+i), number(1+i%10_000), yen))
			return asError(err)
		}},
		{"confirm", func(i uint64) error {
			_, err := ledger.Plan(bk, 20_000, ledger.PostFinal(number(1_000_000+i%10_000), number(0), yen))
			return asError(err)
		}},
		{"add", func(i uint64) error {
			_, err := ledger.Plan(bk, 20_000, ledger.Move(number(0), number(1+i%10_000), yen))
			return asError(err)
		}},
		{"add from two", func(i uint64) error {
			to := number(1 + i%10_000)
			_, err := ledger.Plan(bk, 20_000, ledger.Move(number(0), to, yen), ledger.Move(number(1+(i+1)%10_000), to, yen))
			return asError(err)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				if err := c.plan(i); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkApply plans and applies a hold and its posting, as a machine does.
func BenchmarkApply(b *testing.B) {
	bk := populated(10_000)
	var planner ledger.Planner[ref]
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		hold := number(1_000_000 + i)
		e, err := planner.Plan(bk, 20_000, ledger.HoldDebit(hold, number(1+i%10_000), money.Yen(1)))
		if err != nil {
			b.Fatal(err)
		}
		ledger.Apply(bk, e)
		if e, err = planner.Plan(bk, 20_000, ledger.PostFinal(hold, number(0), money.Yen(1))); err != nil {
			b.Fatal(err)
		}
		ledger.Apply(bk, e)
		delete(bk.holds, hold)
	}
}

// BenchmarkBatch plans 8,000 transfers in a batch and applies them.
func BenchmarkBatch(b *testing.B) {
	const size = 8_000
	bk := populated(10_000)
	entries := make([]ledger.Entry[ref], size)
	b.ReportAllocs()
	for b.Loop() {
		batch := ledger.NewBatch(bk)
		for i := range uint64(size) {
			e, err := batch.Plan(20_000, ledger.Move(number(1+i), number(1+(i+4_999)%10_000), money.Yen(1)))
			if err != nil {
				b.Fatal(i, err)
			}
			entries[i] = e
		}
		for _, e := range entries {
			ledger.Apply(bk, e)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(b.N)/size, "ns/transfer")
}
