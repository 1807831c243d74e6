package ledger

import "github.com/koban-pay/koban/money"

// MaxChain is the largest number of transfers in a chain.
const MaxChain = 1000

type kind uint8

const (
	move kind = iota + 1
	hold
	post
	void
)

// Transfer is one step of a chain, made by Move, HoldDebit, HoldCredit, Post, PostFinal or Void. R names accounts and
// holds; the ledger only compares it.
type Transfer[R comparable] struct {
	kind    kind
	side    Side // hold: the side of account
	final   bool // post: release the rest
	account R    // move: debited; hold: held on
	other   R    // move: credited; post: the other side
	hold    R
	amount  money.Amount
}

// Move debits one account and credits another.
//
// Refused with: invalid_amount, amount_overflow, same_account, account_not_found, currency_mismatch, account_closed,
// account_suspended, limit_exceeded, insufficient_funds.
func Move[R comparable](debit, credit R, amount money.Amount) Transfer[R] {
	return Transfer[R]{kind: move, account: debit, other: credit, amount: amount}
}

// HoldDebit makes a hold that will debit the account. On an account of normal side credit, such as a person's cash, it
// sets the amount aside.
//
// Refused with: invalid_amount, amount_overflow, id_reused (the hold exists), account_not_found, currency_mismatch,
// account_closed, account_suspended, limit_exceeded, insufficient_funds.
func HoldDebit[R comparable](newHold, account R, amount money.Amount) Transfer[R] {
	return Transfer[R]{kind: hold, side: Debit, hold: newHold, account: account, amount: amount}
}

// HoldCredit makes a hold that will credit the account. On an account of normal side debit it sets the amount aside.
// Refused as HoldDebit is.
func HoldCredit[R comparable](newHold, account R, amount money.Amount) Transfer[R] {
	return Transfer[R]{kind: hold, side: Credit, hold: newHold, account: account, amount: amount}
}

// Post posts a part of a hold, or all of it, against another account; what is left stays held. Nothing about the
// hold's own account can refuse it: neither a suspension nor a limit since.
//
// Refused with: invalid_amount, amount_overflow, hold_not_found, hold_ended, same_account, currency_mismatch,
// exceeds_hold; and for the other account with account_not_found, account_closed, account_suspended, limit_exceeded,
// insufficient_funds. Where a posting must not fail, the other account is one of the platform's own, open and without
// limits, or CanReceive was asked first.
func Post[R comparable](existing, other R, amount money.Amount) Transfer[R] {
	return Transfer[R]{kind: post, hold: existing, other: other, amount: amount}
}

// PostFinal is Post, and releases what is left, in the same entry.
func PostFinal[R comparable](existing, other R, amount money.Amount) Transfer[R] {
	return Transfer[R]{kind: post, hold: existing, other: other, amount: amount, final: true}
}

// Void releases what is left of a hold. Nothing about the account can refuse it.
//
// Refused with: hold_not_found, hold_ended.
func Void[R comparable](existing R) Transfer[R] {
	return Transfer[R]{kind: void, hold: existing}
}

func (t *Transfer[R]) posts() bool { return t.kind == move || t.kind == post }
func (t *Transfer[R]) holds() bool { return t.kind != move }
