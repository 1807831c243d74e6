package main

import (
	"net/http"
	"net/url"
)

type captureCmd struct {
	Payment string `arg:"" help:"The authorized payment to take." placeholder:"pay_…"`
	endFlags
}

type voidCmd struct {
	Payment string `arg:"" help:"The authorized payment to let go." placeholder:"pay_…"`
	endFlags
}

// endFlags are what both ways to end an authorization take.
type endFlags struct {
	Async   bool `help:"Do not wait for the outcome."`
	IdemKey word `name:"idempotency-key" help:"Makes trying again safe: the same key never does it twice." placeholder:"KEY"`
	JSON    bool `name:"json" help:"Print the payment as JSON."`
	where   `embed:""`
}

// Help says more than one line can.
func (captureCmd) Help() string {
	return `A payment made with koban pay --manual holds the amount and takes nothing. This takes all of it. Until then it
can be let go (koban void); after seven days it lapses by itself.`
}

// Run takes what a payment holds.
func (x *captureCmd) Run(c *console) error { return x.end(c, x.Payment, "capture") }

// Run lets go of what a payment holds.
func (x *voidCmd) Run(c *console) error { return x.end(c, x.Payment, "void") }

func (x *endFlags) end(c *console, which, how string) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if x.Async {
		body["async"] = true
	}
	a, err := api.post("/v1/payments/"+url.PathEscape(which)+"/"+how, string(x.IdemKey), body)
	return say(c, x.JSON, a, err, func(p *payment) { printPayment(c.out, p, a.status == http.StatusAccepted) })
}
