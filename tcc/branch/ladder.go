//go:build !planted

package branch

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// The rules of the ladder that a planted bug can break; ladder_planted.go has their twins.

// tryAfterCancel: a Try after its Cancel is refused (I14).
func tryAfterCancel(*Row) (Answer, *fault.Error) { return Answer{}, fault.TryAfterCancel.New("") }

// confirmAfterCancel: what was let go cannot be taken (I12).
func confirmAfterCancel(*Row) (Answer, *fault.Error) { return Answer{}, fault.AlreadyCancelled.New("") }

// cancelAfterConfirm: what was taken cannot be let go (I12).
func cancelAfterConfirm(*Row) (Answer, *fault.Error) { return Answer{}, fault.AlreadyConfirmed.New("") }

// captureForgotten: a capture that was made is never made again (I12).
func captureForgotten() bool { return false }

// tooLate: a Try after its time is refused, because its Cancel may be forgotten by then (I14).
func tooLate(now, notAfter clock.Micros) bool { return now > notAfter }

// newTry: a branch is tried once (I12).
func newTry(r *Row) bool { return r == nil }

// newAdd: a branch is added once (I12).
func newAdd(r *Row) bool { return r == nil }

// emptyCancel: a Cancel whose Try never came succeeds and leaves a tombstone (I13).
func emptyCancel() (tombstone bool, _ *fault.Error) { return true, nil }

// mayBecome: there is no way beside the table.
func mayBecome(_, _ Status) bool { return false }
