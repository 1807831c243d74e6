package app

import (
	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// demoTenant is the company that --tenant demo makes.
const demoTenant = id.Tenant(1)

// openDoor makes the gateway, with a handler for every method of the contracts.
func (a *App) openDoor() (err error) {
	if err := a.metrics.Register(figures{a}); err != nil {
		return err
	}
	c := gateway.Config{
		Secret: a.constants.derive("door", secretBytes), Authenticator: a.keys, Clock: a.Clock, Log: a.Log, Metrics: a.metrics,
		Ready: a.Ready, Degraded: a.degraded, Unlimited: a.unlimited,
	}
	r := a.registry()
	if a.rehearsal != nil {
		c.Pace, c.Rehearsal = a.place.clock, a.rehearsal.state
		a.rehearsal.register(r)
	}
	a.Gateway, err = gateway.New(c, r)
	return err
}

// unlimited says whose requests are not counted: those of the demo company.
func (a *App) unlimited(p rpc.Principal) bool { return a.Tenant == "demo" && p.Tenant == demoTenant }

func (a *App) registry() *gateway.Registry {
	r := gateway.NewRegistry()
	h := &a.handlers
	const payment = "koban.payment.v1.PaymentService."
	gateway.Handle(r, payment+"CreatePayment", h.payment.CreatePayment)
	gateway.Handle(r, payment+"GetPayment", h.payment.GetPayment)
	gateway.Handle(r, payment+"ListPayments", h.payment.ListPayments)
	gateway.Handle(r, payment+"CapturePayment", h.payment.CapturePayment)
	gateway.Handle(r, payment+"VoidPayment", h.payment.VoidPayment)
	gateway.Handle(r, payment+"CreateRefund", h.payment.CreateRefund)
	gateway.Handle(r, payment+"ExplainPayment", h.payment.ExplainPayment)
	const account = "koban.balance.v1.AccountService."
	gateway.Handle(r, account+"GetAccount", h.accounts.GetAccount)
	gateway.Handle(r, account+"ListCustomerAccounts", h.accounts.ListCustomerAccounts)
	gateway.Handle(r, account+"CreditAccount", h.accounts.CreditAccount)
	const platform = "koban.platform.v1.PlatformService."
	gateway.Handle(r, platform+"CreateCustomer", h.platform.CreateCustomer)
	gateway.Handle(r, platform+"CreateMerchant", h.platform.CreateMerchant)
	gateway.Handle(r, "koban.code.v1.SessionService.CreateSession", h.code.CreateSession)
	gateway.Handle(r, "koban.code.v1.SessionService.GetSession", h.code.GetSession)
	gateway.Handle(r, "koban.feed.v1.FeedService.ReadFeed", h.feeds.ReadFeed)
	return r
}
