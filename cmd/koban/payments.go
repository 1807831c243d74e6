package main

import (
	"fmt"
	"net/url"
	"strconv"
)

type paymentsCmd struct {
	Customer string `help:"Only of this customer." placeholder:"cus_…"`
	Merchant string `help:"Only of this merchant." placeholder:"mer_…"`
	Status   string `help:"Only with this status, such as CAPTURED."`
	Limit    int    `help:"How many, 1 to 100." default:"20"`
	Cursor   string `help:"next_cursor of the page before."`
	JSON     bool   `name:"json" help:"Print the page as JSON."`
	where    `embed:""`
}

// Run prints one page of payments and refunds.
func (x *paymentsCmd) Run(c *console) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	q := url.Values{"limit": {strconv.Itoa(x.Limit)}}
	for name, v := range map[string]string{"customer": x.Customer, "merchant": x.Merchant, "status": x.Status, "cursor": x.Cursor} {
		if v != "" {
			q.Set(name, v)
		}
	}
	a, err := api.get("/v1/payments", q)
	return say(c, x.JSON, a, err, func(p *page[payment]) {
		w := c.out
		t := w.Table("time", "payment", "kind", "status", ">amount", ">captured", ">refunded")
		for _, one := range p.Items {
			t.Row(timeText(one.CreatedAt), w.Mark(one.ID), one.Kind, statusText(w, one.Status), one.Amount.String(),
				one.Captured.String(), one.Refunded.String())
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
