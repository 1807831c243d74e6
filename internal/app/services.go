package app

import (
	"context"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// handlers are what the gateway calls.
type handlers struct {
	accounts accounts
	platform platform
	payment  payment.Handler
	feeds    *feeds
}

// build makes the services, each over its books, in the order in which they need one another.
func (a *App) build(context.Context) (err error) {
	if a.IDs, err = id.NewCodec(a.constants.derive("ids", 16)); err != nil {
		return err
	}
	if a.keys, err = gateway.NewKeys(a.constants.derive("door", secretBytes), a.IDs); err != nil {
		return err
	}
	a.Balance = a.balance()
	a.Points = a.points()
	a.Payment = a.payment()
	a.handlers.accounts = accounts{ids: a.IDs, fresh: a.Fresh, clock: a.Clock, volumes: a.constants.volumes, balance: a.Balance, points: a.Points}
	a.handlers.platform = platform{accounts: a.handlers.accounts, merchants: a.keys.Merchant}
	a.handlers.payment = a.paymentHandler()
	a.handlers.feeds = a.announcers()
	return nil
}

func (a *App) balance() *balance.Service {
	return balance.New(a.shelves["balance"].books, a.Journal, balance.Japan)
}

func (a *App) points() *points.Service {
	return points.New(a.shelves["points"].books, a.Journal, a.Fresh, a.Clock)
}

func (a *App) payment() *payment.Service {
	s := a.shelves["payment"]
	p := payment.New(payment.Config{
		Books: s.books, Tables: s.db, Sync: s.saver.Sync, Notes: notes{a.Writer, a.Journal},
		Participants: map[payment.Participant]tcc.Participant{payment.Balance: a.Balance, payment.Points: a.Points},
		Receivers:    map[payment.Participant]tcc.Receiver{payment.Balance: a.Balance, payment.Points: a.Points},
		Clock:        a.Clock, IDs: a.Fresh, Log: a.Log, Timing: a.Timing,
	})
	a.onStop(func(context.Context) error { p.Close(); return nil })
	return p
}

func (a *App) paymentHandler() payment.Handler {
	return payment.Handler{
		Service: a.Payment, IDs: a.IDs, Accounts: &a.handlers.accounts, Blocks: a.Journal,
		Entries: map[payment.Participant]payment.Entries{payment.Balance: a.Balance, payment.Points: a.Points},
	}
}

// notes keeps personal data: written by the writer, in the commit that comes next, read from the journal.
type notes struct {
	writer
	reader
}

type writer interface {
	PutNotes(ctx context.Context, notes []journal.Note) error
}

type reader interface {
	Note(ctx context.Context, tenant uint32, service string, id []byte) ([]byte, bool, error)
}
