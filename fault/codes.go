package fault

import "sort"

// Code is one entry of the closed list of ways to fail.
type Code string

// The codes. A new one needs a line here and a row in table.
const (
	InvalidRequest       Code = "invalid_request"
	InvalidAmount        Code = "invalid_amount"
	InvalidCurrency      Code = "invalid_currency"
	InvalidID            Code = "invalid_id"
	InvalidCode          Code = "invalid_code"
	InvalidCursor        Code = "invalid_cursor"
	UnknownField         Code = "unknown_field"
	MissingField         Code = "missing_field"
	IdempotencyKeyNeeded Code = "idempotency_key_required"
	IdempotencyKeyBad    Code = "idempotency_key_invalid"
	RequestTooLarge      Code = "request_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	AmountOverflow       Code = "amount_overflow"
	CurrencyMismatch     Code = "currency_mismatch"
	SourcesMismatch      Code = "sources_mismatch"
	SameAccount          Code = "same_account"

	NoCredentials  Code = "credentials_required"
	BadCredentials Code = "credentials_invalid"
	NotAllowed     Code = "not_allowed"

	RouteNotFound    Code = "route_not_found"
	MethodNotAllowed Code = "method_not_allowed"
	AccountNotFound  Code = "account_not_found"
	PaymentNotFound  Code = "payment_not_found"
	SessionNotFound  Code = "session_not_found"
	MerchantNotFound Code = "merchant_not_found"
	CustomerNotFound Code = "customer_not_found"
	HoldNotFound     Code = "hold_not_found"
	ShopNotFound     Code = "shop_not_found"

	InsufficientFunds   Code = "insufficient_funds"
	LimitExceeded       Code = "limit_exceeded"
	SupplyExhausted     Code = "supply_exhausted"
	AccountSuspended    Code = "account_suspended"
	AccountClosed       Code = "account_closed"
	AccountNotEmpty     Code = "account_not_empty"
	AccountExists       Code = "account_exists"
	SessionExpired      Code = "session_expired"
	SessionUsed         Code = "session_used"
	SessionForeign      Code = "session_of_another_customer"
	SessionMismatch     Code = "session_mismatch"
	TryTooLate          Code = "try_too_late"
	TryAfterCancel      Code = "try_after_cancel"
	NotTried            Code = "not_tried"
	AlreadyConfirmed    Code = "already_confirmed"
	AlreadyCancelled    Code = "already_cancelled"
	HoldEnded           Code = "hold_ended"
	ExceedsHold         Code = "exceeds_hold"
	AlreadyRefunded     Code = "already_refunded"
	ExceedsCaptured     Code = "exceeds_captured"
	NotCapturable       Code = "not_capturable"
	NotVoidable         Code = "not_voidable"
	NotRefundable       Code = "not_refundable"
	CaptureMismatch     Code = "capture_amount_mismatch"
	MerchantFundsShort  Code = "merchant_insufficient_funds"
	GaveUp              Code = "gave_up"
	AuthorizationLapsed Code = "authorization_expired"

	IDReused             Code = "id_reused"
	IdempotencyKeyReused Code = "idempotency_key_reused"
	InProgress           Code = "in_progress"

	RateLimited  Code = "rate_limited"
	Overloaded   Code = "overloaded"
	ShuttingDown Code = "shutting_down"
	CircuitOpen  Code = "circuit_open"
	NotReady     Code = "not_ready"
	PaymentBusy  Code = "payment_in_progress"

	Unavailable Code = "unavailable"
	Timeout     Code = "timeout"
	Fenced      Code = "fenced"

	Bug         Code = "internal_error"
	DataDamaged Code = "data_damaged"
)

// Info is one row of the closed list.
type Info struct {
	Code    Code
	Kind    Kind
	HTTP    int
	Summary string // what happened
	Next    string // what the caller does now
}

var table = index([]Info{
	{InvalidRequest, Invalid, 400, "The request is not valid.", "Correct the field named in param and send again."},
	{InvalidAmount, Invalid, 400, "The amount is not a whole, positive number of minor units.", "Send an integer between 1 and 9007199254740991."},
	{InvalidCurrency, Invalid, 400, "The currency is not an active ISO 4217 code.", "Use three upper-case letters such as JPY."},
	{InvalidID, Invalid, 400, "The id is not well formed.", "Use the id exactly as it was returned."},
	{InvalidCode, Invalid, 400, "The code cannot be read.", "Scan again; the message names the object at fault."},
	{InvalidCursor, Invalid, 400, "The cursor is not one of ours.", "Start again without a cursor."},
	{UnknownField, Invalid, 400, "The request has a field that this operation does not know.", "Remove the field named in param."},
	{MissingField, Invalid, 400, "A required field is missing.", "Send the field named in param."},
	{IdempotencyKeyNeeded, Invalid, 400, "Every POST needs an Idempotency-Key header.", "Make one key for one intent, keep it, and send it with every try."},
	{IdempotencyKeyBad, Invalid, 400, "The Idempotency-Key is not usable.", "Send one header of 1 to 255 printable ASCII characters."},
	{RequestTooLarge, Invalid, 413, "The request is larger than allowed.", "Send less at once."},
	{UnsupportedMediaType, Invalid, 415, "The body is announced as something else than JSON in UTF-8.", "Send Content-Type: application/json."},
	{AmountOverflow, Invalid, 400, "The amounts add up to more than can be stored.", "Use smaller amounts."},
	{CurrencyMismatch, Invalid, 400, "The currencies do not agree.", "Use the currency of the account or payment."},
	{SourcesMismatch, Invalid, 400, "The sources do not add up to the amount.", "Leave one source without amount to take the rest."},
	{SameAccount, Invalid, 400, "The two sides name the same account.", "Use two different accounts."},

	{NoCredentials, Unauthenticated, 401, "No credentials were sent.", "Send Authorization: Bearer KEY."},
	{BadCredentials, Unauthenticated, 401, "The key is not valid.", "Check the key; a platform prints its demo keys into platform.json."},
	{NotAllowed, Denied, 403, "This key may not do this.", "Use a key whose role allows the operation."},

	{RouteNotFound, NotFound, 404, "There is no such address.", "See /openapi.yaml for what exists."},
	{MethodNotAllowed, Invalid, 405, "The address does not take this method.", "See /openapi.yaml for what exists."},
	{AccountNotFound, NotFound, 404, "There is no such account.", "Check the id and the key's tenant."},
	{PaymentNotFound, NotFound, 404, "There is no such payment.", "Check the id and the key's tenant."},
	{SessionNotFound, NotFound, 404, "There is no such code session.", "Scan the code again."},
	{MerchantNotFound, NotFound, 404, "There is no such merchant.", "Check the id and the key's tenant."},
	{CustomerNotFound, NotFound, 404, "There is no such customer.", "Check the id and the key's tenant."},
	{HoldNotFound, NotFound, 404, "There is no such hold.", "Check the id."},
	{ShopNotFound, NotFound, 404, "The code is well formed, but names no shop registered here.", "Ask the shop for its current code."},

	{InsufficientFunds, Refused, 402, "The available balance does not cover the amount.", "Add money or pay less."},
	{LimitExceeded, Refused, 422, "A limit of the account does not allow this.", "Use a smaller amount or wait for the next period."},
	{SupplyExhausted, Refused, 422, "The platform would hold more of this currency than it can count exactly.", "Credit at most what the message says is left."},
	{AccountSuspended, Refused, 422, "The account is suspended.", "Have the suspension lifted first."},
	{AccountClosed, Refused, 422, "The account is closed.", "Use another account."},
	{AccountNotEmpty, Refused, 422, "The account still holds money or holds.", "Empty the account before closing it."},
	{AccountExists, Refused, 422, "The account exists already with other terms.", "Use the account as it is."},
	{SessionExpired, Refused, 422, "The code session has expired.", "Scan the code again."},
	{SessionUsed, Refused, 422, "The code session was used for another payment.", "Scan the code again."},
	{SessionForeign, Refused, 422, "The code session was opened by another customer.", "Scan the code with the paying customer's app."},
	{SessionMismatch, Refused, 422, "The payment does not match what was scanned.", "Pay the merchant and amount of the code."},
	{TryTooLate, Refused, 422, "The Try arrived after its deadline.", "The payment has ended; start a new one."},
	{TryAfterCancel, Refused, 422, "The Try arrived after its Cancel.", "The payment has ended; start a new one."},
	{NotTried, Refused, 422, "There is no Try to confirm.", "Try first."},
	{AlreadyConfirmed, Refused, 422, "It was confirmed already and cannot be cancelled.", "Refund instead."},
	{AlreadyCancelled, Refused, 422, "It was cancelled already and cannot be confirmed.", "Start a new payment."},
	{HoldEnded, Refused, 422, "The hold has ended.", "Start a new payment."},
	{ExceedsHold, Refused, 422, "The amount is more than is held.", "Use at most the held amount."},
	{AlreadyRefunded, Refused, 422, "The payment is refunded already.", "Nothing is left to refund."},
	{ExceedsCaptured, Refused, 422, "The refund is more than is left of the captured amount.", "Refund at most what is left."},
	{NotCapturable, Refused, 422, "The payment is not in a state that can be captured.", "Read the payment; only AUTHORIZED can be captured."},
	{NotVoidable, Refused, 422, "The payment is not in a state that can be voided.", "Read the payment; a captured one can be refunded."},
	{NotRefundable, Refused, 422, "The payment is not in a state that can be refunded.", "Read the payment; only captured ones can be refunded."},
	{CaptureMismatch, Refused, 422, "A capture takes the full authorized amount.", "Leave the amount out."},
	{MerchantFundsShort, Refused, 402, "The merchant's balance does not cover the refund.", "Refund after further sales, or add funds to the merchant."},
	{GaveUp, Refused, 422, "The payment could not be decided in time and was cancelled.", "Nothing was taken; start a new payment."},
	{AuthorizationLapsed, Refused, 422, "The authorization has expired.", "Authorize again."},

	{IDReused, Conflict, 409, "The id was used for another request.", "Use a new id for a new intent."},
	{IdempotencyKeyReused, Conflict, 422, "The Idempotency-Key was used for another request.", "Use a new key for a new intent."},
	{InProgress, Conflict, 409, "The first request with this key is still running.", "Send the same request again after Retry-After seconds."},

	{RateLimited, Busy, 429, "Too many requests.", "Send again after Retry-After seconds."},
	{Overloaded, Busy, 503, "The platform is at its limit.", "Send the same request again after Retry-After seconds."},
	{ShuttingDown, Busy, 503, "The platform is shutting down.", "Send the same request again after Retry-After seconds."},
	{CircuitOpen, Busy, 503, "A participant has been failing and is given time to recover; nothing was begun.", "Send the same request again after Retry-After seconds."},
	{NotReady, Busy, 503, "The platform is not ready yet.", "Send the same request again after Retry-After seconds."},
	{
		PaymentBusy, Busy, 409, "Something is still being done with the payment, after which this may be possible.",
		"Send the same request again after Retry-After seconds.",
	},

	{Unavailable, Unknown, 503, "The outcome is not known yet.", "Send the same request again with the same key."},
	{Timeout, Unknown, 503, "No answer came in time; the outcome is not known yet.", "Send the same request again with the same key."},
	{Fenced, Unknown, 503, "Another process has taken over; the outcome is not known here.", "Send the same request again with the same key."},

	{Bug, Internal, 500, "Something went wrong inside the platform.", "Report the request id."},
	{DataDamaged, Internal, 500, "Stored data is damaged.", "Run koban verify and see docs/guides."},
})

func index(rows []Info) map[Code]Info {
	m := make(map[Code]Info, len(rows))
	for _, r := range rows {
		m[r.Code] = r
	}
	return m
}

// All returns the closed list, ordered by code.
func All() []Info {
	out := make([]Info, 0, len(table))
	for _, r := range table {
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Code < out[j].Code })
	return out
}

// Kind returns what a caller may conclude from c.
func (c Code) Kind() Kind {
	if r, ok := table[c]; ok {
		return r.Kind
	}
	return Unknown
}

// Status returns the HTTP status of c.
func (c Code) Status() int {
	if r, ok := table[c]; ok {
		return r.HTTP
	}
	return c.Kind().status()
}

// Summary returns what happened, in one sentence.
func (c Code) Summary() string { return table[c].Summary }

// Next returns what the caller does now, in one sentence.
func (c Code) Next() string { return table[c].Next }
