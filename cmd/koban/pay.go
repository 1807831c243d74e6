package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/platform"
)

type payCmd struct {
	Amount    *minorUnits       `arg:"" optional:"" help:"Minor units: 1200 is ¥1,200. Without it ¥1,200, 200 points of it; or what the code says."`
	Points    *minorUnits       `help:"How many points to pay with. The rest comes from the balance."`
	Payload   word              `help:"What the shop's code says. Without it, the code of the first demo shop."`
	Customer  word              `help:"Who pays. Without it, the first demo customer." placeholder:"cus_…"`
	Merchant  word              `help:"Who is paid, without scanning a code." placeholder:"mer_…" xor:"payee"`
	Currency  word              `help:"The currency of the amount." default:"JPY"`
	Manual    bool              `help:"Authorize only: a capture or void has to follow."`
	Async     bool              `help:"Do not wait for the outcome."`
	Reference word              `help:"Your own reference."`
	Metadata  map[string]string `help:"Your own data." placeholder:"NAME=VALUE"`
	IdemKey   word              `name:"idempotency-key" help:"Makes trying again safe: the same key never pays twice." placeholder:"KEY"`
	JSON      bool              `name:"json" help:"Print the payment as JSON."`
	where     `embed:""`
}

// What koban pay does when it is told nothing.
const (
	demoAmount = 1200
	demoPoints = 200
)

// Run scans a code, unless a merchant is named, and pays.
func (x *payCmd) Run(c *console) error {
	api, card, err := x.find(asCustomerApp)
	if err != nil {
		return err
	}
	if err := x.fill(card); err != nil {
		return err
	}
	if x.IdemKey == "" { // one for scan and payment, so that trying again under it finds both
		x.IdemKey = word(freshKey())
	}
	body := map[string]any{"kind": "charge", "customer": x.Customer}
	var seen session
	if x.Merchant != "" {
		body["merchant"] = x.Merchant
	} else if seen, err = x.scan(api); err == nil {
		body["session"] = seen.ID
	} else {
		return x.told(c, nil, err)
	}
	x.describe(body, seen.Amount)
	a, err := api.post("/v1/payments", string(x.IdemKey), body)
	return x.told(c, a, err)
}

// fill takes what was not said from the demo company.
func (x *payCmd) fill(card *platform.Card) error {
	if x.Customer == "" {
		if len(card.Customers) == 0 {
			return errors.New("there is no demo customer here: say --customer cus_…")
		}
		x.Customer = word(card.Customers[0].ID)
	}
	if x.Merchant == "" && x.Payload == "" {
		shop := slices.IndexFunc(card.Merchants, func(m platform.CardMerchant) bool { return m.Payload != "" }) // erased ones have none
		if shop < 0 {
			return errors.New("there is no demo shop here: say --payload with a shop's code, or --merchant mer_… and an amount")
		}
		if x.Amount == nil && x.Points == nil {
			x.Amount, x.Points = new(minorUnits), new(minorUnits)
			*x.Amount, *x.Points = demoAmount, demoPoints
		}
		x.Payload = word(card.Merchants[shop].Payload)
	}
	if x.Amount == nil && x.Merchant != "" {
		return errors.New("say how much, such as koban pay 500 --merchant mer_…: without a code, nothing else does")
	}
	return nil
}

// scan opens a session for the code. Under a key of the caller's it is the same session every time.
func (x *payCmd) scan(api *client) (s session, err error) {
	key := string(x.IdemKey)
	a, err := api.post("/v1/code-sessions", key, map[string]word{"payload": x.Payload, "customer": x.Customer})
	if err != nil {
		return s, err
	}
	return s, unmarshal(a, &s)
}

// describe says how much, and from where. coded is the amount that the code carries.
func (x *payCmd) describe(body map[string]any, coded *amount) {
	sum := amount{string(x.Currency), x.Amount.orZero()}
	if x.Amount == nil && coded != nil {
		sum = *coded
	}
	if sum.Value > 0 {
		body["amount"] = sum
	}
	if x.Points != nil {
		sources := []map[string]any{{"type": "points", "amount": amount{"PT", x.Points.orZero()}}}
		if x.Points.orZero() != sum.Value {
			sources = append(sources, map[string]any{"type": "balance"})
		}
		body["sources"] = sources
	}
	for name, v := range map[string]word{"reference": x.Reference} {
		if v != "" {
			body[name] = v
		}
	}
	if len(x.Metadata) > 0 {
		body["metadata"] = x.Metadata
	}
	if x.Manual {
		body["capture"] = "manual"
	}
	if x.Async {
		body["async"] = true
	}
}

func (x *payCmd) told(c *console, a *answer, err error) error {
	return say(c, x.JSON, a, err, func(p *payment) { printPayment(c.out, p, a.status == http.StatusAccepted) })
}

// printPayment prints a payment or refund in a few lines.
func printPayment(w *term.Writer, p *payment, underWay bool) {
	mark := w.Good("✓")
	switch {
	case p.Status == "FAILED":
		mark = w.Bad("✗")
	case underWay:
		mark = w.Warn("…")
	}
	fmt.Fprintf(w, "%s %s of %s: %s\n", mark, p.Kind, w.Bold(p.Amount.String()), statusText(w, p.Status))
	t := w.Table("", "", ">", "")
	for _, s := range p.Sources {
		t.Row(" ", s.Type, s.Amount.String(), w.Dim(s.Account))
	}
	t.Print()
	if p.Failure != nil {
		fmt.Fprintf(w, "  %s (%s)\n", term.Clean(p.Failure.Message), p.Failure.Code)
	}
	fmt.Fprintf(w, "  %s\n", w.Mark(p.ID))
	if underWay {
		fmt.Fprintf(w, "  It is durable and under way: koban explain %s shows where it stands.\n", p.ID)
	}
}
