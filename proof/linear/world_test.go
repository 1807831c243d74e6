package linear

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
	"github.com/koban-pay/koban/proof/chaos"
)

// opsVariable names the environment variable that says how many operations are recorded, over both stores.
const opsVariable = "KOBAN_HISTORY_OPS"

// operations returns how many operations a run on one of two stores records.
func operations(t *testing.T) int {
	text := os.Getenv(opsVariable)
	if text == "" {
		return 1200
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 {
		t.Fatalf("%s is %q; expected a number of operations", opsVariable, text)
	}
	return (n + 1) / 2
}

func TestMain(m *testing.M) {
	chaos.Child()
	var err error
	if dir, err = os.MkdirTemp("", "koban-history-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder
	os.Exit(code)
}

// dir is where the binary is built. TestMain removes it.
var dir string

var built = sync.OnceValues(func() (string, error) { return chaos.Build(context.Background(), dir) })

// genuine returns the real binary on a store of its own.
func genuine(t *testing.T, store string) chaos.Program {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	p := chaos.Program{Path: binary, Data: t.TempDir()}
	if store == "postgres" {
		p.Store = storetest.Postgres(t)("").URL
	}
	return p
}

// world is a platform, its clients and what they have recorded.
type world struct {
	*history
	t        *testing.T
	ctx      context.Context
	program  chaos.Program
	line     *chaos.Line
	platform *chaos.Platform // the one that runs
	card     *platform.Card  // customers, merchants and keys; they never change
	rnd      *rand.Rand
	seed     uint64
	bank     bool // no credits: nothing comes from outside
	kills    int

	turn sync.RWMutex // clients hold it, for reading, during one operation

	mu     sync.Mutex
	taken  []*charge // captured
	open   []*charge // authorized
	lost   []func(context.Context)
	odd    []string // answers that must not be given
	bad    []string // reads that show an account that must not be
	reads  int
	moved  int // payments and refunds that moved value
	failed int // operations that were refused
}

// charge is a payment that something can still be done with.
type charge struct {
	id      string
	from    platform.CardCustomer
	to      platform.CardMerchant
	balance int64
	points  int64
	holds   [2]uint32 // on the balance, on the points
}

// limit bounds a test.
const limit = 30 * time.Minute

// open starts a program and begins the history of every account of the demo company.
func open(t *testing.T, program chaos.Program) *world {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	seed := rand.Uint64N(1 << 32)
	t.Logf("seed %d", seed)
	w := &world{history: newHistory(), t: t, ctx: ctx, program: program, line: chaos.NewLine(), seed: seed, rnd: lots(seed, 0)}
	t.Cleanup(func() {
		if w.platform != nil {
			_ = w.platform.Kill() // of a test that has failed
		}
	})
	w.restart()
	w.card = w.platform.Card
	for account, v := range w.views(w.accounts()) {
		w.start(account, v)
	}
	return w
}

func lots(seed, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, n))
}

// restart starts the platform.
func (w *world) restart() {
	w.t.Helper()
	p, err := w.program.Start(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	w.platform = p
	w.line.Lead(p)
}

// accounts returns the accounts of the demo company.
func (w *world) accounts() (ids []string) {
	for _, c := range w.card.Customers {
		ids = append(ids, c.Balance.Account, c.Points.Account)
	}
	for _, m := range w.card.Merchants {
		ids = append(ids, m.Account)
	}
	return ids
}

// views reads accounts, and must get them.
func (w *world) views(ids []string) map[string]view {
	w.t.Helper()
	out := map[string]view{}
	for _, id := range ids {
		var v view
		if err := w.get(w.ctx, "/v1/accounts/"+id, &v); err != nil {
			w.t.Fatal(err)
		}
		out[id] = v
	}
	return out
}

// get reads an address into v.
func (w *world) get(ctx context.Context, path string, v any) error {
	a, err := w.line.Call(ctx, chaos.Request{As: chaos.Operator, Path: path})
	if err != nil {
		return err
	}
	if a.Status != 200 {
		return fmt.Errorf("%s: %d %s", path, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// run lets clients make n operations, kills the platform every now and then, and calls rest when all clients stand still
// and nothing is under way: after every fifth kill, and at the end.
func (w *world) run(clients, n int, rest func()) {
	w.t.Helper()
	life, stop := context.WithCancel(w.ctx)
	var crew sync.WaitGroup
	defer crew.Wait()
	defer stop()
	for i := range clients {
		c := &client{world: w, n: i, rnd: lots(w.seed, uint64(i+1))}
		crew.Go(func() { c.work(life) })
	}
	every := max(200, min(1500, n/6)) // operations of a life, in the mean
	for w.done() < n {
		w.until(w.done() + every/2 + w.rnd.IntN(every))
		if w.rnd.IntN(5) == 0 {
			w.trouble()
		}
		if err := w.platform.Kill(); err != nil {
			w.t.Fatal(err)
		}
		w.line.Lead(nil)
		w.restart()
		if w.kills++; w.kills%5 == 0 {
			w.pause(rest)
		}
	}
	stop()
	w.pause(rest)
}

// until returns once so many operations were recorded.
func (w *world) until(n int) {
	w.t.Helper()
	for w.done() < n {
		select {
		case <-w.ctx.Done():
			w.t.Fatalf("%d operations of %d: %v", w.done(), n, w.ctx.Err())
		case <-clock.Pause(time.Millisecond):
		}
	}
}

// longFreeze bounds a pause of the process.
const longFreeze = 300 * time.Millisecond

// trouble stops the process for a while or, on PostgreSQL, cuts its connections.
func (w *world) trouble() {
	w.t.Helper()
	var err error
	if w.program.Store != "" && w.rnd.IntN(2) == 0 {
		err = storetest.Disconnect(w.ctx, w.program.Store)
	} else {
		err = w.platform.Freeze(w.ctx, time.Duration(w.rnd.Int64N(int64(longFreeze))))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// patience is how long what is under way may take to end once nothing goes wrong any more.
const patience = 60 * time.Second

// patiently bounds how long something may take. On a platform that lies it may never end.
func (w *world) patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	if w.program.Lies {
		return context.WithTimeout(ctx, chaos.LittlePatience)
	}
	return context.WithTimeout(ctx, patience)
}

// pause lets every client finish what it is doing, asks again for what was forgotten, captures what is authorized, waits
// until every payment has ended, and calls rest.
func (w *world) pause(rest func()) {
	w.t.Helper()
	w.turn.Lock()
	defer w.turn.Unlock()
	ctx, cancel := w.patiently(w.ctx)
	defer cancel()
	var crew sync.WaitGroup
	for _, again := range w.lost {
		crew.Go(func() { again(ctx) })
	}
	crew.Wait()
	w.unknown += len(w.lost)
	w.lost = nil
	last := &client{world: w, n: -w.kills - 1, rnd: w.rnd, patient: true}
	for _, h := range w.open {
		last.finish(ctx, h, "capture")
	}
	w.open = nil
	if err := w.idle(ctx); err != nil && !w.program.Lies {
		w.t.Fatalf("payments are unfinished after %s: %v", patience, err)
	}
	rest()
}

// idle returns once no payment is under way.
func (w *world) idle(ctx context.Context) error {
	for {
		var list struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		err := w.get(ctx, "/v1/payments?status=ACCEPTED&limit=1", &list)
		if err == nil && len(list.Items) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%v", list.Items), err, ctx.Err())
		case <-clock.Pause(10 * time.Millisecond):
		}
	}
}

// end stops the platform in order, and judges its books.
func (w *world) end() {
	w.t.Helper()
	w.line.Lead(nil)
	if err := w.platform.Stop(w.ctx); err != nil {
		w.t.Fatal(err)
	}
	w.platform = nil
	binary, err := built()
	if err != nil {
		w.t.Fatal(err)
	}
	wrong, err := w.program.Verify(w.ctx, binary)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range wrong {
		w.t.Errorf("verify: %s", x)
	}
}
