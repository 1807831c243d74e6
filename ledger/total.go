package ledger

import (
	"iter"
	"math/big"
	"slices"

	"github.com/koban-pay/koban/money"
)

// Trial is the trial balance of one currency: sums over accounts, in minor units, however large.
type Trial struct {
	Currency money.Currency
	Accounts int
	Debits   *big.Int // posted
	Credits  *big.Int // posted
}

// Balanced reports whether all that was debited was credited (I2).
func (t Trial) Balanced() bool { return t.Debits.Cmp(t.Credits) == 0 }

// Total adds up accounts per currency, in the order of the currencies' numbers. Over all the accounts of a book every
// trial is balanced.
func Total(accounts iter.Seq[*Account]) []Trial {
	var trials []Trial
	var n big.Int
	for a := range accounts {
		i, ok := slices.BinarySearchFunc(trials, a.Currency, func(t Trial, c money.Currency) int { return int(t.Currency) - int(c) })
		if !ok {
			trials = slices.Insert(trials, i, Trial{Currency: a.Currency, Debits: new(big.Int), Credits: new(big.Int)})
		}
		t := &trials[i]
		t.Accounts++
		t.Debits.Add(t.Debits, n.SetInt64(a.DebitsPosted))
		t.Credits.Add(t.Credits, n.SetInt64(a.CreditsPosted))
	}
	return trials
}
