package platform

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// freeAddress returns an address of this machine where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answered asks an address until it is answered as done says.
func answered(ctx context.Context, t *testing.T, url string, done func(status int, body string, h http.Header) bool) {
	t.Helper()
	last := ""
	for {
		status, body, head, err := fetch(ctx, url)
		if err == nil && done(status, body, head) {
			return
		}
		last = body
		select {
		case <-ctx.Done():
			t.Fatalf("%s answers %d %q %v", url, status, last, err)
		case <-clock.Pause(5 * time.Millisecond):
		}
	}
}

func fetch(ctx context.Context, url string) (status int, body string, h http.Header, err error) {
	return fetchAs(ctx, url, "")
}

func fetchAs(ctx context.Context, url, key string) (status int, body string, h http.Header, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", nil, err
	}
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", nil, err
	}
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), r.Header, errors.Join(err, r.Body.Close())
}

// TestStandbyAnswersAtItsDoor: a process that stands by says that it lives and serves nobody, and why; the same address
// serves once it leads.
func TestStandbyAnswersAtItsDoor(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		second := r.config
		if second.StoreURL != "" {
			second.Data = t.TempDir()
		}
		second.Standby, second.Listen, second.MetricsListen = true, freeAddress(t), freeAddress(t)
		took := make(chan *App, 1)
		go func() {
			a, err := Start(ctx, second)
			if err != nil {
				t.Errorf("standby: %v", err)
			}
			took <- a
		}()
		door, figures := "http://"+second.Listen, "http://"+second.MetricsListen
		answered(ctx, t, door+"/healthz", func(status int, body string, _ http.Header) bool {
			return status == http.StatusOK && strings.Contains(body, `"standby":true`)
		})
		for _, path := range []string{"/readyz", "/v1/payments", "/nowhere"} {
			status, body, head, err := fetch(ctx, door+path)
			var e struct {
				Error struct{ Code, Message string }
			}
			if err == nil {
				err = json.Unmarshal([]byte(body), &e)
			}
			if err != nil || status != http.StatusServiceUnavailable || e.Error.Code != "not_ready" ||
				!strings.HasPrefix(e.Error.Message, "standby: ") || head.Get("Retry-After") == "" {
				t.Errorf("%s: %d %s %v", path, status, body, err)
			}
		}
		if status, body, _, err := fetchAs(ctx, door+"/metrics", "nobody"); err != nil || status != http.StatusServiceUnavailable {
			t.Errorf("figures at the door, for a stranger: %d %s %v", status, body, err)
		}
		leads := func(n string) func(int, string, http.Header) bool {
			return func(status int, body string, _ http.Header) bool {
				return status == http.StatusOK && strings.Contains(body, "\nkoban_leader "+n+"\n") && strings.Contains(body, "\ngo_goroutines ")
			}
		}
		answered(ctx, t, figures+"/metrics", leads("0"))
		r.stop()
		r.app = <-took
		if r.app == nil {
			t.FailNow()
		}
		defer r.app.Close(ctx)
		if r.app.Listening != second.Listen {
			t.Errorf("it stood by at %s and serves at %s", second.Listen, r.app.Listening)
		}
		answered(ctx, t, door+"/readyz", func(status int, body string, _ http.Header) bool {
			return status == http.StatusOK && !strings.Contains(body, "standby")
		})
		answered(ctx, t, figures+"/metrics", leads("1"))
	})
}

// TestStandbyAtTheLeadersAddress: on the machine of the leader the address is taken. The standby waits for it.
func TestStandbyAtTheLeadersAddress(t *testing.T) {
	r := &rig{t: t, config: Config{Data: t.TempDir(), Tenant: "demo", Volumes: 2, MinFree: 1, Listen: freeAddress(t)}}
	r.start()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	second := r.config
	second.Standby = true
	log := &ear{}
	second.Log = slog.New(slog.NewTextHandler(log, nil))
	took := make(chan *App, 1)
	go func() {
		a, err := Start(ctx, second)
		if err != nil {
			t.Errorf("standby: %v", err)
		}
		took <- a
	}()
	for !log.heard("the address is taken") {
		select {
		case <-ctx.Done():
			t.Fatalf("it says %s", log.text.String())
		case <-clock.Pause(time.Millisecond):
		}
	}
	r.stop()
	if r.app = <-took; r.app == nil {
		t.FailNow()
	}
	defer r.app.Close(ctx)
	answered(ctx, t, "http://"+second.Listen+"/readyz", func(status int, _ string, _ http.Header) bool { return status == http.StatusOK })
	for _, want := range []string{"standing by", "taking over"} {
		if !log.heard(want) {
			t.Errorf("it does not say %q: %s", want, log.text.String())
		}
	}
}
