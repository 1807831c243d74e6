package platform

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/internal/version"
)

// demoTenant is the company that --tenant demo makes.
const demoTenant = id.Tenant(1)

// openDoor makes the gateway, with a handler for every method of the contracts.
func (a *App) openDoor() (err error) {
	if err := errors.Join(a.metrics.Register(figures{a}), registerProcess(a.metrics)); err != nil {
		return err
	}
	c := gateway.Config{
		Secret: a.constants.derive("door", secretBytes), Authenticator: a.keys, Clock: a.Clock, Log: a.Log, Metrics: a.metrics,
		Version: version.String(), Ready: a.Ready, Degraded: a.wrong, Ease: a.ease, Demo: a.mode == demonstrating,
		GuardMetrics: a.MetricsListen != "" || !loopback(a.Listen),
	}
	r := a.registry()
	if a.rehearsal != nil {
		c.Pace, c.Rehearsal = a.place.clock, a.rehearsal.state
		a.rehearsal.register(r)
	}
	a.Gateway, err = gateway.New(c, r)
	return err
}

// demoEase is how many times as many requests a caller may make whose books are not for production: far more
// than one machine can send, and still a limit.
const demoEase = 100

// ease says how many times the rate of others a caller has.
func (a *App) ease(rpc.Principal) int {
	if a.mode == production {
		return 1
	}
	return demoEase
}

// patience is how long the journal may not be writable before new work is refused. A short trouble is waited out.
const patience = 2 * time.Second

// writable refuses what would have to be written, while nothing can be: it is told so at once, instead of "unknown" after
// its time is over, and nothing has been begun for it. What was accepted before goes on by itself, and stays unknown to its
// caller until it is durable: a request that is sent again cannot be told from a new one here, so it is put off, never
// denied. The journal goes on offering what it could not write (rule B3), so nobody has to try whether it can be again.
func (a *App) writable() error {
	err := a.Journal.Stuck(patience)
	if err == nil {
		err = a.unsafe()
	}
	if err != nil {
		return fault.NotReady.New("the platform cannot write right now (%s) and has begun nothing for this request; "+
			"what was accepted under its key before stands: send the same request again with the same key after "+
			"Retry-After seconds", cause(err)).Because(err)
	}
	return nil
}

// writes registers the handler of a method that has something written.
func writes[Req, Resp proto.Message](a *App, r *gateway.Registry, method string, h func(context.Context, Req) (Resp, error)) {
	gateway.Handle(r, method, func(ctx context.Context, q Req) (resp Resp, err error) {
		if err := a.writable(); err != nil {
			return resp, err
		}
		return h(ctx, q)
	})
}

func (a *App) registry() *gateway.Registry {
	r := gateway.NewRegistry(Contracts())
	h := &a.handlers
	const payment = "koban.payment.v1.PaymentService."
	writes(a, r, payment+"CreatePayment", h.payment.CreatePayment)
	gateway.Handle(r, payment+"GetPayment", h.payment.GetPayment)
	gateway.Handle(r, payment+"ListPayments", h.payment.ListPayments)
	gateway.Handle(r, payment+"ListRefunds", h.payment.ListRefunds)
	writes(a, r, payment+"CapturePayment", h.payment.CapturePayment)
	writes(a, r, payment+"VoidPayment", h.payment.VoidPayment)
	writes(a, r, payment+"CreateRefund", h.payment.CreateRefund)
	gateway.Handle(r, payment+"ExplainPayment", h.payment.ExplainPayment)
	const account = "koban.balance.v1.AccountService."
	gateway.Handle(r, account+"GetAccount", h.accounts.GetAccount)
	gateway.Handle(r, account+"ListCustomerAccounts", h.accounts.ListCustomerAccounts)
	gateway.Handle(r, account+"ListMerchantAccounts", h.accounts.ListMerchantAccounts)
	writes(a, r, account+"CreditAccount", h.accounts.CreditAccount)
	const platform = "koban.platform.v1.PlatformService."
	writes(a, r, platform+"CreateCustomer", h.platform.CreateCustomer)
	writes(a, r, platform+"CreateMerchant", h.platform.CreateMerchant)
	writes(a, r, platform+"EraseCustomer", h.platform.EraseCustomer)
	writes(a, r, platform+"EraseMerchant", h.platform.EraseMerchant)
	writes(a, r, "koban.code.v1.SessionService.CreateSession", h.code.CreateSession)
	gateway.Handle(r, "koban.code.v1.SessionService.GetSession", h.code.GetSession)
	gateway.Handle(r, "koban.feed.v1.FeedService.ReadFeed", h.feeds.ReadFeed)
	return r
}
