package balance

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

// bench is a core whose blocks are durable at once.
type bench struct {
	*testing.B
	core *book.Core
	n    uint64
}

const benchAccounts = 10_000

func newBench(b *testing.B) *bench {
	x := &bench{B: b, core: book.NewCore("balance/00", 0, NewMachine(0, 1))}
	for i := range uint64(benchAccounts) {
		key := x.id(i, 0)
		binary.BigEndian.PutUint16(key[:], 0)
		x.do(&OpenOwner{Key: book.Key{Tenant: tenant, ID: key}, Owner: x.id(i, 0), Kind: Balance, Terms: Terms{Currency: money.JPY}, Opening: 1 << 40})
	}
	x.land()
	b.ReportAllocs()
	b.ResetTimer()
	return x
}

func (x *bench) id(n uint64, facet uint8) id.ID {
	var r [9]byte
	binary.BigEndian.PutUint64(r[:8], n<<8) // id.Compose takes but two bits of the last byte
	return id.Compose(booktest.Start, 0, r).Facet(facet)
}

func (x *bench) do(cmd any) {
	for {
		wants := x.core.Submit(booktest.Start, cmd, func(_ any, err error) {
			if err != nil {
				x.Fatal(err)
			}
		})
		if wants == nil {
			break
		}
		for _, w := range wants { // a filter of keys took a new key for a known one
			x.core.Install(w, nil)
		}
	}
	if x.n++; x.n%256 == 0 {
		x.land()
	}
}

// land makes the open block durable; what that costs is the kernel's.
func (x *bench) land() {
	x.StopTimer()
	if x.core.Sealable() {
		x.core.Seal([16]byte{}, false)
		x.core.Landed()
	}
	x.StartTimer()
}

func (x *bench) try(i uint64) tcc.TryRequest {
	return tcc.TryRequest{
		Branch: tcc.Branch{Tenant: tenant, ID: x.id(1<<40+i, 1)}, Account: x.id(i%benchAccounts, tcc.BalanceAccount),
		Amount: money.Yen(1), Purpose: tcc.Charge, NotAfter: booktest.Start + clock.Minute, EffectiveAt: booktest.Start,
	}
}

// BenchmarkTry decides, applies and encodes.
func BenchmarkTry(b *testing.B) {
	x := newBench(b)
	for i := uint64(0); b.Loop(); i++ {
		x.do(&branch.Try{TryRequest: x.try(i), Day: 20_000})
	}
}

// BenchmarkCharge is all three verbs of a payment.
func BenchmarkCharge(b *testing.B) {
	x := newBench(b)
	funding := []tcc.Funding{{From: "payment_clearing", Amount: money.Yen(1)}}
	for i := uint64(0); b.Loop(); i++ {
		r := x.try(i)
		x.do(&branch.Try{TryRequest: r, Day: 20_000})
		x.do(&branch.Confirm{ConfirmRequest: confirmOf(r, 1, 1, true), Day: 20_000})
		x.do(&branch.Add{AddRequest: tcc.AddRequest{
			Branch: tcc.Branch{Tenant: tenant, ID: r.Branch.ID.Facet(9)}, Account: x.id((i+1)%benchAccounts, tcc.BalanceAccount),
			Amount: money.Yen(1), Purpose: tcc.Charge, EffectiveAt: booktest.Start, Funding: funding,
		}, Day: 20_000})
	}
}

// BenchmarkDecode reads what a Confirm wrote.
func BenchmarkDecode(b *testing.B) {
	typ, body := NewMachine(0, 1).Encode(samples()[7])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(typ, body); err != nil {
			b.Fatal(err)
		}
	}
}
