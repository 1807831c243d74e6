package payment

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

const (
	rigVolumes = 2
	rigStart   = clock.Micros(1_790_000_000) * clock.Second
)

// once is a timing under which a run of the driver tries each step once: then the queue has the payment.
var once = Timing{
	Attempt: patience, Backoff: time.Millisecond, BackoffMax: 5 * time.Millisecond,
	Authorization: 7 * 24 * time.Hour, Sweep: time.Hour, Probe: time.Second,
}

// busy is a timing under which a run goes on for as long as a test lives.
var busy = Timing{
	Attempt: patience, Worker: time.Hour, Backoff: time.Millisecond, BackoffMax: 5 * time.Millisecond,
	Authorization: 7 * 24 * time.Hour, Sweep: time.Hour, Probe: time.Second,
}

// rig is a platform whose coordinator comes and goes over one journal, one state and the same participants.
type rig struct {
	t       *testing.T
	clk     clock.Clock
	manual  *clock.Manual // the same, if it is moved by hand
	open    func(name string) *store.DB
	ids     *id.Source
	codec   *id.Codec
	balance *fake
	points  *fake
	code    *fake
	log     safeBuffer
	keys    byte
	journal *journal.Journal
	state   *store.DB
}

// onStores runs fn on a rig over each database, with a clock that is moved by hand.
func onStores(t *testing.T, fn func(t *testing.T, r *rig)) {
	storetest.Each(t, func(t *testing.T, open func(name string) *store.DB) {
		fn(t, newRig(t, nil, open))
	})
}

// onRealTime is onStores with the machine's clock, for what waits milliseconds.
func onRealTime(t *testing.T, fn func(t *testing.T, r *rig)) {
	storetest.Each(t, func(t *testing.T, open func(name string) *store.DB) { fn(t, newRig(t, clock.NewSystem(), open)) })
}

// newRig returns a rig. Without a clock it has one that is moved by hand.
func newRig(t *testing.T, clk clock.Clock, open func(name string) *store.DB) *rig {
	t.Helper()
	var manual *clock.Manual
	if clk == nil {
		manual = clock.NewManual(rigStart)
		clk = manual
	}
	codec, err := id.NewCodec(make([]byte, 16))
	check(t, err)
	r := &rig{
		t: t, clk: clk, manual: manual, open: open, ids: id.NewSource(nil), codec: codec, balance: newFake(t, Balance, clk),
		points: newFake(t, Points, clk), code: newFake(t, Code, clk),
	}
	r.journal, r.state = r.stores()
	files, err := fs.Sub(Schema, "schema")
	check(t, err)
	check(t, r.state.Migrate(t.Context(), files))
	return r
}

func (r *rig) stores() (*journal.Journal, *store.DB) {
	r.t.Helper()
	j, err := journal.Open(context.Background(), r.open("journal"))
	check(r.t, err)
	return j, r.open("payment")
}

// proc is one process.
type proc struct {
	*rig
	*Service
	handler *Handler
	writer  *book.Writer
	saver   *book.Saver
	once    sync.Once
}

// start opens the books and lets a service run on them. Recover is up to the test.
func (r *rig) start(timing Timing, layers Layers) *proc {
	r.t.Helper()
	return r.startOn(r.journal, r.state, timing, layers)
}

func (r *rig) startOn(j *journal.Journal, db *store.DB, timing Timing, layers Layers) *proc {
	r.t.Helper()
	state, err := book.NewSQLState(context.Background(), db)
	check(r.t, err)
	p := &proc{
		rig: r, saver: book.NewSaver(state),
		writer: book.NewWriter(j, r.clk, db.Engine() == store.Postgres, nil, book.Hooks{Fatal: func(err error) { panic(err) }}),
	}
	r.t.Cleanup(p.stop)
	var ready sync.WaitGroup // the books ring before there is a service to hear it
	ready.Add(1)
	var books []*book.Book
	for v := range rigVolumes {
		b, err := book.Open(context.Background(), book.Config{
			Service: "payment", Volume: v, Machine: NewMachine(v, rigVolumes), Log: j,
			State: state, Clock: r.clk, Writer: p.writer, Saver: p.saver,
			OnExpiry: func(cmd, reply any, err error) { ready.Wait(); p.Expired(cmd, reply, err) },
		})
		check(r.t, err)
		books = append(books, b)
	}
	p.Service = New(Config{
		Books: books, Tables: db, Notes: j, Clock: r.clk, IDs: r.ids, Timing: timing, Layers: layers,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Sync: p.saver.Sync,
		Participants: map[Participant]tcc.Participant{Balance: r.balance, Points: r.points, Code: r.code},
		Receivers:    map[Participant]tcc.Receiver{Balance: r.balance, Points: r.points},
	})
	ready.Done()
	p.handler = &Handler{
		Service: p.Service, IDs: r.codec, Sessions: &sessions{codec: r.codec}, Accounts: accounts{}, Blocks: shelves{j},
		MarkKey: make([]byte, 32),
		Entries: map[Participant]Entries{Balance: r.balance, Points: r.points, Code: r.code},
	}
	return p
}

// stop ends the process in good order.
func (p *proc) stop() {
	p.once.Do(func() {
		if p.Service != nil {
			p.Service.Close()
		}
		p.writer.Close(context.Background())
		p.saver.Close()
	})
}

// again ends the process and starts another.
func (p *proc) again() *proc {
	p.t.Helper()
	p.stop()
	return p.start(p.Timing, p.Layers)
}

// shelves are the journals of the platform: our own, and those of the participants, who are fakes.
type shelves struct{ *journal.Journal }

func (s shelves) Read(ctx context.Context, name string, from uint64, limit int) ([]*journal.Block, error) {
	if len(name) < 7 || name[:7] != "payment" {
		return []*journal.Block{{Book: name, Seq: from}}, nil
	}
	return s.Journal.Read(ctx, name, from, limit)
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("it never happened: %s", what)
		case <-clock.Pause(time.Millisecond):
		}
	}
}

// caller returns a fresh key with its fingerprint.
func (r *rig) caller() Caller {
	r.keys++
	x := r.ids.New(r.clk.Now(), 0)
	return Caller{Key: book.Key{Tenant: 1, ID: id.ID{x[8], x[9], x[10], x[11], x[12], x[13], r.keys, 7}}, Fingerprint: [16]byte{r.keys}}
}

func (r *rig) fresh() id.ID { return r.ids.New(r.clk.Now(), r.ids.Slot()) }

// request is a charge of ¥1,200, of which 200 in points, with a session.
func (r *rig) request(capture Capture) Request {
	customer := r.fresh()
	return Request{
		Caller: r.caller(), Tenant: 1, Customer: customer, Merchant: r.fresh(), Session: r.fresh(), Amount: money.Yen(1200),
		Capture: capture, Sources: []Source{
			{Type: FromPoints, Account: customer.Facet(tcc.PointsAccount), Amount: 200},
			{Type: FromBalance, Account: customer.Facet(tcc.BalanceAccount), Amount: 1000},
		},
	}
}

// fromBalance makes a request one of the balance alone.
func fromBalance(q Request) Request {
	q.Session = id.Nil
	q.Sources = []Source{{Type: FromBalance, Account: q.Customer.Facet(tcc.BalanceAccount), Amount: q.Amount.Minor}}
	return q
}

// fromPoints makes a request one of points alone. The merchant is still paid by the balance service.
func fromPoints(q Request) Request {
	q.Session = id.Nil
	q.Sources = []Source{{Type: FromPoints, Account: q.Customer.Facet(tcc.PointsAccount), Amount: q.Amount.Minor}}
	return q
}

func (p *proc) create(q Request) *Payment {
	p.t.Helper()
	o, err := p.Create(context.Background(), q)
	check(p.t, err)
	return o.Payment
}

// pay creates a payment and waits until its driver has stopped.
func (p *proc) pay(q Request) *Payment {
	p.t.Helper()
	o, err := p.Create(context.Background(), q)
	check(p.t, err)
	return p.settle(o)
}

func (p *proc) settle(o Outcome) *Payment {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.Settle(ctx, o).Payment
}

func (p *proc) see(x id.ID) *Payment {
	p.t.Helper()
	v, err := p.Get(context.Background(), 1, x)
	check(p.t, err)
	return v
}

// becomes waits until a payment has a status and nothing is owed.
func (p *proc) becomes(x id.ID, s Status) *Payment {
	p.t.Helper()
	var v *Payment
	eventually(p.t, fmt.Sprintf("payment %x becomes %s", x, s), func() bool {
		v = p.see(x)
		return v.Status == s && v.Resource != WorkInProgress
	})
	return v
}

// queued waits until the queue has a payment for the n-th time.
func (p *proc) queued(x id.ID, n uint32) *Payment {
	p.t.Helper()
	var v *Payment
	eventually(p.t, fmt.Sprintf("the queue has %x for the %d. time", x, n), func() bool {
		v = p.see(x)
		return v.DeferredUntil > 0 && v.Attempts == n
	})
	p.idle()
	return v
}

// idle waits until no driver is at work.
func (p *proc) idle() {
	p.t.Helper()
	eventually(p.t, "no driver is at work", func() bool { return p.Stats().Running == 0 })
}

// whole holds a payment that ended to PAY2: every part ended the same way.
func (r *rig) whole(p *Payment) {
	r.t.Helper()
	taken := p.Status == Captured || p.Status == Succeeded || p.Status == PartiallyRefunded || p.Status == Refunded
	for i := range p.Parts {
		x := &p.Parts[i]
		want := map[Role]PartState{Hold: LetGo, Claim: LetGo, Add: Idle}[x.Role]
		switch {
		case taken && x.Role == Add:
			want = Added
		case p.Status == Authorized && x.Role == Hold:
			want = Held
		case taken, x.Role == Claim && (p.Status == Authorized || p.Status == Voided || p.Status == Expired):
			want = Taken
		}
		who := map[Participant]*fake{Balance: r.balance, Points: r.points, Code: r.code}[x.Participant]
		if got := who.state(p.Branch(x)); got != want || x.State != want {
			r.t.Errorf("%s payment %x: part %d at %s is %s, and %s in the book; expected %s", p.Status, p.ID, x.Number, x.Participant, got,
				x.State, want)
		}
	}
}
