package ledger_test

import (
	"fmt"

	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// book keeps rows in memory. A machine's tables serve the same four methods: Get reads, Edit changes.
type book[R comparable] struct {
	accounts map[R]*ledger.Account
	holds    map[R]*ledger.Hold[R]
}

func (b *book[R]) Account(ref R) *ledger.Account     { return b.accounts[ref] }
func (b *book[R]) Hold(ref R) *ledger.Hold[R]        { return b.holds[ref] }
func (b *book[R]) EditAccount(ref R) *ledger.Account { return b.accounts[ref] }
func (b *book[R]) EditHold(ref R) *ledger.Hold[R] {
	if b.holds[ref] == nil {
		b.holds[ref] = new(ledger.Hold[R])
	}
	return b.holds[ref]
}

// A person pays a shop ¥1,200, of which the platform carries ¥200.
func Example() {
	liability := ledger.Account{Currency: money.JPY, Normal: ledger.Credit, Status: ledger.Open}
	cash, clearing, funding, shop := liability, liability, liability, liability
	cash.CreditsPosted, clearing.DebitsPosted = 5000, 5000 // topped up before
	clearing.MayGoNegative, funding.MayGoNegative = true, true
	b := &book[string]{
		accounts: map[string]*ledger.Account{"cash": &cash, "clearing": &clearing, "funding": &funding, "shop": &shop},
		holds:    map[string]*ledger.Hold[string]{},
	}
	do := func(chain ...ledger.Transfer[string]) {
		entry, refusal := ledger.Plan(b, 20_400, chain...) // decide: pure; the entry goes into the event
		if refusal != nil {
			fmt.Println(refusal.Code)
			return
		}
		ledger.Apply(b, entry) // apply: from the event
		fmt.Println("cash", cash.Posted(), cash.Held(), cash.Available(), "shop", shop.Posted(), "legs", len(entry.Legs))
	}
	do(ledger.HoldDebit("payment", "cash", money.Yen(1000)))     // Try
	do(ledger.HoldDebit("another", "cash", money.Yen(4001)))     // more than is available
	do(ledger.PostFinal("payment", "clearing", money.Yen(1000))) // Confirm
	do(ledger.Void("payment"))                                   // too late
	do(ledger.Move("clearing", "shop", money.Yen(1000)),         // Add: both or neither
		ledger.Move("funding", "shop", money.Yen(200)))
	// Output:
	// cash 5000 1000 4000 shop 0 legs 0
	// insufficient_funds
	// cash 4000 0 4000 shop 0 legs 2
	// hold_ended
	// cash 4000 0 4000 shop 1200 legs 3
}
