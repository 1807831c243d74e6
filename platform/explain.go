package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/gateway"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc/branch"
)

// ExplainConfig says which payment is explained without a platform, and where its books are.
type ExplainConfig struct {
	Data, StoreURL, KeyFile string
	Payment                 string // its public id
}

// Explained is what the books say of a payment.
type Explained struct {
	Text []byte // as GET /v1/payments/{id}/explain answers, JSON
	From string // what it was read from, for people
	Left string // what could not be told, "" if nothing
}

// Explain tells what the books say of one payment, by reading them: no platform has to run, and one that does is left in
// peace. Where the payment's tables are missing, damaged or of another version, the journal is followed instead, which takes
// longer; its refunds are not known then.
//
// Errors: the books cannot be read, or there is no root key for the id; fault.PaymentNotFound.
func Explain(ctx context.Context, c ExplainConfig) (out *Explained, err error) {
	o, err := openObserver(ctx, c.Data, c.StoreURL, c.KeyFile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	ids, err := o.constants.codec()
	if err != nil {
		return nil, err
	}
	if ids == nil {
		return nil, fmt.Errorf("platform: there is no %s in %s, without which nobody knows what %s names: put it there, or name it with --key-file",
			RootKeyFile, c.Data, c.Payment)
	}
	x, err := ids.Decode(id.Payment, c.Payment)
	if err != nil {
		return nil, err
	}
	still, err := o.fromTables(ctx, x)
	if err == nil {
		if out, err = o.explain(ctx, still, ids, c.Payment); err == nil || fault.HasCode(err, fault.PaymentNotFound) {
			return out, err
		}
	}
	why := err
	if still, err = o.fromJournal(ctx, x); err != nil {
		return nil, err
	}
	if out, err = o.explain(ctx, still, ids, c.Payment); err == nil {
		out.Left = fmt.Sprintf("Its refunds are not told: the tables do not serve (%v).", why)
	}
	return out, err
}

// explain tells what a book that stands still says, and closes it.
func (o *observer) explain(ctx context.Context, s *stillBook, ids *id.Codec, payment string) (out *Explained, err error) {
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	call, _ := rpc.With(ctx, rpc.Call{Principal: rpc.Principal{Tenant: demoTenant, Role: rpc.Operator, Name: "operator"}})
	m, err := o.explainer(s, ids).ExplainPayment(call, &paymentv1.ExplainPaymentRequest{Id: payment})
	if err != nil {
		return nil, err
	}
	out = &Explained{From: s.from}
	out.Text, err = gateway.TextOf(m)
	return out, err
}

// stillBook is one volume of the payments, read only.
type stillBook struct {
	*book.Book
	writer *book.Writer
	tables *tables // nil: the journal was followed
	from   string  // for people
}

func (s *stillBook) close(ctx context.Context) error {
	s.writer.Close(ctx)
	if s.tables == nil {
		return nil
	}
	return s.tables.close()
}

// unwritten is a journal that only reads.
type unwritten struct{ *journal.Journal }

// Write implements book.Log.
func (unwritten) Write(context.Context, journal.Batch) (journal.Fate, error) {
	return journal.Fate{}, fault.Unavailable.New("these books are only read")
}

// fromTables opens the book that has a payment as its tables have it.
func (o *observer) fromTables(ctx context.Context, x id.ID) (*stillBook, error) {
	t, err := o.paymentTables(ctx)
	if err != nil {
		return nil, err
	}
	s := &stillBook{tables: t, from: "the tables and the journal"}
	return s, o.open(ctx, s, x, t.state)
}

// fromJournal opens it by following its journal from the first block on.
func (o *observer) fromJournal(ctx context.Context, x id.ID) (*stillBook, error) {
	s := &stillBook{from: "the journal alone"}
	return s, o.open(ctx, s, x, book.NewMemState())
}

func (o *observer) open(ctx context.Context, s *stillBook, x id.ID, state book.State) (err error) {
	log := unwritten{o.journal}
	s.writer = book.NewWriter(log, o.clock, false, nil, book.Hooks{Fatal: func(error) {}})
	n := o.constants.volumes
	s.Book, err = book.Still(ctx, book.Config{
		Service: "payment", Volume: x.Volume(n), Machine: payment.NewMachine(x.Volume(n), n), Log: log, State: state,
		Clock: o.clock, Writer: s.writer,
	})
	if err != nil {
		err = errors.Join(err, s.close(ctx))
	}
	return err
}

// paymentTables opens the tables of the payments for reading.
func (o *observer) paymentTables(ctx context.Context) (*tables, error) {
	for _, k := range catalog() {
		if k.name != "payment" {
			continue
		}
		if there, err := o.there(ctx, k.name); err != nil || !there {
			return nil, errors.Join(err, fs.ErrNotExist)
		}
		own, _ := k.tables(o.constants.volumes)
		db, err := o.state(ctx, k.name)
		if err != nil {
			return nil, err
		}
		own.db = db
		if err = own.readable(ctx, db); err == nil {
			own.state, err = own.Prepare(ctx, db)
		}
		if err != nil {
			return nil, errors.Join(err, own.close())
		}
		return own, nil
	}
	return nil, fs.ErrNotExist
}

// explainer returns what explains a payment of a book that stands still.
func (o *observer) explainer(s *stillBook, ids *id.Codec) *payment.Handler {
	n := o.constants.volumes
	books := make([]*book.Book, n)
	for v := range books {
		books[v] = s.Book // only the payment's own is asked
	}
	config := payment.Config{Books: books, Clock: o.clock, Notes: o.journal, Log: slog.New(slog.DiscardHandler)}
	if s.tables != nil {
		config.Tables = s.tables.db
	}
	names := func(service string) (out []stillName) {
		for v := range n {
			out = append(out, stillName(book.Name(service, v)))
		}
		return out
	}
	return &payment.Handler{
		Service: payment.New(config), IDs: ids, Blocks: o.journal,
		Entries: map[payment.Participant]payment.Entries{
			payment.Balance: balance.New(names("balance"), o.journal, branch.Japan),
			payment.Points:  points.New(names("points"), o.journal, nil, o.clock, branch.Japan),
			payment.Code:    code.New(names("code"), o.journal, o.journal, nil, o.clock, nil, nil),
		},
	}
}

// stillName is a book of which only the name is needed: what stands in its blocks is read from the journal.
type stillName string

// Name implements the Book of each service.
func (n stillName) Name() string { return string(n) }

// Do implements the Book of each service.
func (stillName) Do(context.Context, any) (any, error) {
	return nil, fault.Unavailable.New("these books are only read")
}

// Start implements the Book of each service.
func (n stillName) Start(cmd any, done func(any, error)) {
	done(n.Do(context.Background(), cmd))
}
