package payment

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Every combination of what a payment's standing can be: only two of them end by themselves.
func TestOnlyWhatIsOpenExpires(t *testing.T) {
	const giveUp, lapses = 30, 700
	for kind := Charge; kind <= Refund; kind++ {
		for status := Accepted; status <= Succeeded; status++ {
			for d := Undecided; d <= Cancel; d++ {
				for resource := WorkInProgress; resource <= ResourceFailed; resource++ {
					p := &Payment{
						Kind: kind, GiveUpAt: giveUp, ExpiresAt: lapses,
						Standing: Standing{Status: status, Decision: d, Resource: resource},
					}
					want := clock.Micros(0)
					switch {
					case status == Accepted && d == Undecided:
						want = giveUp
					case status == Authorized && d == Authorize:
						want = lapses
					}
					if got := expiryOf(p); got != want {
						t.Errorf("%s %s %s %s: expires at %d, expected %d", kind, status, resource, d, got, want)
					}
				}
			}
		}
	}
}

// Whatever participants answer, callers ask and the clock does: once a time that was shown has passed, no money moves.
func TestNothingIsTakenAfterAShownExpiry(t *testing.T) {
	taken, late := 0, 0
	for seed := range uint64(300) {
		d := newDesk(t)
		luck := rand.New(rand.NewPCG(seed, 1))
		capture := Automatic
		if seed%2 == 0 {
			capture = Manual
		}
		list := []id.ID{d.do(d.charge(capture)).Payment.ID}
		shown := map[id.ID]clock.Micros{}
		for range 40 {
			x := list[luck.IntN(len(list))]
			list = append(list, d.stumble(luck, x)...)
			for _, x := range list {
				p := d.get(x)
				if p.Decision == Confirm && shown[x] > 0 {
					if taken++; d.Clock.Now() >= shown[x] {
						t.Fatalf("seed %d: %s %s was decided at %v, after the %v that was shown", seed, p.Kind, p.Status,
							d.Clock.Now(), shown[x])
					}
				}
				if p.Decision == Cancel && shown[x] > 0 && d.Clock.Now() >= shown[x] {
					late++
				}
				if shown[x] = expiryOf(p); shown[x] > 0 && p.Decision != Undecided && p.Decision != Authorize {
					t.Fatalf("seed %d: decided to %s, and expires at %v", seed, p.Decision, shown[x])
				}
			}
		}
		d.Rebuild()
	}
	if taken < 50 || late < 50 {
		t.Errorf("%d were taken in time and %d ended too late: the walk does not reach what it is for", taken, late)
	}
}

// stumble does one of the things that happen to a payment, and returns the refund that it made, if it did.
func (d *desk) stumble(luck *rand.Rand, x id.ID) []id.ID {
	d.t.Helper()
	switch luck.IntN(8) {
	case 0:
		d.Clock.Advance(time.Duration(luck.IntN(40)) * time.Second) // the timers have not come round
	case 1:
		d.Clock.Advance(time.Duration(luck.IntN(8)) * 24 * time.Hour)
	case 2:
		d.Advance(0)
	case 3:
		cause := Cause(luck.IntN(2) + 1)
		d.ask(x, Operate{Caller: d.caller(), Tenant: 1, Cause: cause, Operation: d.fresh(), Payment: x})
	case 4:
		q := StartRefund{Caller: d.caller(), Tenant: 1, ID: d.fresh(), Parent: x, Amount: money.Yen(int64(1 + luck.IntN(300)))}
		if r := d.ask(x, q); r.Payment.ID == q.ID {
			return []id.ID{q.ID}
		}
	case 5:
		d.answer(x, tcc.Unknown, map[uint8]fault.Code{uint8(luck.IntN(12)): fault.InsufficientFunds})
	default:
		d.answer(x, tcc.Done, nil)
	}
	return nil
}
