package payment

import (
	"context"
	"encoding/hex"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Notes reads the caller's reference and metadata, which stand beside the journal, where they can be erased (rule B14).
type Notes interface {
	Note(ctx context.Context, tenant uint32, service string, id []byte) ([]byte, bool, error)
	EraseNotes(ctx context.Context, tenant uint32, service string, ids ...[]byte) error
}

// Layers are the three layers of recovery. Each heals alone; all are on unless a test switches them off.
type Layers struct {
	NoWorker bool // 1: retries inside one run of the driver, milliseconds to seconds
	NoQueue  bool // 2: due again in one minute to one hour
	NoSweep  bool // 3: every hour, everything WORK_IN_PROGRESS
}

// Config is what a Service is made of.
type Config struct {
	Books        []*book.Book // one per volume, in order
	Tables       *store.DB    // the state tables, for lists and the sweep
	Participants map[Participant]tcc.Participant
	Receivers    map[Participant]tcc.Receiver
	Notes        Notes
	Clock        clock.Clock
	IDs          *id.Source
	Log          *slog.Logger
	Layers       Layers
	Timing       Timing                      // zero values: DefaultTiming's
	Sync         func(context.Context) error // returns when the tables hold what is durable now; may be nil
	Name         func(id.ID) string          // how the log calls a payment; nil: its bytes
}

// Timing paces the driver.
type Timing struct {
	Attempt       time.Duration // how long one call to a participant may take
	Worker        time.Duration // how long one run of the driver tries before the queue gets the payment
	Backoff       time.Duration // first wait between two tries; doubles up to BackoffMax, with full jitter
	BackoffMax    time.Duration
	Authorization time.Duration // how long an authorization holds
	Sweep         time.Duration // between two sweeps
	Probe         time.Duration // between two tries of one payment while a participant's breaker is open
}

// DefaultTiming is what production uses.
var DefaultTiming = Timing{
	Attempt: 2 * time.Second, Worker: 5 * time.Second, Backoff: 10 * time.Millisecond,
	BackoffMax: time.Second, Authorization: 7 * 24 * time.Hour, Sweep: time.Hour, Probe: time.Second,
}

// Service takes payments and drives them to their end.
type Service struct {
	Config
	*Driver
	tables  tables
	life    context.Context
	stop    context.CancelFunc
	crew    crew
	work    sync.WaitGroup
	overdue atomic.Int64

	suspended atomic.Int64 // payments of which something stands in suspense, at the last look
	lookout   lookout
}

// overdueAfter is the age at which an unfinished payment raises an alert (recovery layer 3).
const overdueAfter = 3 * clock.Day

// New returns a running service. Start it with Recover, so that what a crash left behind is driven to its end.
func New(c Config) *Service {
	if c.Timing == (Timing{}) {
		c.Timing = DefaultTiming
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Config: c, tables: tables{c.Tables, lookMost}}
	s.life, s.stop = context.WithCancel(context.Background())
	s.Driver = NewDriver(host{s}, c.Layers, c.Timing, slices.Sorted(maps.Keys(c.Participants)))
	return s
}

// Close stops driving. What is unfinished goes on at the next start.
func (s *Service) Close() {
	s.Driver.Close()
	s.stop()
	s.crew.close()
	s.work.Wait()
}

func (s *Service) name(k book.Key) string {
	if s.Name == nil {
		return hex.EncodeToString(k.ID[:])
	}
	return s.Name(k.ID)
}

func (s *Service) book(x id.ID) *book.Book { return s.Books[x.Volume(len(s.Books))] }

func (s *Service) do(ctx context.Context, x id.ID, cmd any) (Reply, error) {
	r, err := s.book(x).Do(ctx, cmd)
	if err != nil {
		return Reply{}, err
	}
	return r.(Reply), nil
}

// begin submits a command that something is owed by, and drives what it made. A caller who stops waiting takes nothing
// with it: once the command is decided, its block may become durable however long that takes, and is driven then.
func (s *Service) begin(ctx context.Context, x id.ID, cmd any) (Outcome, error) {
	type answer struct {
		Outcome
		err error
	}
	heard := make(chan answer, 1) // room for an answer that nobody waits for any more
	s.book(x).Go(ctx, cmd, func(reply any, err error) {
		s.crew.add(task{reply: reply, err: err, done: func(r Reply, err error) {
			heard <- answer{Outcome{Reply: r, run: s.Drive(r)}, err}
		}})
	})
	select {
	case a := <-heard:
		return a.Outcome, a.err
	case <-ctx.Done():
		return Outcome{}, fault.Timeout.New("").Because(ctx.Err())
	case <-s.life.Done():
		return Outcome{}, fault.Unavailable.New("the platform is being stopped; ask again with the same key")
	}
}

// Request asks for a charge. Amounts are minor units of Amount.Currency.
type Request struct {
	Caller
	Tenant   id.Tenant
	Customer id.ID
	Merchant id.ID
	Session  id.ID // nil: paid without a code
	Amount   money.Amount
	Sources  []Source // types and amounts; they add up to Amount. The payment keeps them: nobody may change them afterwards
	Capture  Capture
	Note     []byte // the caller's reference and metadata, and the code's labels, nil if there are none
	Marks    Marks  // of the texts in the note that it is found by
}

// Create starts a charge under the caller's key, or finds the one that the key made, and drives it.
//
// Errors: fault.SourcesMismatch, fault.InvalidAmount; fault.IdempotencyKeyReused if the key came with another body;
// unknown if ctx ends before the payment is durable.
func (s *Service) Create(ctx context.Context, q Request) (Outcome, error) {
	if err := checkSources(q.Amount, q.Sources); err != nil {
		return Outcome{}, err
	}
	now := s.Clock.Now()
	p := Payment{
		Tenant: q.Tenant, ID: s.IDs.New(now, id.SlotOf(q.Key.ID[:])), Kind: Charge, Capture: q.Capture, Amount: q.Amount,
		Customer: q.Customer, Merchant: q.Merchant, Session: q.Session, Sources: q.Sources,
		ExpiresAt: now.Add(s.Timing.Authorization), Marks: q.Marks,
	}
	return s.begin(ctx, p.ID, Start{Caller: q.Caller, Payment: p, Note: q.Note})
}

// Note returns the caller's reference and metadata of a payment, nil if there are none or they were erased. It is read
// even if ctx has ended: what is durable is answered with what it is.
func (s *Service) Note(ctx context.Context, p *Payment) ([]byte, error) {
	if !p.Noted {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Timing.Attempt)
	defer cancel()
	b, _, err := s.Notes.Note(ctx, uint32(p.Tenant), serviceName, p.ID[:])
	return b, err
}

// forgetPage is how many payments Forget looks at in one go.
const forgetPage = 100

// Forget erases the reference and metadata of every payment and refund of a customer that is durable now. The payments
// themselves stay: books tell no text.
//
// Errors: fault.Unavailable if they cannot be read or erased; those that were erased stay so, and calling it again does the
// rest.
func (s *Service) Forget(ctx context.Context, t id.Tenant, customer id.ID) error {
	if s.Sync != nil {
		if err := s.Sync(ctx); err != nil {
			return err
		}
	}
	for f := (Filter{Tenant: t, Customer: customer, Limit: forgetPage}); ; {
		page, next, err := s.tables.list(ctx, f, len(s.Books))
		if err != nil {
			return fault.Unavailable.New("the payments cannot be read").Because(err)
		}
		notes := make([][]byte, len(page))
		for i := range page {
			notes[i] = page[i][:]
		}
		if err := s.Notes.EraseNotes(ctx, uint32(t), serviceName, notes...); err != nil {
			return fault.Unavailable.New("the notes cannot be erased").Because(err)
		}
		if next.IsNil() {
			return nil
		}
		f.Before = next
	}
}

// RefundRequest asks for a refund.
type RefundRequest struct {
	Caller
	Tenant   id.Tenant
	Payment  id.ID
	Amount   money.Amount // zero value: all that is left
	Merchant id.ID        // only a charge of this merchant, if not nil
	Note     []byte
	Marks    Marks
}

// Refund gives back a captured charge. A refund that is declined has an Operation with a code instead of a payment of
// its own.
//
// Errors: fault.PaymentNotFound, fault.CurrencyMismatch, fault.IdempotencyKeyReused; unknown if ctx ends before the
// refund is durable.
func (s *Service) Refund(ctx context.Context, q RefundRequest) (Outcome, error) {
	x := s.IDs.New(s.Clock.Now(), q.Payment.Slot())
	return s.begin(ctx, q.Payment, StartRefund{
		Caller: q.Caller, Tenant: q.Tenant, ID: x,
		Parent: q.Payment, Amount: q.Amount, Merchant: q.Merchant, Note: q.Note, Marks: q.Marks,
	})
}

// OperationRequest asks for a capture or a void.
type OperationRequest struct {
	Caller
	Tenant   id.Tenant
	Payment  id.ID
	Cause    Cause        // ByCapture or ByVoid
	Amount   money.Amount // of a capture; zero value: all
	Merchant id.ID        // only a charge of this merchant, if not nil
}

// Operate captures or voids an authorized charge. One that is declined has an Operation with a code.
//
// Errors: as Refund.
func (s *Service) Operate(ctx context.Context, q OperationRequest) (Outcome, error) {
	x := s.IDs.New(s.Clock.Now(), q.Payment.Slot())
	return s.begin(ctx, q.Payment, Operate{
		Caller: q.Caller, Tenant: q.Tenant, Cause: q.Cause, Operation: x, Payment: q.Payment,
		Amount: q.Amount, Merchant: q.Merchant,
	})
}

// Get reads a payment. Error: fault.PaymentNotFound.
func (s *Service) Get(ctx context.Context, t id.Tenant, x id.ID) (*Payment, error) {
	r, err := s.do(ctx, x, Get{t, x})
	return r.Payment, err
}

// peek is Get that waits no longer than for a participant.
func (s *Service) peek(ctx context.Context, k book.Key) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Attempt)
	defer cancel()
	return s.do(ctx, k.ID, Get{k.Tenant, k.ID})
}

// List returns a page of payments, newest first, as the tables have them once they hold all that is durable now, and where
// the next page starts (Filter.Before), nil after the last. A page may be short, even empty, and not be the last.
func (s *Service) List(ctx context.Context, f Filter) ([]*Payment, id.ID, error) {
	if s.Sync != nil {
		if err := s.Sync(ctx); err != nil {
			return nil, id.Nil, err
		}
	}
	ids, next, err := s.tables.list(ctx, f, len(s.Books))
	if err != nil {
		return nil, id.Nil, fault.Unavailable.New("the payments cannot be read").Because(err)
	}
	out := make([]*Payment, 0, len(ids))
	for _, x := range ids {
		p, err := s.Get(ctx, f.Tenant, x)
		if err != nil {
			return nil, id.Nil, err
		}
		out = append(out, p)
	}
	return out, next, nil
}

// Outcome is what a request led to so far.
type Outcome struct {
	Reply
	run *Run // at work on what is owed; nil if nothing was
}

// Settle waits until the driver has stopped, or ctx ends, and returns the payment as it stands then. It never fails:
// what is durable is returned as it was last seen.
func (s *Service) Settle(ctx context.Context, o Outcome) Outcome {
	if o.run == nil {
		return o
	}
	over := make(chan *Payment, 1)
	o.run.Then(func(last *Payment) { over <- last })
	select {
	case p := <-over:
		if p != nil && o.Operation == nil {
			return Outcome{Reply: Reply{Payment: p, New: o.New}}
		}
	case <-ctx.Done():
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Timing.Attempt)
	defer cancel()
	look := Look{Tenant: o.Payment.Tenant, ID: o.Payment.ID}
	if o.Operation != nil {
		look.Operation = o.Payment.Operation
	}
	r, err := s.do(short, look.ID, look)
	if err != nil {
		return o
	}
	r.New = o.New
	return Outcome{Reply: r}
}

// attempt makes one call to a participant that has to be waited for, at most Timing.Attempt long.
func (s *Service) attempt(p *Payment, st Step) (tcc.Receipt, error) {
	ctx, cancel := context.WithTimeout(s.life, s.Timing.Attempt)
	defer cancel()
	who := s.Participants[st.Part.Participant]
	switch st.Verb {
	case VerbTry:
		return who.Try(ctx, p.TryRequest(st.Part))
	case VerbConfirm:
		return who.Confirm(ctx, p.ConfirmRequest(st.Part))
	case VerbCancel:
		return who.Cancel(ctx, p.CancelRequest(st.Part))
	default:
		return s.Receivers[st.Part.Participant].Add(ctx, p.AddRequest(st.Part))
	}
}
