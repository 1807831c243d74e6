package rpc

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

func TestSeesMerchant(t *testing.T) {
	mine, other := id.ID{1}, id.ID{2}
	for _, tc := range []struct {
		p    Principal
		m    id.ID
		want bool
	}{
		{Principal{Role: Operator}, mine, true},
		{Principal{Role: CustomerApp}, mine, true},
		{Principal{Role: Merchant, Merchant: mine}, mine, true},
		{Principal{Role: Merchant, Merchant: mine}, other, false},
		{Principal{Role: Merchant}, id.Nil, false},
		{Principal{}, mine, false},
	} {
		if got := tc.p.SeesMerchant(tc.m); got != tc.want {
			t.Errorf("%v sees %v: %v, want %v", tc.p, tc.m, got, tc.want)
		}
	}
}

func TestCallTravels(t *testing.T) {
	ctx, reply := With(context.Background(), Call{RequestID: "req_1", Key: Key{0x12, 0x34}})
	SetStatus(ctx, 202)
	SetRetryAfter(ctx, time.Second)
	c := From(ctx)
	if c.RequestID != "req_1" || c.Key.Slot() != 0x234 || c.Key.IsNil() {
		t.Errorf("call: %+v", c)
	}
	if *reply != (Reply{202, time.Second}) {
		t.Errorf("reply: %+v", *reply)
	}
}

func TestNoCallMayDoNothing(t *testing.T) {
	ctx := context.Background()
	SetStatus(ctx, 202)
	SetRetryAfter(ctx, time.Second)
	if c := From(ctx); c.Principal != (Principal{}) || !c.Key.IsNil() || c.Principal.SeesMerchant(id.ID{1}) {
		t.Errorf("call out of nothing: %+v", c)
	}
}

func TestOutcomeIsItsFault(t *testing.T) {
	err := Failed(fault.InsufficientFunds.New(""), "pay_1", "req_1")
	var o *Outcome
	if !errors.As(err, &o) || o.Payment != "pay_1" || fault.KindOf(err) != fault.Refused || !fault.HasCode(err, fault.InsufficientFunds) {
		t.Errorf("outcome: %v", err)
	}
}
