package judge

import (
	"encoding/binary"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
)

// TestWhatIsWrongForAWhileCostsLittle: while one book is fed ahead of others, thousands of payments are wrong. What ends then
// has few of them looked at again, and each has its turn.
func TestWhatIsWrongForAWhileCostsLittle(t *testing.T) {
	const many, perLook = 5000, 3 // a payment is held to it three times
	now := clock.Micros(1 << 50)
	j := New(Config{Volumes: 1, Keep: clock.Minute, Full: 1, Found: func(Violation) {}})
	j.now = now
	key := func(n int) book.Key {
		var rnd [9]byte
		binary.BigEndian.PutUint64(rnd[:], uint64(n))
		return book.Key{Tenant: 1, ID: id.Compose(now, 0, rnd)}
	}
	add := func(n int) {
		p := &pay{moved: now, amount: money.Yen(100), captured: 100, parts: []piece{{role: payment.Hold, amount: money.Yen(100)}}}
		p.Status, p.Resource, p.Decision = payment.Captured, payment.Wait, payment.Confirm
		j.payments[key(n)] = p
		j.age(key(n), p)
	}
	for n := range many {
		add(n)
	}
	j.Tidy()
	if len(j.stuck) < many-1 {
		t.Fatalf("%d of %d payments without branches are wrong", len(j.stuck), many)
	}
	looks := func() int64 { return j.checked["I11"] / perLook }
	turns := 0
	for before := looks(); looks()-before < 2*many; turns++ {
		was := looks()
		first := j.stuck[0].k
		add(many + turns)
		j.Tidy()
		if n := looks() - was; n == 0 || n > leastUnstuck+3 {
			t.Fatalf("for one payment that ended, %d of %d were looked at", n, many)
		}
		if j.stuck[0].k == first {
			t.Fatal("the same are looked at again and again")
		}
	}
	if turns < many/(leastUnstuck+3) {
		t.Errorf("%d turns", turns)
	}
}
