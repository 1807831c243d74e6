package balance

import (
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// Branch is the row of one branch.
type Branch struct {
	branch.Row
	// Hold is what was set aside. A branch that never held has only the amount that was asked for; its Side is 0. A
	// tombstone has no amount.
	Hold        ledger.Hold[id.ID]
	Currency    money.Currency
	Purpose     tcc.Purpose
	EffectiveAt clock.Micros
}

// held reports whether there was ever a hold.
func (b *Branch) held() bool { return b.Hold.Side != 0 }
