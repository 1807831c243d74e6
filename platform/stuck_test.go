package platform

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// told is what the door has answered.
type told struct {
	status     int
	retryAfter string
	body       string
}

// code returns the code and the kind of a fault.
func (a told) code(t *testing.T) (fault.Code, fault.Kind) {
	t.Helper()
	var e struct {
		Error struct {
			Code      fault.Code
			Kind      fault.Kind
			Retryable bool
		}
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status < 400 {
		t.Fatalf("not a fault: %+v %v", a, err)
	}
	if !e.Error.Retryable || a.retryAfter == "" {
		t.Errorf("it is not said when to send it again: %+v", a)
	}
	return e.Error.Code, e.Error.Kind
}

// ask sends a request to the door. A body makes it a POST under the key.
func (r *rig) ask(as, path, key, body string) told {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.app.Card.Address+path, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return told{}
	}
	q.Header.Set("Authorization", "Bearer "+as)
	if body != "" {
		q.Header.Set("Idempotency-Key", key)
		q.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Error(err)
		return told{}
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Error(err)
	}
	return told{resp.StatusCode, resp.Header.Get("Retry-After"), string(said)}
}

// scanned is the answer to a request that has to be written and moves nothing.
func (r *rig) scanned(key string, customer int) told {
	c := r.app.Card
	return r.ask(c.Keys.CustomerApp, "/v1/code-sessions", key,
		fmt.Sprintf(`{"payload":%q,"customer":%q}`, c.Merchants[0].Payload, c.Customers[customer].ID))
}

// soon bounds waiting for what has to come.
const soon = 30 * time.Second

func (r *rig) wait(what string, until func() bool) {
	r.t.Helper()
	for limit := clock.Pause(soon); !until(); {
		select {
		case <-limit:
			r.t.Fatal("not in time: " + what)
		case <-clock.Pause(5 * time.Millisecond):
		}
	}
}

// While nothing can be written, what is new is put off at once, and nothing is begun for it; what was accepted before is
// never denied; what is only read goes on. Once it can be written again, so does everything else.
func TestNewWorkIsPutOffWhileNothingCanBeWritten(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.stop()
		var faults storetest.Faults
		r.config.Listen = "127.0.0.1:0"
		r.config.edit = func(name string, c *store.Config) {
			if name == journalName {
				c.Wrap = faults.Wrap
			}
		}
		r.start()
		a := r.app
		before := r.scanned("before", 0)
		if before.status != http.StatusCreated {
			t.Fatalf("before the trouble: %+v", before)
		}
		faults.Down(true)
		accepted := make(chan told, 1)
		go func() { accepted <- r.scanned("accepted", 0) }()
		r.wait("the journal cannot be written", func() bool { return a.Journal.Stuck(patience) != nil })

		for _, key := range []string{"new", "before", "accepted"} {
			got := r.scanned(key, 0)
			if code, kind := got.code(t); code != fault.NotReady || kind != fault.Busy || got.status != http.StatusServiceUnavailable {
				t.Errorf("while nothing can be written, the request %q is answered with %+v", key, got)
			}
		}
		one := `{"amount":{"currency":"JPY","value":1}}`
		for path, q := range map[string][2]string{
			"payments":           {a.Card.Keys.CustomerApp, `{"kind":"charge",` + one[1:]},
			"payments/x/capture": {a.Card.Keys.Merchant, "{}"},
			"payments/x/void":    {a.Card.Keys.Merchant, "{}"},
			"payments/x/refunds": {a.Card.Keys.Operator, one},
			"accounts/x/credits": {a.Card.Keys.Operator, one},
			"customers":          {a.Card.Keys.Operator, "{}"},
			"merchants":          {a.Card.Keys.Operator, `{"name":"x"}`},
		} {
			if code, _ := r.ask(q[0], "/v1/"+path, "new "+path, q[1]).code(t); code != fault.NotReady {
				t.Errorf("POST %s: %s", path, code)
			}
		}
		if r.config.StoreURL == "" { // where others may write too, a read needs the journal (rule B4)
			if got := r.ask(a.Card.Keys.CustomerApp, "/v1/accounts/"+a.Card.Customers[0].Balance.Account, "", ""); got.status != http.StatusOK {
				t.Errorf("an account cannot be read: %+v", got)
			}
		}

		faults.Down(false)
		if got := <-accepted; got.status != http.StatusCreated {
			if _, kind := got.code(t); kind != fault.Unknown {
				t.Errorf("what was accepted before is answered with %+v", got)
			}
		}
		r.wait("the journal can be written again", func() bool { return a.Journal.Trouble() == nil })
		if got := r.scanned("new", 1); got.status != http.StatusCreated { // another body: the key was not bound
			t.Errorf("something was begun for what was put off: %+v", got)
		}
		if got := r.scanned("before", 0); got != before {
			t.Errorf("what was done before is answered with %+v, and was with %+v", got, before)
		}
		if got := r.scanned("accepted", 0); got.status != http.StatusCreated {
			t.Errorf("what was accepted is not done: %+v", got)
		}
		r.stop()
		r.right(nil)
	})
}
