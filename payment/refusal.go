package payment

import (
	"fmt"

	"github.com/koban-pay/koban/fault"
)

// What a request was refused with is told again, to the byte, for as long as its key is known (PAY5). So refusals speak only of
// what never changes, and of what was stored when they were decided.

// declinedWith returns the fault that a capture, a void or a refund was declined with, in the state that the payment had then.
func declinedWith(o *Operation, p *Payment) *fault.Error {
	is := "the payment is " + o.Status.String()
	switch {
	case o.Status == 0: // it was declined before states were kept
		return o.Code.New("")
	case p.Kind == Refund:
		is = "this is a refund, and " + o.Status.String()
	case o.Status == Authorized && o.Code != fault.AuthorizationLapsed && o.Cause != ByRefund:
		is += ", and its capture or void is under way"
	}
	switch o.Code {
	case fault.NotCapturable:
		return o.Code.New("%s; only a charge that is AUTHORIZED can be captured", is)
	case fault.NotVoidable:
		return o.Code.New("%s; only a charge that is AUTHORIZED can be voided, and one that is CAPTURED refunded", is)
	case fault.NotRefundable:
		return o.Code.New("%s; only a charge that is CAPTURED or PARTIALLY_REFUNDED can be refunded", is)
	case fault.AuthorizationLapsed:
		return o.Code.New("%s, and its authorization has expired; authorize again", is)
	case fault.CaptureMismatch:
		return o.Code.New("%v were authorized, and a capture takes all of it; leave the amount out", p.Amount).WithParam("amount")
	case fault.ExceedsCaptured:
		return o.Code.New("%s, and the refund is more than is left of %v; refund at most what is left", is, p.Amount).WithParam("amount")
	case fault.AlreadyRefunded:
		return o.Code.New("%s, and nothing is left to refund of %v, beside what refunds under way give back", is, p.Amount)
	}
	return o.Code.New("")
}

// failed returns the fault that a payment failed with: which of its sources, or that it was the session. What a source has is
// its owner's to know; what it was asked for, the request says.
func (p *Payment) failed(c fault.Code) *fault.Error {
	x := p.part(p.Refuser)
	switch {
	case x == nil:
		return c.New("")
	case c == fault.MerchantFundsShort:
		return c.New("the merchant's balance does not cover the refund of %v", p.Amount).WithParam("amount")
	case x.Participant == Code:
		return c.New("").WithParam("session")
	case x.Source == 0:
		return c.New("")
	}
	param := fmt.Sprintf("sources.%d", x.Source-1)
	if c == fault.InsufficientFunds {
		return c.New("the customer's %s do not cover the %v that are to be paid from them", sourceWords[x.Participant], x.Amount).WithParam(param)
	}
	return c.New("%s (%s)", c.Summary(), x.Participant).WithParam(param)
}

var sourceWords = [...]string{Balance: "available funds", Points: "available points"}
