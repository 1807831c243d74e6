package platform

import (
	"context"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// handlers are what the gateway calls.
type handlers struct {
	accounts *accounts
	platform *platform
	code     *code.Handler
	payment  *payment.Handler
	feeds    *feeds
}

// build makes the services, each over its books, in the order in which they need one another.
func (a *App) build(context.Context) (err error) {
	if a.IDs, err = a.constants.codec(); err != nil {
		return err
	}
	if a.keys, err = gateway.NewKeys(a.constants.derive("door", secretBytes), a.IDs); err != nil {
		return err
	}
	a.Balance = a.balance()
	a.Points = a.points()
	a.Code = a.code()
	a.Payment = a.payment()
	h := &a.handlers
	h.accounts = a.accountHandler()
	spans := newErrands(a.Log)
	a.onStop(spans.close)
	h.platform = &platform{accounts: h.accounts, fresh: a.Fresh, code: a.Code, key: a.keys.Merchant, errands: spans, payment: a.Payment}
	h.code = code.NewHandler(a.Code, a.IDs, h.accounts)
	h.payment = a.paymentHandler()
	h.feeds = a.feedHandler()
	return nil
}

func (a *App) balance() *balance.Service {
	return balance.New(a.shelves["balance"].books, a.Journal, branch.Japan)
}

func (a *App) points() *points.Service {
	return points.New(a.shelves["points"].books, a.Journal, a.Fresh, a.Clock, branch.Japan)
}

func (a *App) code() *code.Service {
	s := a.shelves["code"]
	return code.New(s.books, a.Journal, a.Journal, a.Fresh, a.Clock, s.db, s.saver.Sync)
}

func (a *App) payment() *payment.Service {
	s := a.shelves["payment"]
	participants := map[payment.Participant]tcc.Participant{payment.Balance: a.Balance, payment.Points: a.Points, payment.Code: a.Code}
	receivers := map[payment.Participant]tcc.Receiver{payment.Balance: a.Balance, payment.Points: a.Points}
	if r := a.rehearsal; r != nil {
		r.surround(participants, receivers)
		a.onStop(func(context.Context) error { r.faults.Close(); return nil })
	}
	p := payment.New(payment.Config{
		Books: s.books, Tables: s.db, Sync: s.saver.Sync, Notes: a.Journal,
		Participants: participants, Receivers: receivers,
		Clock: a.Clock, IDs: a.Fresh, Log: a.Log, Timing: a.Timing,
		Name: func(x id.ID) string { return a.IDs.Encode(id.Payment, x) },
	})
	a.onStop(func(context.Context) error { p.Close(); return nil })
	return p
}

func (a *App) accountHandler() *accounts {
	b := &balance.Handler{Service: a.Balance, IDs: a.IDs, New: a.Fresh, Clock: a.Clock}
	return &accounts{ids: a.IDs, clock: a.Clock, volumes: a.constants.volumes, balance: b, points: a.Points}
}

func (a *App) paymentHandler() *payment.Handler {
	return &payment.Handler{
		Service: a.Payment, IDs: a.IDs, Sessions: a.handlers.code, Accounts: a.handlers.accounts, Blocks: a.Journal,
		MarkKey: a.constants.derive("marks", secretBytes),
		Entries: map[payment.Participant]payment.Entries{payment.Balance: a.Balance, payment.Points: a.Points, payment.Code: a.Code},
	}
}
