package judge

import (
	"encoding/binary"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book/journal"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// company makes the blocks of a company in which new customers open an account, pay once, and are not seen again.
type company struct {
	t     testing.TB
	judge *Judge
	heads map[string]journal.Head
	now   clock.Micros
	n     uint64
	paid  int // payments, all to one shop
}

func newCompany(t testing.TB, c Config) *company {
	c.Volumes, c.Found = 1, func(v Violation) { t.Errorf("found %v", v) }
	return &company{t: t, judge: New(c), heads: map[string]journal.Head{}, now: 1 << 50}
}

func (c *company) id() []byte {
	c.n++
	var rnd [9]byte
	binary.BigEndian.PutUint64(rnd[:], c.n*0x9e3779b97f4a7c15)
	x := id.Compose(c.now, 0, rnd)
	return x[:]
}

func facet(x []byte, facet uint8) []byte {
	y := id.ID(x).Facet(facet)
	return y[:]
}

// write has a book write one event in a block of its own.
func (c *company) write(book string, typ uint32, m proto.Message) {
	body, err := proto.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	c.now += 100
	h := c.heads[book]
	b := &journal.Block{Book: book, Seq: h.Seq + 1, At: c.now, Prev: h.Hash, Events: []journal.Event{{Type: typ, Body: body}}}
	binary.BigEndian.PutUint64(b.Hash[:], b.Seq)
	c.heads[book] = b.Head()
	c.judge.Block(b)
}

func sides(from, to []byte, amount int64) []*balancev1.Leg {
	return []*balancev1.Leg{{Account: from, Amount: amount}, {Account: to, Credit: true, Amount: amount}}
}

// pay has n new customers pay once each.
func (c *company) pay(n int, shop []byte) {
	const books, pays, yen = "balance/00", "payment/00", uint32(money.JPY)
	own := func(k balance.Kind) []byte { x := balance.OwnAccount(k, money.JPY, 0, 1); return x[:] }
	for range n {
		c.paid++
		owner, p := c.id(), c.id()
		account := facet(owner, tcc.BalanceAccount)
		c.write(books, 16, &balancev1.AccountOpened{
			Tenant: 1, Account: account, Currency: yen, Amount: 700,
			Legs: sides(own(balance.Suspense), account, 700), Key: c.id(),
		})
		c.write(pays, 16, &paymentv1.Started{
			Tenant: 1, Id: p, Key: c.id(), Kind: uint32(payment.Charge), Currency: yen, Amount: 500,
			Customer: owner, Merchant: facet(shop, 0),
			Sources: []*paymentv1.Source{{Type: uint32(payment.FromBalance), Account: account, Amount: 500}},
			Parts: []*paymentv1.Part{
				{Number: 1, Participant: uint32(payment.Balance), Role: uint32(payment.Hold), Account: account, Currency: yen, Amount: 500, Source: 1},
				{Number: 2, Participant: uint32(payment.Balance), Role: uint32(payment.Add), Account: shop, Currency: yen, Amount: 500},
			},
		})
		c.write(books, 20, &balancev1.Held{
			Tenant: 1, Branch: facet(p, 1), Account: account, Currency: yen, Amount: 500, Available: 200,
			NotAfter: int64(c.now + clock.Hour),
		})
		c.write(pays, 17, &paymentv1.Advanced{Tenant: 1, Id: p, Answers: []*paymentv1.Answer{{
			Number: 1, Verb: uint32(payment.VerbTry),
			Outcome: uint32(tcc.Done),
		}}, Standing: &paymentv1.Standing{
			Status: uint32(payment.Accepted), Resource: uint32(payment.WorkInProgress),
			Phase: uint32(payment.ConfirmPhase), Decision: uint32(payment.Confirm),
		}})
		c.write(books, 22, &balancev1.Confirmed{
			Tenant: 1, Branch: facet(p, 1), Account: account, Currency: yen, Amount: 500, Available: 200,
			Legs: sides(account, own(balance.PaymentClearing), 500),
		})
		c.write(books, 24, &balancev1.Added{
			Tenant: 1, Branch: facet(p, 2), Account: shop, Currency: yen, Amount: 500,
			Available: int64(c.paid) * 500, Legs: sides(own(balance.PaymentClearing), shop, 500),
		})
		c.write(pays, 17, &paymentv1.Advanced{
			Tenant: 1, Id: p, Answers: []*paymentv1.Answer{
				{Number: 1, Verb: uint32(payment.VerbConfirm), Outcome: uint32(tcc.Done)}, {Number: 2, Verb: uint32(payment.VerbAdd), Outcome: uint32(tcc.Done)},
			},
			Standing: &paymentv1.Standing{
				Status: uint32(payment.Captured), Resource: uint32(payment.Wait), Phase: uint32(payment.Notified),
				Decision: uint32(payment.Confirm),
			},
		})
		c.judge.Tidy()
		clear(c.judge.feeds) // nobody follows these books: the hashes that a feed is compared with would reach their bound first
	}
}

// flat measures the live heap after payments and after five times as many, and returns how many times more it grew.
func flat(t *testing.T, c Config) float64 {
	t.Helper()
	const few = 3000
	x := newCompany(t, c)
	shop := facet(x.id(), tcc.PayableAccount)
	x.write("balance/00", 16, &balancev1.AccountOpened{Tenant: 1, Account: shop, Currency: uint32(money.JPY), Key: x.id()})
	begin := heap()
	x.pay(few, shop)
	first := heap() - begin
	x.pay(4*few, shop)
	second := heap() - begin
	x.judge.Cut()
	x.judge.Sums()
	x.judge.Bound()
	if n := x.judge.Size().Accounts; n < 5*few || x.judge.checked["I11"] < 5*few {
		t.Errorf("%d accounts, and %d parts were judged", n, x.judge.checked["I11"])
	}
	t.Logf("%d kB after %d payments by as many customers, %d kB after %d", first>>10, few, second>>10, 5*few)
	return float64(second) / float64(first)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryStaysFlat: five times as many payments, by as many customers, take no more memory, if what ended goes to files. The
// controls keep everything in memory, and everything but accounts in files.
func TestMemoryStaysFlat(t *testing.T) {
	files := func() *attic.Attic {
		a := attic.New(t.TempDir(), 256<<10)
		t.Cleanup(func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		return a
	}
	const most, least = 1.6, 3 // times, where all is well, and where it is not
	if n := flat(t, Config{Keep: 1, Full: 100, InUse: 100, Remember: 1 << 30, Attic: files(), Deep: true}); n > most {
		t.Errorf("the memory grew %.1f times, at most %.1f is flat", n, most)
	}
	if n := flat(t, Config{Keep: 1, Full: 100, InUse: 1 << 30, Remember: 1 << 30, Attic: files(), Deep: true}); n < least {
		t.Errorf("control: with all accounts in memory it grew %.1f times only", n)
	}
	if n := flat(t, Config{Keep: clock.Hour, Remember: 1 << 30}); n < least {
		t.Errorf("control: with everything in memory it grew %.1f times only", n)
	}
	// as in a running platform, where all but accounts has a bound of its own
	if n := flat(t, Config{Keep: 1, Full: 100, InUse: 100, Remember: 100, Forget: 100, Attic: files()}); n > most {
		t.Errorf("the memory of a watchman grew %.1f times, at most %.1f is flat", n, most)
	}
}
