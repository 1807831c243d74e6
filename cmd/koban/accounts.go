package main

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"github.com/koban-pay/koban/platform"
)

type accountsCmd struct {
	ID    string `arg:"" optional:"" help:"A customer (cus_…) or an account (acc_…). Without it, everybody of the demo company."`
	JSON  bool   `name:"json" help:"Print {\"items\":[…]} as JSON."`
	where `embed:""`
}

// Run prints accounts.
func (x *accountsCmd) Run(c *console) error {
	api, card, err := x.find(asOperator)
	if err != nil {
		return err
	}
	paths, err := x.paths(card)
	if err != nil {
		return err
	}
	all := page[json.RawMessage]{Items: []json.RawMessage{}}
	rehearsal := ""
	for _, path := range paths {
		a, err := api.get(path, nil)
		if err != nil {
			return say[struct{}](c, x.JSON, nil, err, nil)
		}
		rehearsal = a.rehearsal
		if !strings.HasPrefix(path, "/v1/customers/") {
			all.Items = append(all.Items, json.RawMessage(a.body))
			continue
		}
		var some page[json.RawMessage]
		if err := unmarshal(a, &some); err != nil {
			return err
		}
		all.Items = append(all.Items, some.Items...)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return say(c, x.JSON, &answer{body: append(text, '\n'), rehearsal: rehearsal}, nil, func(p *page[account]) { printAccounts(c, card, p.Items) })
}

// paths returns the addresses to read.
func (x *accountsCmd) paths(card *platform.Card) (out []string, err error) {
	switch {
	case strings.HasPrefix(x.ID, "cus_"):
		return []string{"/v1/customers/" + url.PathEscape(x.ID) + "/accounts"}, nil
	case x.ID != "":
		return []string{"/v1/accounts/" + url.PathEscape(x.ID)}, nil
	case len(card.Customers)+len(card.Merchants) == 0:
		return nil, errors.New("there is no demo company here: name a customer (cus_…) or an account (acc_…)")
	}
	for _, one := range card.Customers {
		out = append(out, "/v1/customers/"+one.ID+"/accounts")
	}
	for _, one := range card.Merchants {
		out = append(out, "/v1/accounts/"+one.Account)
	}
	return out, nil
}

func printAccounts(c *console, card *platform.Card, accounts []account) {
	w := c.out
	names := map[string]string{}
	for _, m := range card.Merchants {
		names[m.ID] = m.Name
	}
	t := w.Table("owner", "kind", ">posted", ">held", ">available", "status", "account")
	for _, a := range accounts {
		owner := a.Owner
		if names[owner] != "" {
			owner = names[owner]
		}
		status := w.Dim(a.Status)
		if a.Status != "ACTIVE" {
			status = w.Warn(a.Status)
		}
		t.Row(owner, a.Kind, amountText(a.Posted, a.Currency), amountText(a.Held, a.Currency),
			w.Bold(amountText(a.Available, a.Currency)), status, w.Dim(a.ID))
	}
	t.Print()
}
