package chaos

import (
	"context"
	"net/url"

	"github.com/koban-pay/koban/platform"
)

// books are what the acknowledged answers add up to.
type books struct {
	charges  map[string]*charge // by id
	accounts map[string]account // by id
}

// charge is what the answers to all requests about a charge make of it.
type charge struct {
	*entry
	captured, voided bool
	balance, points  int64 // what it takes from each source
	refunded         int64
}

// reckon adds up all that was acknowledged.
func (j *Judge) reckon() *books {
	b := &books{charges: map[string]*charge{}, accounts: map[string]account{}}
	for id, a := range j.start {
		b.accounts[id] = a
	}
	for _, e := range j.entries {
		if e.Op == Charge && e.final != nil && e.final.Status == 201 {
			b.charges[e.id] = &charge{entry: e, captured: !e.Manual, balance: e.final.Balance, points: e.final.Points}
		}
	}
	for _, e := range j.entries {
		if e.final == nil || e.final.Status != 201 {
			continue
		}
		if c := b.charges[e.On]; c != nil {
			j.follow(b, c, e)
		}
		if e.Op == Credit {
			b.post(e.On, e.Value)
		}
	}
	for _, c := range b.charges {
		j.settleAccounts(b, c)
	}
	return b
}

// follow takes down what a later request made of a charge.
func (j *Judge) follow(b *books, c *charge, e *entry) {
	switch e.Op {
	case Capture:
		c.captured = true
	case Void:
		c.voided = true
	case Refund:
		c.refunded += e.final.Balance + e.final.Points
		from := j.customer(c.Customer)
		b.post(from.Balance.Account, e.final.Balance)
		b.post(from.Points.Account, e.final.Points)
		b.post(j.merchant(c.Merchant).Account, -e.final.Balance-e.final.Points)
	default: // asks nothing of a charge
	}
	if c.captured && c.voided {
		j.breach(Wrong, "%s was both captured and voided", c.id)
	}
	if c.refunded > c.balance+c.points || c.refunded > 0 && !c.captured {
		j.breach(Wrong, "%s took %d and gave back %d", c.id, c.balance+c.points, c.refunded)
	}
}

// settleAccounts books a charge on the accounts of its customer and merchant.
func (j *Judge) settleAccounts(b *books, c *charge) {
	from := j.customer(c.Customer)
	switch {
	case c.captured:
		b.post(from.Balance.Account, -c.balance)
		b.post(from.Points.Account, -c.points)
		b.post(j.merchant(c.Merchant).Account, c.balance+c.points)
	case !c.voided:
		b.hold(from.Balance.Account, c.balance)
		b.hold(from.Points.Account, c.points)
	}
}

func (b *books) post(id string, n int64) {
	a := b.accounts[id]
	a.Posted += n
	b.accounts[id] = a
}

func (b *books) hold(id string, n int64) {
	a := b.accounts[id]
	a.Held += n
	b.accounts[id] = a
}

// view is a payment as the platform shows it.
type view struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Resource string `json:"resource_status"`
	Captured struct {
		Value int64 `json:"value"`
	} `json:"captured"`
	Refunded struct {
		Value int64 `json:"value"`
	} `json:"refunded"`
}

// stands requires that a payment is there, and stands as everything acknowledged about it says.
func (j *Judge) stands(ctx context.Context, e *entry, b *books) {
	if e.id == "" {
		return
	}
	var v view
	if err := j.get(ctx, "/v1/payments/"+e.id, &v); err != nil {
		if ctx.Err() == nil {
			j.breach(Lost, "%s %s was answered %s, and now: %v", e.Op, e.Key, e.final, err)
		}
		return
	}
	want := e.expected(b.charges[e.id])
	got := view{v.ID, v.Status, want.Resource, v.Captured, v.Refunded}
	if got != want {
		j.breach(Lost, "%s %s was answered %s and has to be %+v, and is %+v", e.Op, e.Key, e.final, want, got)
	}
	if v.Resource == "WORK_IN_PROGRESS" {
		j.breach(Stuck, "%s is WORK_IN_PROGRESS", v.ID)
	}
}

// expected returns how a payment has to be shown; c is nil for refunds, and for charges that failed.
func (e *entry) expected(c *charge) (v view) {
	v.ID, v.Status = e.id, e.final.State
	switch {
	case e.final.Status != 201:
		v.Status = "FAILED"
	case c == nil:
		v.Captured.Value = e.final.Balance + e.final.Points
	case c.voided:
		v.Status = "VOIDED"
	case c.captured:
		v.Captured.Value, v.Refunded.Value = c.balance+c.points, c.refunded
		switch c.refunded {
		case 0:
			v.Status = "CAPTURED"
		case v.Captured.Value:
			v.Status = "REFUNDED"
		default:
			v.Status = "PARTIALLY_REFUNDED"
		}
	}
	return v
}

// accounts requires that every account shows what the payments make of it.
func (j *Judge) accounts(ctx context.Context, b *books) {
	for id, want := range b.accounts {
		var got account
		if err := j.get(ctx, "/v1/accounts/"+id, &got); err != nil {
			if ctx.Err() == nil {
				j.breach(Lost, "account %s: %v", id, err)
			}
			continue
		}
		if got != want {
			j.breach(Wrong, "account %s has to be %+v, and is %+v", id, want, got)
		}
	}
}

// nothingElse requires that the platform has the payments that were acknowledged, and no other.
func (j *Judge) nothingElse(ctx context.Context) {
	seen := map[string]bool{}
	query := url.Values{"limit": {"100"}}
	for more := true; more; {
		var page struct {
			Items []view  `json:"items"`
			Next  *string `json:"next_cursor"`
		}
		if err := j.get(ctx, "/v1/payments?"+query.Encode(), &page); err != nil {
			if ctx.Err() == nil {
				j.breach(Wrong, "the list of payments: %v", err)
			}
			return
		}
		for _, v := range page.Items {
			if seen[v.ID] {
				j.breach(Doubled, "%s is listed twice", v.ID)
			}
			if seen[v.ID] = true; j.made[v.ID] == nil {
				j.breach(Doubled, "%s is there, and nobody has asked for it", v.ID)
			}
		}
		if more = page.Next != nil && *page.Next != ""; more {
			query.Set("cursor", *page.Next)
		}
	}
	for id, e := range j.made {
		if !seen[id] {
			j.breach(Lost, "%s %s made %s, which is not listed", e.Op, e.Key, id)
		}
	}
}

func (j *Judge) customer(id string) platform.CardCustomer {
	for _, c := range j.card.Customers {
		if c.ID == id {
			return c
		}
	}
	return platform.CardCustomer{}
}

func (j *Judge) merchant(id string) platform.CardMerchant {
	for _, m := range j.card.Merchants {
		if m.ID == id {
			return m
		}
	}
	return platform.CardMerchant{}
}
