package main

import (
	"fmt"
	"net/url"
	"strings"
)

type eraseCmd struct {
	ID      string `arg:"" help:"The customer or the merchant whose texts are erased." placeholder:"cus_…|mer_…"`
	IdemKey word   `name:"idempotency-key" help:"The key of the request." placeholder:"KEY"`
	JSON    bool   `name:"json" help:"Print the answer as JSON."`
	where   `embed:""`
}

// Run erases what was kept in words about a customer or a merchant.
func (x *eraseCmd) Run(c *console) error {
	kind := ""
	switch {
	case strings.HasPrefix(x.ID, "cus_"):
		kind = "customers"
	case strings.HasPrefix(x.ID, "mer_"):
		kind = "merchants"
	default:
		return fmt.Errorf("%s is no customer (cus_…) and no merchant (mer_…): the texts of a payment go with its customer",
			x.ID)
	}
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	a, err := api.post("/v1/"+kind+"/"+url.PathEscape(x.ID)+"/erase", string(x.IdemKey), struct{}{})
	return say(c, x.JSON, a, err, func(v *struct{ ID string }) {
		fmt.Fprintf(c.out, "%s the texts of %s are erased; payments, amounts and ids stay\n", c.out.Good("✓"), v.ID)
	})
}
