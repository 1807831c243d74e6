package platform

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/internal/version"
	"github.com/koban-pay/koban/judge/watch"
)

// within waits for a condition, for as long as the watchman may take to find one yen, and returns how long that was.
func (r *rig) within(what string, ok func() bool) time.Duration {
	r.t.Helper()
	began := r.app.Clock.Now()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for !ok() {
		select {
		case <-clock.Pause(5 * time.Millisecond):
		case <-ctx.Done():
			r.t.Fatalf("not within a minute: %s; the watchman: %+v", what, r.app.watchman.Stats())
		}
	}
	return r.app.Clock.Now().Sub(began)
}

// swept waits for n complete sweeps more, in which nothing may be found.
func (r *rig) swept(n int64) {
	r.t.Helper()
	was := r.app.watchman.Stats().Sweeps
	r.within("complete sweeps", func() bool { return r.app.watchman.Stats().Sweeps >= was+n })
	for invariant, n := range r.app.watchman.Stats().Violations {
		r.t.Errorf("%d violations of %s were found where nothing is wrong", n, invariant)
	}
}

// ear keeps what is logged.
type ear struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

func (e *ear) heard(what string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Contains(e.text.String(), what)
}

// watched starts the platform anew, watched at a test's pace.
func (r *rig) watched(pace watch.Pace) *ear {
	r.t.Helper()
	log := &ear{}
	r.stop()
	r.config.Watchman, r.config.Log, r.config.Listen = pace, slog.New(slog.NewTextHandler(log, nil)), "127.0.0.1:0"
	r.start()
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Log(log.text.String())
		}
	})
	return log
}

// scan opens a session for the first customer at the first shop.
func (r *rig) scan(key string) {
	r.t.Helper()
	payload := r.app.Card.Merchants[0].Payload
	if _, err := r.app.handlers.code.CreateSession(r.as(rpc.CustomerApp, key), &codev1.CreateSessionRequest{Payload: payload, Customer: r.app.Card.Customers[0].ID}); err != nil {
		r.t.Fatalf("scan: %v", err)
	}
}

// get reads an address of the door.
func (r *rig) get(path string) string {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.app.Card.Address+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %d %v", path, answer.StatusCode, err)
	}
	return string(body)
}

// crowdEnv names the environment variable that says how many payments there are before the watchman is tried. Without it there
// are 20, and he rests less between sweeps than on a platform, so that the test is short.
const crowdEnv = "KOBAN_WATCHMAN_PAYMENTS"

// crowd makes payments, one of each customer at a time, and returns how many.
func (r *rig) crowd() int {
	r.t.Helper()
	n, err := strconv.Atoi(os.Getenv(crowdEnv))
	if err != nil {
		n = demoCustomers
	}
	var wait sync.WaitGroup
	for c := range demoCustomers {
		wait.Go(func() {
			for i := c; i < n; i += demoCustomers {
				if _, err := r.try(fmt.Sprint("crowd-", i), c, 11, 1); err != nil {
					r.t.Errorf("payment %d: %v", i, err)
					return
				}
			}
		})
	}
	wait.Wait()
	return n
}

// quick sweeps without a rest, so that a test waits for nothing but the work.
var quick = watch.Pace{Share: 50, Rest: time.Millisecond}

func TestWatchmanFindsOneYen(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		pace := watch.Pace{} // as a platform has it
		if os.Getenv(crowdEnv) == "" {
			pace.Rest = 200 * time.Millisecond
		}
		log := r.watched(pace)
		payments := r.crowd()
		r.swept(1)
		if health := r.get("/healthz"); health != `{"ok":true,"mode":"demo","version":"`+version.String()+"\"}\n" {
			t.Errorf("while all is well, /healthz says %s", health)
		}
		x := r.id(id.Account, r.app.Card.Merchants[4].Account) // of whom nobody buys
		r.tamper("balance", `UPDATE balance_accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, x[:])
		took := r.within("the changed row", func() bool { return r.app.watchman.Stats().Violations["I24"] == 1 })
		if !log.heard("credits_posted is 1, and the journal gives 0") || !log.heard(r.app.Card.Merchants[4].Account) || !log.heard("koban verify") {
			t.Error("the log does not say what was found, where, and what to do")
		}
		if metrics := r.get("/metrics"); !strings.Contains(metrics, `koban_judge_violations_total{invariant="I24"} 1`) ||
			!strings.Contains(metrics, `koban_judge_violations_total{invariant="I2"} 0`) {
			t.Errorf("/metrics does not count it")
		}
		if health := r.get("/healthz"); !strings.Contains(health, `"degraded":["I24"]`) {
			t.Errorf("/healthz says %s", health)
		}
		r.pay("two", 1000, 10) // money does not wait for the watchman
		sweeps := r.app.watchman.Stats().Sweeps
		r.within("another sweep", func() bool { return r.app.watchman.Stats().Sweeps > sweeps })
		if n := r.app.watchman.Stats().Violations; n["I24"] != 1 || len(n) != 1 {
			t.Errorf("one row that stays wrong is counted as %v", n)
		}
		t.Logf("the watchman: %+v", r.app.watchman.Stats())
		name := "background-verifier-" + r.app.place.engine()
		score.Report(t, score.Line{
			ID: name, Name: "¥1 changed in a row that nobody touches, found by the running platform",
			Figure: fmt.Sprintf("%d ms, after %d payments", took.Milliseconds(), payments), Target: "<= 60 s", Value: took.Milliseconds(), OK: took <= time.Minute,
		})
	})
}

func TestWatchmanFindsWhatChangesInAnyRow(t *testing.T) {
	for name, statement := range map[string]struct{ service, text string }{
		"debits of an account":     {"balance", `UPDATE balance_accounts SET debits_posted = debits_posted + 1 WHERE debits_posted > 0`},
		"credits of an account":    {"balance", `UPDATE balance_accounts SET credits_posted = credits_posted - 1 WHERE credits_posted > 0`},
		"what an account holds":    {"balance", `UPDATE balance_accounts SET debits_pending = debits_pending + 1 WHERE debits_pending > 0`},
		"what nobody ever holds":   {"balance", `UPDATE balance_accounts SET credits_pending = credits_pending + 1`},
		"cap of an account":        {"balance", `UPDATE balance_accounts SET cap = cap + 1`},
		"what an account used":     {"balance", `UPDATE balance_accounts SET rest = ` + oneMore + ` WHERE debits_posted > 0`},
		"amount of a hold":         {"balance", `UPDATE balance_branches SET amount = amount + 1 WHERE status = 'HELD'`},
		"what a hold released":     {"balance", `UPDATE balance_branches SET released = released + 1 WHERE status = 'HELD'`},
		"answer to a hold":         {"balance", `UPDATE balance_branches SET rest = ` + oneMore + ` WHERE status = 'HELD'`},
		"hold of an ended payment": {"balance", `UPDATE balance_branches SET posted = posted + 1 WHERE status = 'CONFIRMED'`},
		"answer of an ended hold":  {"balance", `UPDATE balance_branches SET rest = ` + oneMore + ` WHERE status = 'CONFIRMED'`},
		"amount that was added":    {"balance", `UPDATE balance_branches SET amount = amount - 1 WHERE status = 'ADDED'`},
		"amount of a payment":      {"payment", `UPDATE payments SET amount = amount + 1 WHERE kind = 1`},
		"captured of a payment":    {"payment", `UPDATE payments SET captured = captured - 1 WHERE kind = 1 AND captured > 0`},
		"refunded of a payment":    {"payment", `UPDATE payments SET refunded = refunded - 1 WHERE refunded > 0`},
		"amount of a refund":       {"payment", `UPDATE payments SET amount = amount + 1 WHERE kind = 2`},
		"a lot":                    {"points", `UPDATE points_accounts SET lots = REPLACE(lots, '"left":5000', '"left":5001')`},
		"what a lot holds":         {"points", `UPDATE points_accounts SET lots = REPLACE(lots, '"held":30', '"held":29')`},
		"points of an account":     {"points", `UPDATE points_accounts SET credits_posted = credits_posted + 1 WHERE kind = 'points'`},
		"points nobody ever holds": {"points", `UPDATE points_accounts SET credits_pending = credits_pending + 1`},
		"what points were used":    {"points", `UPDATE points_accounts SET rest = ` + oneMore + ` WHERE debits_posted > 0`},
		"points that were taken":   {"points", `UPDATE points_branches SET lots = REPLACE(lots, '"posted":200', '"posted":199')`},
		"points of a hold":         {"points", `UPDATE points_branches SET amount = amount + 1 WHERE status = 'HELD'`},
		"answer of points":         {"points", `UPDATE points_branches SET rest = ` + oneMore + ` WHERE status = 'CONFIRMED'`},
		"points that were granted": {"points", `UPDATE points_grants SET amount = amount + 1`},
		"what a grant answered":    {"points", `UPDATE points_grants SET available = available + 1`},
		"a session":                {"code", `UPDATE code_sessions SET amount = amount + 1`},
		"a key":                    {"payment", `UPDATE payment_keys SET target = id`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			r.watched(quick)
			p := r.pay("one", 1200, 200)
			r.refund("back", p.Id, 100)
			r.hold("held", 1, 500, 30)
			r.scan("scan")
			r.swept(3)
			r.tamper(statement.service, statement.text)
			r.within("what was changed", func() bool { return r.app.watchman.Stats().Violations["I24"] > 0 })
		})
	}
}

// oneMore changes the last byte of a packed column: of its last number, which is one more or one less.
const oneMore = `CAST(SUBSTR(rest, 1, LENGTH(rest) - 1) || CASE SUBSTR(rest, -1) WHEN x'00' THEN x'02' ELSE x'00' END AS BLOB)`

// hold lets a customer authorize a payment, which stays so.
func (r *rig) hold(key string, customer int, amount, points int64) {
	r.t.Helper()
	manual := paymentv1.CaptureMode_CAPTURE_MODE_MANUAL
	_, err := r.app.handlers.payment.CreatePayment(r.as(rpc.CustomerApp, key), &paymentv1.CreatePaymentRequest{
		Kind:     paymentv1.PaymentKind_PAYMENT_KIND_CHARGE,
		Merchant: &r.app.Card.Merchants[0].ID, Customer: &r.app.Card.Customers[customer].ID, Amount: yen(amount), Capture: manual,
		Sources: []*paymentv1.SourceRequest{{Type: paymentv1.SourceType_SOURCE_TYPE_POINTS, Amount: yen(points)}, {Type: paymentv1.SourceType_SOURCE_TYPE_BALANCE}},
	})
	if err != nil {
		r.t.Fatalf("hold: %v", err)
	}
}

// TestWatchmanFindsNothingBesideTraffic is the control: rows are compared at the block that they stand for, or payments under
// way would look wrong.
func TestWatchmanFindsNothingBesideTraffic(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		for _, replay := range []uint64{0, 1} { // from the first block, and from the tables
			pace := quick
			pace.Replay, pace.Alone = replay, 2
			r.watched(pace)
			for n := range 60 {
				p, err := r.try(fmt.Sprint("busy-", replay, n), n%demoCustomers, 100, 10)
				if err != nil {
					t.Fatalf("payment %d: %v", n, err)
				}
				if n%3 == 0 {
					r.refund(fmt.Sprint("back-", replay, n), p.Id, 55)
				}
			}
			r.swept(2)
			r.within("judging from the first block on", func() bool { return r.app.watchman.Stats().Full })
			r.swept(2)
			s := r.app.watchman.Stats()
			if s.Blocks == 0 || s.Rows == 0 || s.Kept.Accounts < 2*demoCustomers || s.Kept.Payments < 60 {
				t.Errorf("the watchman has slept: %+v", s)
			}
			if s.Alone > 2 {
				t.Errorf("a book was followed %d blocks ahead of the others, which are kept in memory: %+v", s.Alone, s)
			}
		}
		r.stop()
		r.right(nil)
	})
}

// TestWatchmanFindsWhatWasChangedBefore: who starts from the tables believes them, until the journal was judged from its first
// block on.
func TestWatchmanFindsWhatWasChangedBefore(t *testing.T) {
	r := newRig(t, "")
	r.pay("one", 1200, 200)
	r.stop()
	x := r.id(id.Account, r.app.Card.Customers[7].Balance.Account)
	r.tamper("balance", `UPDATE balance_accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, x[:])
	r.start()
	pace := quick
	pace.Replay = 1
	r.watched(pace)
	r.within("the changed row", func() bool { return r.app.watchman.Stats().Violations["I24"] > 0 })
}
