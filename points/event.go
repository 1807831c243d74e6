package points

import (
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// The events carry outcomes only. Amounts are points. Day is the business day that the ledger counts them in.
type (
	opened struct {
		Tenant  id.Tenant
		Account id.ID
		Owner   id.ID
	}
	granted struct {
		Tenant      id.Tenant
		ID          id.ID
		Account     id.ID
		Key         id.ID
		Fingerprint [16]byte
		Lot         Part
		Day         ledger.Day
		EffectiveAt clock.Micros
		Owner       id.ID
		Posted      int64 // of the account afterwards
		Held        int64
	}
	grantRefused struct {
		Tenant      id.Tenant
		ID          id.ID
		Account     id.ID
		Key         id.ID
		Fingerprint [16]byte
		Amount      int64
		Refusal     branch.Refusal
	}
	statusSet struct {
		Tenant  id.Tenant
		Account id.ID
		Status  ledger.Status
	}
	expired struct {
		Tenant  id.Tenant
		Account id.ID
		Lots    []Part
		Day     ledger.Day
		Owner   id.ID
		Posted  int64 // of the account afterwards
		Held    int64
	}
	tried struct {
		branchOf
		Print       branch.Print
		Amount      int64
		Lots        []Part
		Day         ledger.Day
		NotAfter    clock.Micros
		EffectiveAt clock.Micros
	}
	// refused is a Try that was refused; it is refused again to every duplicate.
	refused struct {
		branchOf
		Print   branch.Print
		Refusal branch.Refusal
	}
	confirmed struct {
		branchOf
		Print       branch.Print
		Capture     uint32
		Final       bool
		Taken       []Part
		To          []share
		Back        []Back // with Final: the rest of the hold
		Day         ledger.Day
		EffectiveAt clock.Micros
	}
	// cancelled lets go of a hold. Without one it is the tombstone of a Try that never came.
	cancelled struct {
		branchOf
		Back        []Back
		Day         ledger.Day
		NotAfter    clock.Micros
		EffectiveAt clock.Micros
	}
	added struct {
		branchOf
		Print       branch.Print
		Amount      int64
		Purpose     tcc.Purpose
		From        []share
		Origin      id.ID
		Back        []Back // with Origin: where what it took returns to
		Lot         Part   // without Origin: the lot it went to, of Amount 0 if it landed in suspense
		Suspense    bool
		Day         ledger.Day
		EffectiveAt clock.Micros
	}
)

// branchOf names the branch and the account that an event is about.
type branchOf struct {
	Tenant  id.Tenant
	Branch  id.ID
	Account id.ID
}

func (b *branchOf) about() *branchOf { return b }

// share is an amount on one of the volume's own accounts.
type share struct {
	Kind   Kind
	Amount int64
}

func sumParts(parts []Part) (n int64) {
	for i := range parts {
		n += parts[i].Amount
	}
	return n
}

// sumBack returns how many points come back in all, how many of them into lots other than their own, and how many into
// none.
func sumBack(back []Back) (all, moved, lost int64) {
	for i := range back {
		b := &back[i]
		all += b.Amount
		switch b.To {
		case b.From:
		case 0:
			lost += b.Amount
		default:
			moved += b.Amount
		}
	}
	return all, moved, lost
}
