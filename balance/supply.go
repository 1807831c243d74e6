package balance

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// canReceive returns why an amount cannot come to an owner's account, nil if it can. Beside the account's own terms,
// no account holds more than money.MaxWire, which is as much as can be told.
func canReceive(a *Account, amount money.Amount, day ledger.Day) *fault.Error {
	if err := a.CanReceive(amount, day); err != nil {
		return err
	}
	if a.Posted()+a.Incoming() > money.MaxWire-amount.Minor {
		return fault.LimitExceeded.New("the account has %d, and no account holds more than %d", a.Posted(), int64(money.MaxWire))
	}
	return nil
}

// canBringIn returns why an amount cannot be brought in out of suspense, nil if it can (BL8).
func (m *Machine) canBringIn(s *scope, amount money.Amount) *fault.Error {
	room := ledger.Supply(m.volumes) + s.Account(m.Own(Suspense, amount.Currency)).Posted()
	if amount.Minor > room {
		return fault.SupplyExhausted.New("%d is asked for, and at most %d more can be brought in here", amount.Minor, max(room, 0))
	}
	return nil
}
