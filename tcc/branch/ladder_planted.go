//go:build planted

package branch

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/tcc"
)

func tryAfterCancel(r *Row) (Answer, *fault.Error) {
	if planted.Bug == planted.TryAfterCancel {
		return r.Last, nil
	}
	return Answer{}, fault.TryAfterCancel.New("")
}

func confirmAfterCancel(r *Row) (Answer, *fault.Error) {
	if planted.Bug == planted.ConfirmAfterCancel {
		return r.Last, nil
	}
	return Answer{}, fault.AlreadyCancelled.New("")
}

func cancelAfterConfirm(r *Row) (Answer, *fault.Error) {
	if planted.Bug == planted.CancelAfterConfirm {
		return r.First, nil
	}
	return Answer{}, fault.AlreadyConfirmed.New("")
}

func captureForgotten() bool { return planted.Bug == planted.ConfirmForgotten }

func tooLate(now, notAfter clock.Micros) bool {
	return now > notAfter && planted.Bug != planted.TryTooLate
}

// newTry and newAdd break where points are held: there nothing else stands in the way.
func newTry(r *Row) bool {
	return r == nil ||
		planted.Bug == planted.TryHoldsTwice && r.Status == Held && r.Account.Part() == tcc.PointsAccount
}

func newAdd(r *Row) bool {
	return r == nil ||
		planted.Bug == planted.AddTwice && r.Status == Added && r.Account.Part() == tcc.PointsAccount
}

func emptyCancel() (tombstone bool, _ *fault.Error) {
	if planted.Bug == planted.EmptyCancelFails {
		return false, fault.NotTried.New("")
	}
	return planted.Bug != planted.NoTombstone, nil
}

func mayBecome(from, to Status) bool {
	return planted.Bug == planted.AddTwice && from == Added && to == Added
}
