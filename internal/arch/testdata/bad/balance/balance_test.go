package balance

import (
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment" // want import
	"github.com/koban-pay/koban/tcc/kit"
)

var _, _ = payment.X, kit.Run

func TestLater(t *testing.T) {
	t.Skip("later") // want test
}

func TestNothing(t *testing.T) {} // want test

func TestSlow(t *testing.T) {
	if testing.Short() { // want test
		return
	}
	time.Sleep(time.Second)    // want clock
	<-time.After(time.Second)  // want clock
	<-clock.Pause(time.Second) // want clock
	select {
	case <-time.After(time.Second): // a deadline
	}
}
