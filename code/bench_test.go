package code

import (
	"encoding/binary"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// BenchmarkScanTryConfirm is a session's whole life: three commands, decided, applied and encoded. What it costs to make
// their blocks durable is the kernel's, and is not counted.
func BenchmarkScanTryConfirm(b *testing.B) {
	core := book.NewCore("code/00", 0, NewMachine(0, 1, DefaultRules))
	do := func(cmd any) {
		cmd = branch.CommandOf(cmd, branch.Japan)
		for {
			wants := core.Submit(booktest.Start, cmd, func(_ any, err error) {
				if err != nil {
					b.Fatal(err)
				}
			})
			if wants == nil {
				return
			}
			for _, w := range wants { // a filter of keys took a new key for a known one
				core.Install(w, nil)
			}
		}
	}
	number := func(n uint64) id.ID {
		var r [9]byte
		binary.BigEndian.PutUint64(r[:8], n<<8) // the last bits of r are the first of the id
		return id.Compose(booktest.Start, 0, r)
	}
	ann, cafe := number(1), number(2)
	b.ReportAllocs()
	for i := uint64(1 << 20); b.Loop(); i++ {
		session, pay := number(i), tcc.Branch{Tenant: tenant, ID: number(1<<40 + i).Facet(1)}
		do(&Scan{Tenant: tenant, Key: number(1<<41 + i), ID: session, Customer: ann, Merchant: cafe, Currency: money.JPY})
		do(&tcc.TryRequest{
			Branch: pay, Account: session, Amount: money.Yen(500), Purpose: tcc.Charge, NotAfter: booktest.Start + clock.Minute,
			EffectiveAt: booktest.Start, Customer: ann, Merchant: cafe,
		})
		do(&tcc.ConfirmRequest{Branch: pay, Account: session, Capture: 1, Amount: money.Yen(500), Final: true, EffectiveAt: booktest.Start})
		if i%128 == 0 {
			b.StopTimer()
			core.Seal([16]byte{}, false)
			core.Landed()
			b.StartTimer()
		}
	}
}
