package main

import (
	"net/http"
	"net/url"
)

type refundCmd struct {
	Payment   string     `arg:"" help:"The payment to give back." placeholder:"pay_…"`
	Amount    *backUnits `arg:"" optional:"" help:"Minor units: 600 is ¥600. Without it, all that is left."`
	Currency  word       `help:"The currency of the amount." default:"JPY"`
	Async     bool       `help:"Do not wait for the outcome."`
	Reference word       `help:"Your own reference."`
	IdemKey   word       `name:"idempotency-key" help:"Makes trying again safe: the same key never gives back twice." placeholder:"KEY"`
	JSON      bool       `name:"json" help:"Print the refund as JSON."`
	where     `embed:""`
}

// Run gives back a payment, or part of it.
func (x *refundCmd) Run(c *console) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if x.Amount != nil {
		body["amount"] = amount{string(x.Currency), int64(*x.Amount)}
	}
	if x.Reference != "" {
		body["reference"] = x.Reference
	}
	if x.Async {
		body["async"] = true
	}
	a, err := api.post("/v1/payments/"+url.PathEscape(x.Payment)+"/refunds", string(x.IdemKey), body)
	return say(c, x.JSON, a, err, func(p *payment) { printPayment(c.out, p, a.status == http.StatusAccepted) })
}
