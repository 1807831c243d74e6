package platform

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"testing"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/judge/verify"
	"github.com/koban-pay/koban/points"
)

// rig is a platform in a test: its place, and the process that runs on it.
type rig struct {
	t      *testing.T
	config Config
	app    *App
}

// eachStore runs fn on a platform in files and on one on PostgreSQL. The demo company is there.
func eachStore(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Run("sqlite", func(t *testing.T) { fn(t, newRig(t, "")) })
	t.Run("postgres", func(t *testing.T) { fn(t, newRig(t, storetest.Postgres(t)("x").URL)) })
}

func newRig(t *testing.T, url string) *rig { return newRigOf(t, url, false) }

func newRigOf(t *testing.T, url string, rehearsal bool) *rig {
	r := &rig{t: t, config: Config{
		Data: t.TempDir(), StoreURL: url, Tenant: "demo", Volumes: 2, MinFree: 1, Rehearsal: rehearsal,
		Fatal: func(err error) { t.Errorf("the process was to end: %v", err) },
	}}
	r.start()
	return r
}

func (r *rig) start() {
	r.t.Helper()
	a, err := Start(r.t.Context(), r.config)
	if err != nil {
		r.t.Fatalf("start: %v", err)
	}
	r.app = a
	r.t.Cleanup(func() { _ = a.Close(context.Background()) }) // to close again is nothing
}

func (r *rig) stop() {
	r.t.Helper()
	if err := r.app.Close(r.t.Context()); err != nil {
		r.t.Fatalf("stop: %v", err)
	}
}

// as returns a context for a request under a key.
func (r *rig) as(role rpc.Role, key string) context.Context {
	sum := sha256.Sum256([]byte(key))
	p := rpc.Principal{Tenant: demoTenant, Role: role, Name: role.String()}
	if role == rpc.Merchant {
		p.Merchant = r.id(id.Merchant, r.app.Card.Merchants[0].ID)
	}
	ctx, _ := rpc.With(r.t.Context(), rpc.Call{Principal: p, RequestID: "req_" + key, Key: rpc.Key(sum[:16]), Fingerprint: rpc.Fingerprint(sum[16:])})
	return ctx
}

func (r *rig) id(p id.Prefix, text string) id.ID {
	r.t.Helper()
	x, err := r.app.IDs.Decode(p, text)
	if err != nil {
		r.t.Fatalf("%s: %v", text, err)
	}
	return x
}

func yen(n int64) *typev1.Money { return &typev1.Money{Currency: "JPY", Value: n} }

// try lets a customer pay the first shop, with points for a part of it.
func (r *rig) try(key string, customer int, amount, points int64) (*paymentv1.Payment, error) {
	q := &paymentv1.CreatePaymentRequest{
		Kind: paymentv1.PaymentKind_PAYMENT_KIND_CHARGE, Merchant: &r.app.Card.Merchants[0].ID,
		Customer: &r.app.Card.Customers[customer].ID, Amount: yen(amount), Sources: []*paymentv1.SourceRequest{
			{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Amount: yen(points)}, {Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE},
		},
	}
	return r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, key), q)
}

// pay is try by the first customer, and has to succeed.
func (r *rig) pay(key string, amount, points int64) *paymentv1.Payment {
	r.t.Helper()
	p, err := r.try(key, 0, amount, points)
	if err != nil {
		r.t.Fatalf("pay: %v", err)
	}
	if p.Status != paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED {
		r.t.Fatalf("the payment is %v", p.Status)
	}
	return p
}

func (r *rig) refund(key, payment string, amount int64) {
	r.t.Helper()
	_, err := r.app.handlers.payment.CreateRefund(r.as(rpc.Operator, key), &paymentv1.CreateRefundRequest{Id: payment, Amount: yen(amount)})
	if err != nil {
		r.t.Fatalf("refund: %v", err)
	}
}

// verify judges the books, and returns what is wrong by invariant.
func (r *rig) verify(edit func(*VerifyConfig)) map[string]verify.Invariant {
	r.t.Helper()
	c := VerifyConfig{Data: r.config.Data, StoreURL: r.config.StoreURL}
	if edit != nil {
		edit(&c)
	}
	report, err := Verify(r.t.Context(), c)
	if err != nil {
		r.t.Fatalf("verify: %v", err)
	}
	wrong := map[string]verify.Invariant{}
	for _, i := range report.Invariants {
		if i.Violations > 0 {
			wrong[i.ID] = i
		}
	}
	if report.OK != (len(wrong) == 0) {
		r.t.Errorf("verify says %v, and finds %v", report.OK, wrong)
	}
	return wrong
}

// right requires verify to find nothing.
func (r *rig) right(edit func(*VerifyConfig)) {
	r.t.Helper()
	for _, i := range r.verify(edit) {
		r.t.Errorf("%s is violated %d times: %v", i.ID, i.Violations, i.Examples)
	}
}

// tamper changes a database of the stopped platform, as somebody with access to it could. name is "" for the journal.
func (r *rig) tamper(name, statement string, args ...any) {
	r.t.Helper()
	p := place{data: r.app.Data, url: r.config.StoreURL, clock: r.app.Clock}
	open := func(ctx context.Context) (*store.DB, error) { return p.state(ctx, name) }
	if name == "" {
		open = p.journal
	}
	db, err := open(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var n int64
	err = db.Write(r.t.Context(), func(tx *sql.Tx) error {
		result, err := tx.ExecContext(r.t.Context(), statement, args...)
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil || n == 0 {
		r.t.Fatalf("tamper: %d rows, %v", n, err)
	}
}

// ownPoints returns an account of the platform's own in the points service.
func ownPoints(r *rig) id.ID {
	return points.OwnAccount(points.Suspense, 0, r.app.constants.volumes)
}
