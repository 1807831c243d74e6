// Package money counts value: integer minor units of a currency, checked arithmetic, exact splits and rates.
//
// No operation wraps, rounds or converts without being told to. An operation that cannot give the exact or the asked
// for result gives an error instead, always one of the Err values of this package.
package money

import "errors"

// The errors. Each error of this package wraps exactly one of them.
var (
	ErrOverflow = errors.New("money: the result is more than can be held")
	ErrCurrency = errors.New("money: not an active currency")
	ErrMixed    = errors.New("money: amounts in different currencies")
	ErrNegative = errors.New("money: expected zero or more")
	ErrDecimal  = errors.New("money: not a decimal amount")
	ErrWeights  = errors.New("money: no weight to split by")
	ErrRate     = errors.New("money: not a usable rate")
)
