package platform

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/payment"
)

// sluice stands between the books and the journal, and holds one write back until it is opened.
type sluice struct {
	book.Log
	mu      sync.Mutex
	left    int // writes until the one that is held back; 0: none is
	reached chan struct{}
	opened  chan struct{}
}

// hold holds the n-th write from now on back. reached is closed when it has come.
func (s *sluice) hold(n int) (reached <-chan struct{}, open func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.reached, s.opened = n, make(chan struct{}), make(chan struct{})
	opened := s.opened
	return s.reached, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left = 0
		close(opened)
	})
}

// Write implements book.Log.
func (s *sluice) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	s.mu.Lock()
	wait := (<-chan struct{})(nil)
	if len(w.Blocks) > 0 && s.left > 0 {
		if s.left--; s.left == 0 {
			wait = s.opened
			close(s.reached)
		}
	}
	s.mu.Unlock()
	if wait != nil {
		<-wait
	}
	return s.Log.Write(ctx, w)
}

// asked is what a caller asks for, under a key.
type asked struct {
	name string
	ask  func(r *rig, key string, of string) func(context.Context) error
}

// asks are the requests by which something becomes durable that more has to follow. Captures and voids are of a payment
// that is authorized, refunds of one that is captured.
var asks = []asked{
	{"charge", func(r *rig, _ string, _ string) func(context.Context) error { return r.charge(false, false) }},
	{"charge with a reference", func(r *rig, key string, _ string) func(context.Context) error {
		q := r.order(false)
		q.Reference = &key
		return func(ctx context.Context) error { _, err := r.app.handlers.payment.CreatePayment(ctx, q); return err }
	}},
	{"async charge", func(r *rig, _ string, _ string) func(context.Context) error { return r.charge(false, true) }},
	{"authorization", func(r *rig, _ string, _ string) func(context.Context) error { return r.charge(true, false) }},
	{"capture", func(r *rig, _ string, of string) func(context.Context) error {
		q := &paymentv1.CapturePaymentRequest{Id: of}
		return func(ctx context.Context) error { _, err := r.app.handlers.payment.CapturePayment(ctx, q); return err }
	}},
	{"void", func(r *rig, _ string, of string) func(context.Context) error {
		q := &paymentv1.VoidPaymentRequest{Id: of}
		return func(ctx context.Context) error { _, err := r.app.handlers.payment.VoidPayment(ctx, q); return err }
	}},
	{"refund", func(r *rig, _ string, of string) func(context.Context) error {
		q := &paymentv1.CreateRefundRequest{Id: of, Amount: yen(100)}
		return func(ctx context.Context) error { _, err := r.app.handlers.payment.CreateRefund(ctx, q); return err }
	}},
	{"customer", func(r *rig, _ string, _ string) func(context.Context) error {
		q := &platformv1.CreateCustomerRequest{Points: &typev1.Money{Currency: "PT", Value: 70}}
		return func(ctx context.Context) error { _, err := r.app.handlers.platform.CreateCustomer(ctx, q); return err }
	}},
	{"merchant", func(r *rig, key string, _ string) func(context.Context) error {
		q := &platformv1.CreateMerchantRequest{Name: key}
		return func(ctx context.Context) error { _, err := r.app.handlers.platform.CreateMerchant(ctx, q); return err }
	}},
}

func (r *rig) order(manual bool) *paymentv1.CreatePaymentRequest {
	q := &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &r.app.Card.Merchants[0].ID,
		Customer: &r.app.Card.Customers[0].ID, Amount: yen(120), Sources: []*paymentv1.SourceRequest{
			{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Amount: yen(20)}, {Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE},
		},
	}
	if manual {
		q.Capture = paymentv1.CaptureMode_CAPTURE_MODE_MANUAL
	}
	return q
}

func (r *rig) charge(manual, async bool) func(context.Context) error {
	q := r.order(manual)
	q.Async = async
	return func(ctx context.Context) error { _, err := r.app.handlers.payment.CreatePayment(ctx, q); return err }
}

// of makes the payment that a request is about, if it is about one.
func (r *rig) of(name, key string) string {
	r.t.Helper()
	if name != "capture" && name != "void" && name != "refund" {
		return ""
	}
	p, err := r.app.handlers.payment.CreatePayment(r.as(rpc.Operator, "before "+key), r.order(name != "refund"))
	if err != nil {
		r.t.Fatalf("before a %s: %v", name, err)
	}
	return p.Id
}

// count returns what a statement about a service's tables counts, once they hold what is durable.
func (r *rig) count(service, statement string) (n int) {
	r.t.Helper()
	ctx, s := r.t.Context(), r.app.shelves[service]
	if err := s.saver.Sync(ctx); err != nil {
		r.t.Fatal(err)
	}
	err := s.db.Read(ctx, func(tx *sql.Tx) error { return tx.QueryRowContext(ctx, statement).Scan(&n) })
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// whole requires that nothing is left half done: payments end, and not because they were given up; customers and merchants
// have all their accounts.
func (r *rig) whole(what string) {
	r.t.Helper()
	_, err := r.app.handlers.code.CreateSession(r.as(rpc.Operator, "after "+what), &codev1.CreateSessionRequest{
		Payload: r.app.Card.Merchants[0].Payload, Customer: r.app.Card.Customers[0].ID,
	})
	if err != nil { // it is durable with or after all that was decided before it
		r.t.Fatal(err)
	}
	r.wait(what+": every payment that is durable ends", func() bool {
		return r.count("payment", "SELECT count(*) FROM payments WHERE resource = 1") == 0
	})
	if n := r.count("payment", fmt.Sprintf("SELECT count(*) FROM payments WHERE status = %d", payment.Failed)); n > 0 {
		r.t.Errorf("%s: %d payments were given up", what, n)
	}
	r.wait(what+": every customer has points, the first ones too", func() bool {
		n := r.count("balance", "SELECT count(*) FROM balance_accounts WHERE kind = 'balance'")
		return n == r.count("points", "SELECT count(*) FROM points_accounts WHERE kind = 'points'") && n == r.count("points",
			"SELECT count(*) FROM points_grants")
	})
	r.wait(what+": every merchant has an account", func() bool {
		return r.count("balance", "SELECT count(*) FROM balance_accounts WHERE kind = 'payable'") == r.count("code",
			"SELECT count(*) FROM code_shops")
	})
}

// A caller who goes away takes nothing with it: what has become durable goes on to its end, at whichever write of the
// request the caller hung up.
func TestWhatIsDurableIsDrivenWithoutItsCaller(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.stop()
		var gate sluice
		r.config.Watch = func(l book.Log) book.Log { gate.Log = l; return &gate }
		r.start()
		for _, a := range asks {
			hung := 0
			for n := 1; n <= 3; n++ {
				key := fmt.Sprintf("%s %d", a.name, n)
				do := a.ask(r, key, r.of(a.name, key))
				reached, open := gate.hold(n)
				ctx, hangUp := context.WithCancel(r.as(rpc.Operator, key))
				over := make(chan error, 1)
				go func() { over <- do(ctx) }()
				select {
				case <-reached:
					hangUp()
					hung++
					<-over
				case err := <-over: // it had less to write
					if err != nil {
						t.Errorf("%s, undisturbed: %v", key, err)
					}
				case <-clock.Pause(soon):
					t.Fatalf("%s neither ends nor writes", key)
				}
				open()
				hangUp()
			}
			r.whole(a.name)
			if hung == 0 {
				t.Errorf("nobody who asked for a %s hung up", a.name)
			}
		}
		r.stop()
		r.right(nil)
	})
}

// stall lets nobody else write to the journal's database until it is let go.
func (r *rig) stall() (letGo func()) {
	r.t.Helper()
	p := place{data: r.app.Data, url: r.config.StoreURL, clock: r.app.Clock}
	db, err := p.journal(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	held, release, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		over <- db.Write(context.Background(), func(tx *sql.Tx) error {
			if db.Engine() == store.Postgres { // what is only read goes on, as it does beside a writer of SQLite
				if _, err := tx.Exec("LOCK TABLE journal_blocks IN SHARE MODE"); err != nil {
					return err
				}
			}
			close(held)
			<-release
			return nil
		})
	}()
	select {
	case <-held:
	case err := <-over:
		r.t.Fatal(err)
	}
	return func() {
		close(release)
		if err := errors.Join(<-over, db.Close()); err != nil {
			r.t.Error(err)
		}
	}
}

// The same where another connection holds the store for as long as the callers have patience: 0 to 50 milliseconds.
func TestAStalledStoreLeavesNothingUndriven(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		const callers = 8
		for _, a := range asks {
			var calls []func(context.Context) error
			for i := range callers {
				key := fmt.Sprintf("stalled %s %d", a.name, i)
				do := a.ask(r, key, r.of(a.name, key))
				calls = append(calls, func(ctx context.Context) error {
					as, _ := rpc.With(ctx, *rpc.From(r.as(rpc.Operator, key)))
					return do(as)
				})
			}
			letGo := r.stall()
			var all sync.WaitGroup
			for i, call := range calls {
				ctx, hangUp := context.WithCancel(t.Context())
				stop := clock.PauseFunc(time.Duration(i)*50*time.Millisecond/(callers-1), hangUp)
				all.Go(func() {
					_ = call(ctx) // nobody hears the answer
					stop()
				})
			}
			all.Wait()
			letGo()
			r.whole(a.name)
		}
		r.stop()
		r.right(nil)
	})
}
