package points

import (
	"encoding/binary"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
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
	x := &bench{B: b, core: book.NewCore("points/00", 0, NewMachine(0, 1, nil))}
	for i := range uint64(benchAccounts) {
		x.do(&Open{Tenant: tenant, Owner: x.id(i, 0)})
		for lot := range clock.Micros(2) {
			n := 2*i + uint64(lot)
			x.do(&Grant{
				Tenant: tenant, Key: x.id(1<<50+n, 0), ID: x.id(1<<51+n, 0), Account: x.id(i, tcc.PointsAccount), Amount: points(1 << 40), Class: Free,
				ExpiresAt: booktest.Start + (1+lot)*clock.Day,
			})
		}
	}
	x.land()
	b.ReportAllocs()
	b.ResetTimer()
	return x
}

func (x *bench) id(n uint64, facet uint8) id.ID {
	var r [9]byte
	binary.BigEndian.PutUint64(r[:8], n<<8) // the last bits of r are the first of the id
	return id.Compose(booktest.Start, 0, r).Facet(facet)
}

func (x *bench) do(cmd any) {
	cmd = branch.CommandOf(cmd, branch.Japan)
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

func (x *bench) try(i uint64) *tcc.TryRequest {
	return &tcc.TryRequest{
		Branch: tcc.Branch{Tenant: tenant, ID: x.id(1<<40+i, 1)}, Account: x.id(i%benchAccounts, tcc.PointsAccount), Amount: points(1),
		Purpose: tcc.Charge, NotAfter: booktest.Start + clock.Minute, EffectiveAt: booktest.Start,
	}
}

// BenchmarkTry decides, applies and encodes.
func BenchmarkTry(b *testing.B) {
	x := newBench(b)
	for i := uint64(0); b.Loop(); i++ {
		x.do(x.try(i))
	}
}

// BenchmarkTryConfirm is both verbs of a payment.
func BenchmarkTryConfirm(b *testing.B) {
	x := newBench(b)
	for i := uint64(0); b.Loop(); i++ {
		r := x.try(i)
		x.do(r)
		x.do(&tcc.ConfirmRequest{Branch: r.Branch, Account: r.Account, Capture: 1, Amount: r.Amount, Final: true, EffectiveAt: r.EffectiveAt})
	}
}
