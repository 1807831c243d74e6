package book

import (
	"context"
	"sync"
	"testing"

	"github.com/koban-pay/koban/fault"
)

// While a block cannot be written, those who read what it changes wait for it, and are no more than a book has room for: who comes then is
// sent away, however many have hung up before. Once it is written all are answered, and those who waited for room.
func TestAnswersThatWaitAreBounded(t *testing.T) {
	for _, shared := range []bool{false, true} {
		r := newRig(t)
		r.shared = shared
		p := r.start(1)
		a, b := p.account(7), p.account(0)
		g := newGate(t)
		p.log.tap(g.pass, nil)
		p.books[0].Go(background, toyMove{ID: p.id(), From: a, To: b, Amount: 1}, func(any, error) {})
		receive(t, "a block is being written", g.came)
		var all sync.WaitGroup
		for range maxWaiting {
			all.Add(1)
			p.books[0].Go(background, toyRead{a}, func(any, error) { all.Done() })
		}
		gone, cancel := context.WithCancel(background)
		cancel()
		for _, cmd := range []any{toyRead{a}, toyAlert{ID: p.id()}} {
			if _, err := p.books[0].Do(gone, cmd); !fault.HasCode(err, fault.Overloaded) {
				t.Errorf("a caller for whom there is no room hears %v", err)
			}
		}
		waited := make(chan error, 1)
		go func() {
			_, err := p.do(toyRead{a})
			waited <- err
		}()
		p.log.tap(nil, nil)
		g.let <- struct{}{}
		if err := receive(t, "who waits for room is answered", waited); err != nil {
			t.Error(err)
		}
		all.Wait()
		p.close()
	}
}
