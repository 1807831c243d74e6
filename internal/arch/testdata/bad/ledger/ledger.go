// Package ledger is said twice.
package ledger // want charter

import (
	"context" // want pure

	"github.com/koban-pay/koban/balance" // want import pure
	"github.com/koban-pay/koban/internal/clock"
)

func Post(context.Context) { // want comment
	clock.NewSystem() // want decide
	balance.Try()
}

type Account struct{} // Account has its comment here.

type Hold struct{} // a comment behind it will do

type (
	Leg struct{ N int } // a leg

	// two below want comment

	Rule struct{}
)

// two below want comment

const Limit = 7
