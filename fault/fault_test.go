package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/koban-pay/koban/fault"
)

func TestIs(t *testing.T) {
	f := fault.InsufficientFunds.New("%d of %d", 1, 2)
	wrapped := fmt.Errorf("payment: %w", f)
	for _, err := range []error{f, wrapped} {
		for _, target := range []error{fault.InsufficientFunds, fault.Refused, fault.InsufficientFunds.New("other words"), f} {
			if !errors.Is(err, target) {
				t.Errorf("%v is not %v", err, target)
			}
		}
		for _, target := range []error{fault.LimitExceeded, fault.Unknown, fault.Invalid, fault.LimitExceeded.New(""), io.EOF} {
			if errors.Is(err, target) {
				t.Errorf("%v is %v", err, target)
			}
		}
		if !fault.HasCode(err, fault.InsufficientFunds) || fault.HasCode(err, fault.LimitExceeded) {
			t.Errorf("%v: HasCode is wrong", err)
		}
	}
	if fault.HasCode(nil, fault.Bug) || fault.HasCode(io.EOF, fault.Bug) {
		t.Error("HasCode holds without a fault")
	}
}

func TestCauseDoesNotSpeakForTheFault(t *testing.T) {
	refused := fault.InsufficientFunds.New("")
	unknown := fault.Unavailable.New("").Because(fmt.Errorf("asked: %w", refused))
	if errors.Is(unknown, fault.Refused) || errors.Is(unknown, fault.InsufficientFunds) || fault.KindOf(unknown) != fault.Unknown {
		t.Error("an unknown outcome passes for a refusal")
	}
	plain := fault.Timeout.New("").Because(context.DeadlineExceeded)
	if !errors.Is(plain, context.DeadlineExceeded) || !errors.Is(plain, fault.Unknown) {
		t.Error("a plain cause is lost")
	}
}

func TestOf(t *testing.T) {
	if fault.Of(nil) != nil || fault.KindOf(nil) != "" {
		t.Error("nil is a fault")
	}
	f := fault.AccountClosed.New("")
	if got := fault.Of(fmt.Errorf("a: %w", fmt.Errorf("b: %w", f))); got != f {
		t.Errorf("Of = %v", got)
	}
	for _, err := range []error{io.EOF, context.Canceled, context.DeadlineExceeded, errors.New("refused"), errors.Join(io.EOF, io.ErrUnexpectedEOF)} {
		got := fault.Of(err)
		if got.Kind != fault.Unknown || got.Code != fault.Unavailable || !got.Retryable() || !errors.Is(got, err) {
			t.Errorf("Of(%v) = %v of kind %v", err, got, got.Kind)
		}
		if fault.KindOf(err) != fault.Unknown {
			t.Errorf("KindOf(%v) = %v", err, fault.KindOf(err))
		}
	}
}

func TestRetryable(t *testing.T) {
	for _, r := range fault.All() {
		want := r.Kind == fault.Busy || r.Kind == fault.Unknown || r.Code == fault.InProgress
		if got := r.Code.New("").Retryable(); got != want {
			t.Errorf("%s: retryable is %v", r.Code, got)
		}
	}
	for _, c := range []fault.Code{fault.IDReused, fault.IdempotencyKeyReused, fault.InsufficientFunds, fault.Bug} {
		if c.New("").Retryable() {
			t.Errorf("%s is retryable", c)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, r := range fault.All() {
		made := r.Code.New("what %s", "happened").WithParam("amount.value")
		got := fault.Decode(string(made.Code), string(made.Kind), made.Message, made.Param)
		if *got != *made || got.Status() != r.HTTP {
			t.Errorf("%s: %#v became %#v", r.Code, made, got)
		}
	}
	for _, x := range []struct {
		code, kind string
		want       fault.Kind
		status     int
	}{
		{"insufficient_funds", "unknown", fault.Refused, 402}, // the list's kind, whatever the peer says
		{"from_tomorrow", "refused", fault.Refused, 422},
		{"from_tomorrow", "invalid", fault.Invalid, 400},
		{"from_tomorrow", "unauthenticated", fault.Unauthenticated, 401},
		{"from_tomorrow", "denied", fault.Denied, 403},
		{"from_tomorrow", "not_found", fault.NotFound, 404},
		{"from_tomorrow", "conflict", fault.Conflict, 409},
		{"from_tomorrow", "busy", fault.Busy, 503},
		{"from_tomorrow", "unknown", fault.Unknown, 503},
		{"from_tomorrow", "internal", fault.Internal, 500},
		{"from_tomorrow", "from_tomorrow", fault.Unknown, 503},
		{"from_tomorrow", "Refused", fault.Unknown, 503},
		{"", "", fault.Unknown, 503},
	} {
		got := fault.Decode(x.code, x.kind, "m", "p")
		if got.Kind != x.want || got.Status() != x.status || string(got.Code) != x.code || got.Message != "m" || got.Param != "p" {
			t.Errorf("Decode(%q, %q) = %#v, status %d", x.code, x.kind, got, got.Status())
		}
		if !errors.Is(got, x.want) {
			t.Errorf("Decode(%q, %q) is not %s", x.code, x.kind, x.want)
		}
	}
}

func TestUnlistedCodeIsUnknown(t *testing.T) {
	c := fault.Code("from_tomorrow")
	if c.Kind() != fault.Unknown || c.Status() != 503 || c.Summary() != "" || c.Next() != "" {
		t.Errorf("%s: kind %s, status %d", c, c.Kind(), c.Status())
	}
}

func TestText(t *testing.T) {
	for want, f := range map[string]*fault.Error{
		"account_closed: The account is closed.":                         fault.AccountClosed.New(""),
		"account_closed: 100% gone":                                      fault.AccountClosed.New("%d%% gone", 100),
		"account_closed: acc_1 is closed":                                fault.AccountClosed.New("%s is closed", "acc_1"),
		"invalid_amount: no (amount.value)":                              fault.InvalidAmount.New("no").WithParam("amount.value"),
		"unavailable: no answer (peer): EOF":                             fault.Unavailable.New("no answer").Because(io.EOF).WithParam("peer"),
		"internal_error: Something went wrong inside the platform.: EOF": fault.Bug.New("").Because(io.EOF),
	} {
		if f.Error() != want {
			t.Errorf("%q, expected %q", f.Error(), want)
		}
	}
}

func TestCopiesLeaveTheOriginal(t *testing.T) {
	f := fault.InvalidAmount.New("no")
	_ = f.WithParam("amount")
	_ = f.Because(io.EOF)
	if f.Param != "" || errors.Is(f, io.EOF) {
		t.Errorf("changed to %v", f)
	}
}
