package journals

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// running is a running platform in files, with the demo company, and a clock that the test moves.
type running struct {
	t     testing.TB
	clk   *clock.Manual
	app   *platform.App
	data  string
	calls int
}

type object = map[string]any

func jpy(n int64) object { return object{"currency": "JPY", "value": n} }

func newPlatform(t testing.TB, volumes int) *running {
	p := &running{t: t, clk: clock.NewManual(clock.FromTime(time.Date(2026, 4, 1, 3, 0, 0, 0, time.UTC))), data: t.TempDir()}
	a, err := platform.Start(t.Context(), platform.Config{
		Data: p.data, Tenant: "demo", Listen: "127.0.0.1:0", Volumes: volumes, Clock: p.clk,
		MinFree: 1, Fatal: func(err error) { t.Errorf("the process was to end: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.app = a
	t.Cleanup(p.stop)
	return p
}

func (p *running) stop() {
	if err := p.app.Close(p.t.Context()); err != nil && p.t.Context().Err() == nil {
		p.t.Error(err)
	}
}

// post makes a request that has to succeed, under a key of its own if key is empty.
func (p *running) post(bearer, key, path string, body object) object {
	p.t.Helper()
	status, answer := p.call(bearer, key, path, body)
	if status/100 != 2 {
		p.t.Fatalf("POST %s: %d %v", path, status, answer)
	}
	return answer
}

// refused makes a request that has to be refused with a code.
func (p *running) refused(bearer, path string, body object, code string) {
	p.t.Helper()
	_, answer := p.call(bearer, "", path, body)
	if e, ok := answer["error"].(object); !ok || e["code"] != code {
		p.t.Fatalf("POST %s is not refused with %s: %v", path, code, answer)
	}
}

func (p *running) call(bearer, key, path string, body object) (status int, answer object) {
	p.t.Helper()
	if p.calls++; key == "" {
		key = fmt.Sprint("request ", p.calls)
	}
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.app.Card.Address+path, strings.NewReader(string(text)))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		p.t.Fatalf("POST %s: %d %v", path, resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

// charge is a payment by the demo company's first customer to its first shop.
func (p *running) charge(amount int64) object {
	return object{"kind": "charge", "merchant": p.app.Card.Merchants[0].ID, "customer": p.app.Card.Customers[0].ID, "amount": jpy(amount)}
}

// blocks returns every block of every book.
func (p *running) blocks() (out []*journal.Block) {
	p.t.Helper()
	heads, err := p.app.Journal.Heads(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, h := range heads {
		for from := uint64(1); from <= h.Seq; {
			blocks, err := p.app.Journal.Read(p.t.Context(), h.Book, from, 1000)
			if err != nil || len(blocks) == 0 {
				p.t.Fatalf("%s from block %d: %d blocks, %v", h.Book, from, len(blocks), err)
			}
			out = append(out, blocks...)
			from += uint64(len(blocks))
		}
	}
	return out
}
