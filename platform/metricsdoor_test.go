package platform

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// With a door of their own, figures are shown there to everybody, and at the public address to operators only.
func TestFiguresHaveADoorOfTheirOwn(t *testing.T) {
	r := &rig{t: t, config: Config{
		Data: t.TempDir(), Tenant: "demo", Volumes: 2, MinFree: 1, Listen: "127.0.0.1:0",
		MetricsListen: "127.0.0.1:0", Fatal: func(err error) { t.Errorf("the process was to end: %v", err) },
	}}
	r.start()
	card := r.app.Card
	get := func(url, key string) (int, string) {
		q, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			q.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if status, body := get(card.Metrics, ""); status != 200 || !strings.Contains(body, "koban_journal_commits_total") {
		t.Errorf("the door for figures: %d %.80s", status, body)
	}
	if status, _ := get(strings.TrimSuffix(card.Metrics, "/metrics")+"/v1/payments", card.Keys.Operator); status != 404 {
		t.Errorf("the door for figures serves payments: %d", status)
	}
	for key, want := range map[string]int{"": 401, card.Keys.CustomerApp: 403, card.Keys.Operator: 200} {
		if status, _ := get(card.Address+"/metrics", key); status != want {
			t.Errorf("the public door: %d, want %d", status, want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "localhost:0": true, "127.9.9.9:1": true,
		"0.0.0.0:80": false, ":80": false, "[::]:80": false, "10.0.0.1:80": false, "koban": false,
	} {
		if loopback(address) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
}
