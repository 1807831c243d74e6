package main

import (
	"fmt"
	"net/url"
	"strconv"
)

type paymentsCmd struct {
	Customer word     `help:"Only of this customer." placeholder:"cus_…"`
	Merchant word     `help:"Only of this merchant." placeholder:"mer_…"`
	Status   word     `help:"Only with this status, such as CAPTURED."`
	Kind     word     `help:"Only charges or refunds." placeholder:"charge|refund"`
	Suspense bool     `help:"Only those of which something stands in suspense, because the account could not take it: cases for a person."`
	From     word     `help:"Only made at this time or later, such as 2026-11-30." placeholder:"TIME"`
	Until    word     `help:"Only made before this time." placeholder:"TIME"`
	Limit    pageSize `help:"How many, 1 to 100." default:"20"`
	Cursor   word     `help:"next_cursor of the page before."`
	JSON     bool     `name:"json" help:"Print the page as JSON."`
	where    `embed:""`
}

// Run prints one page of payments and refunds.
func (x *paymentsCmd) Run(c *console) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {strconv.Itoa(int(x.Limit))}}
	for name, v := range map[string]word{
		"customer": x.Customer, "merchant": x.Merchant, "status": x.Status, "kind": x.Kind,
		"created_from": x.From, "created_until": x.Until, "cursor": x.Cursor,
	} {
		if v != "" {
			q.Set(name, string(v))
		}
	}
	if x.Suspense {
		q.Set("suspense", "true")
	}
	a, err := firstFound(api, q)
	return say(c, x.JSON, a, err, func(p *page[payment]) {
		w := c.out
		t := w.Table("time", "payment", "kind", "status", ">amount", ">captured", ">refunded")
		for _, one := range p.Items {
			t.Row(timeText(one.CreatedAt), w.Mark(one.ID), one.Kind, statusText(w, one.Status), one.Amount.String(),
				one.Captured.String(), one.Refunded.String())
		}
		if t.Len() == 0 && x.Suspense {
			fmt.Fprintln(w, "Nothing stands in suspense.")
			return
		}
		if t.Len() == 0 {
			fmt.Fprintln(w, "No payments. koban pay makes one.")
			return
		}
		t.Print()
		if p.NextCursor != nil {
			fmt.Fprintf(w, "There are more: koban payments --cursor %s\n", *p.NextCursor)
		}
	})
}

// firstFound returns the first page that shows something, or the last: a page of something rare may be empty and not be the
// last.
func firstFound(api *client, q url.Values) (*answer, error) {
	for {
		a, err := api.get("/v1/payments", q)
		var p page[payment]
		if err != nil || unmarshal(a, &p) != nil || len(p.Items) > 0 || p.NextCursor == nil {
			return a, err
		}
		q.Set("cursor", *p.NextCursor)
	}
}
