package storm

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/platform"
	"github.com/koban-pay/koban/proof/chaos"
)

var (
	keys     = flag.Int("keys", 300, "how many keys TestStorm uses, on each store")
	payments = flag.Int("payments", 50, "how many payments TestRefundRace refunds, on each store")
)

// town is a platform with what is needed to judge it.
type town struct {
	t       *testing.T
	ctx     context.Context
	program chaos.Program
	line    *chaos.Line
	log     *chaos.Log
	judge   *chaos.Judge
	card    *platform.Card  // customers, merchants and keys; they never change
	now     *chaos.Platform // of the goroutine that runs the test
}

var built = sync.OnceValues(func() (string, error) {
	return chaos.Build(context.Background(), dir)
})

// dir is where the binary is built. TestMain removes it.
var dir string

// limit bounds a test.
const limit = 15 * time.Minute

// everywhere runs a test on both stores.
func everywhere(t *testing.T, fn func(*town)) {
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("sqlite", func(t *testing.T) { fn(open(t, binary, "")) })
	t.Run("postgres", func(t *testing.T) { fn(open(t, binary, storetest.Postgres(t)("").URL)) })
}

// open starts a platform whose customers are rich. It ends with the test, which requires that its books are right.
func open(t *testing.T, binary, store string) *town {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	w := &town{t: t, ctx: ctx, line: chaos.NewLine(), program: chaos.Program{Path: binary, Data: t.TempDir(), Store: store}}
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = w.now.Kill() }) // of a test that has failed
	w.start()
	w.card = w.now.Card
	path := filepath.Join(t.TempDir(), "acknowledged.jsonl")
	var err error
	if w.log, err = chaos.OpenLog(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.judge, err = chaos.NewJudge(ctx, w.line, w.log, w.card, 1); err != nil {
		t.Fatal(err)
	}
	if err := chaos.Enrich(ctx, w.line, w.log, w.card); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *town) start() {
	p, err := w.program.Start(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	w.now = p
	w.line.Lead(p)
}

// restart kills the platform and starts it again.
func (w *town) restart() {
	if err := w.now.Kill(); err != nil {
		w.t.Fatal(err)
	}
	w.line.Lead(nil)
	w.start()
}

// judged requires that all that was acknowledged is there, that nothing else is, and that the books are right.
func (w *town) judged() {
	w.t.Helper()
	if err := w.judge.Settle(w.ctx, w.now.Started.Add(w.now.Ready)); err != nil {
		w.t.Fatal(err)
	}
	if err := w.judge.Check(w.ctx, true); err != nil {
		w.t.Fatal(err)
	}
	if !w.judge.Right() {
		w.t.Errorf("%s\n%q", &w.judge.Verdict, w.judge.Examples)
	}
	w.line.Lead(nil)
	if err := w.now.Stop(w.ctx); err != nil {
		w.t.Fatal(err)
	}
	wrong, err := w.program.Verify(w.ctx, w.program.Path)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range wrong {
		w.t.Errorf("verify: %s", x)
	}
	w.t.Logf("%d answers repeated; how requests ended: %v; %s", w.judge.Checks, w.judge.Ended, &w.judge.Verdict)
}

// object is a JSON object.
type object map[string]any

func (o object) text() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // texts and numbers always can
	}
	return string(b)
}

func yen(n int) object { return object{"currency": "JPY", "value": n} }

// charge asks for a charge of value yen, the i-th: who pays whom from what follows from i.
func (w *town) charge(key string, i, value int) *chaos.Ask {
	from := w.card.Customers[i%len(w.card.Customers)]
	to := w.card.Merchants[i%len(w.card.Merchants)]
	body := object{"kind": "charge", "customer": from.ID, "merchant": to.ID, "amount": yen(value)}
	if i%2 == 1 {
		body["sources"] = []object{{"type": "points", "amount": yen(value / 3)}, {"type": "balance"}}
	}
	return &chaos.Ask{
		Op: chaos.Charge, Customer: from.ID, Merchant: to.ID,
		Request: chaos.Request{As: chaos.CustomerApp, Path: "/v1/payments", Key: key, Body: body.text()},
	}
}

const (
	copies   = 20 // of each request, at the same time
	lanes    = 8  // keys at the same time
	restarts = 3  // while the storm lasts, and one for every 500 keys
)

// TestStorm sends every request in 20 copies at the same time, while the platform is killed now and then. Every copy
// must get the same answer, to the byte; another body under the key must be refused; and there must be exactly as many
// payments as there are keys (catalogue 16, 17, 22, 23).
func TestStorm(t *testing.T) {
	everywhere(t, func(w *town) {
		jobs := make(chan int)
		var crew sync.WaitGroup
		for range lanes {
			crew.Go(func() {
				for i := range jobs {
					w.sendCopies(i)
				}
			})
		}
		for i := range *keys {
			if i > 0 && i%(*keys/(restarts+*keys/500)) == 0 {
				w.restart() // while the lanes are at work
			}
			jobs <- i
		}
		close(jobs)
		crew.Wait()
		w.restart()
		w.otherBodies()
		w.judged()
		if made := w.judge.Ended["charge CAPTURED"]; made != *keys {
			t.Errorf("%d keys made %d payments", *keys, made)
		}
	})
}

func keyOf(i int) string { return fmt.Sprintf("storm-%d", i) }

// sendCopies sends request i in many copies. That all are answered the same, the judge will see.
func (w *town) sendCopies(i int) {
	ask := w.charge(keyOf(i), i, 100+i%900)
	w.log.Ask(ask)
	var all sync.WaitGroup
	for range copies {
		all.Go(func() {
			if _, err := chaos.Send(w.ctx, w.line, w.log, ask); err != nil {
				w.t.Error(err)
			}
		})
	}
	all.Wait()
}

// otherBodies requires that no key takes another body.
func (w *town) otherBodies() {
	var taken atomic.Int64
	each(*keys, func(i int) {
		other := w.charge(keyOf(i), i, 99).Request
		if a, f, err := w.line.Settle(w.ctx, other, nil); err != nil || a.Status != 422 || f.Code != "idempotency_key_reused" {
			w.t.Errorf("key %d with another body was answered %d %s %v", i, a.Status, a.Body, err)
			taken.Add(1)
		}
	})
	if n := taken.Load(); n > 0 {
		w.t.Errorf("%d of %d keys took another body", n, *keys)
	}
}

// each calls f with 0 … n-1, some at the same time.
func each(n int, f func(i int)) {
	var next atomic.Int64
	var crew sync.WaitGroup
	for range 16 {
		crew.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	crew.Wait()
}
