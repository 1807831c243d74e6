package payment

import (
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// newTestBreaker returns a closed breaker and how often it closed again.
func newTestBreaker() (*breaker, *clock.Manual, *int) {
	clk, closed := clock.NewManual(rigStart), 0
	return newBreaker(clk.Now, func(open bool) {
		if !open {
			closed++
		}
	}), clk, &closed
}

// try makes one call, and reports whether it was let through.
func (b *breaker) try(first, answered bool) bool {
	p, ok := b.allow(first)
	if ok {
		b.record(p, answered)
	}
	return ok
}

func TestBreakerOpensAtTenOfTwenty(t *testing.T) {
	b, _, _ := newTestBreaker()
	for range 100 { // 9 of any 20
		for i := range 20 {
			b.try(true, i >= 9)
		}
	}
	if b.state() != "closed" {
		t.Fatalf("9 of 20 made it %s", b.state())
	}
	for range 9 {
		b.try(true, false)
	}
	if b.state() != "closed" {
		t.Fatalf("it is %s after 9 failures of the last 20", b.state())
	}
	b.try(true, false)
	if b.state() != "open" || b.try(true, true) {
		t.Errorf("it is %s after 10 failures", b.state())
	}
}

func TestBreakerCountsPaymentsNotTries(t *testing.T) {
	b, _, _ := newTestBreaker()
	b.try(true, false)
	for range 1000 {
		b.try(false, false)
	}
	if b.state() != "closed" {
		t.Errorf("one payment that is tried again and again made it %s", b.state())
	}
}

func TestBreakerClosesOnProof(t *testing.T) {
	b, clk, closed := newTestBreaker()
	trip := func() {
		for range breakerFailures {
			b.try(true, false)
		}
	}
	trip()
	clk.Advance(2999 * time.Millisecond)
	if b.wantsProof() || b.try(true, true) {
		t.Fatal("it let a call through before its rest was over")
	}
	clk.Advance(time.Millisecond)
	if !b.wantsProof() || !b.try(false, false) || b.state() != "open" || b.try(true, true) {
		t.Fatalf("a proof that failed left it %s", b.state())
	}
	clk.Advance(3 * time.Second)
	one, ok1 := b.allow(true)
	two, ok2 := b.allow(true)
	if _, ok := b.allow(true); !ok1 || !ok2 || ok || b.wantsProof() {
		t.Fatal("it lets two proofs through at a time")
	}
	b.record(one, true)
	if *closed != 0 || b.isClosed() {
		t.Error("one proof closed it")
	}
	b.record(two, true)
	if *closed != 1 || b.state() != "closed" {
		t.Errorf("after two proofs it is %s, and said so %d times", b.state(), *closed)
	}
	for range breakerFailures - 1 {
		b.try(true, false)
	}
	if b.state() != "closed" {
		t.Error("it remembers failures from before it closed")
	}
}

func TestBreakerForgetsCallsOfAnEarlierRound(t *testing.T) {
	b, clk, closed := newTestBreaker()
	var slow []permit
	for range 50 {
		p, _ := b.allow(true)
		slow = append(slow, p)
	}
	for _, p := range slow[:10] {
		b.record(p, false)
	}
	clk.Advance(3 * time.Second)
	for range breakerProofs {
		b.try(true, true)
	}
	for _, p := range slow[10:] { // their timeouts tell of the time before
		b.record(p, false)
	}
	if b.state() != "closed" || *closed != 1 {
		t.Errorf("late failures made it %s", b.state())
	}
}
