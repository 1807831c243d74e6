package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

var rehearsed = []struct{ verb, path, body string }{
	{"GET", "/v1/faults", ""},
	{"POST", "/v1/faults", `{"do":"dead"}`},
	{"POST", "/v1/faults/clear", "{}"},
	{"GET", "/v1/clock", ""},
	{"POST", "/v1/clock/advance", `{"by_ms":1}`},
}

// In production nothing can be broken: the addresses are not there, for nobody, and nothing speaks of them.
func TestProductionHasNoRehearsal(t *testing.T) {
	d := newDoor(t, func(c *Config) { c.Rehearsal = nil })
	for _, r := range rehearsed {
		for _, key := range []string{"", anonymous, d.keys.Merchant(ours, shop)} {
			d.do(request{verb: r.verb, path: r.path, body: r.body, key: key}).wants(t, fault.RouteNotFound, "")
		}
	}
	a := d.do(request{verb: "GET", path: "/healthz"})
	if a.Body != `{"ok":true}`+"\n" || a.Header.Get(RehearsalHeader) != "" || strings.Contains(d.log.String(), rehearsalMode) {
		t.Errorf("production speaks of rehearsal: %s %v %s", a.Body, a.Header, d.log)
	}
}

// A platform to rehearse on says so in every answer, in its health and in every line of the log.
func TestRehearsalIsSeen(t *testing.T) {
	d := newDoor(t, nil)
	for _, r := range rehearsed {
		a := d.do(request{verb: r.verb, path: r.path, body: r.body})
		if a.Status > 201 {
			t.Errorf("%s: %d %s", r.path, a.Status, a.Body)
		}
	}
	for path, want := range map[string]string{"/healthz": `"mode":"rehearsal"`, "/readyz": `"mode":"rehearsal"`, "/v1/nowhere": "route_not_found", "/metrics": "# TYPE"} {
		a := d.do(request{verb: "GET", path: path})
		if !strings.Contains(a.Body, want) || a.Header.Get(RehearsalHeader) != "the clock is 3h ahead" {
			t.Errorf("%s: %s %v", path, a.Body, a.Header)
		}
	}
	for line := range strings.Lines(d.log.String()) {
		if !strings.Contains(line, `"mode":"rehearsal"`) {
			t.Errorf("the log says %s", line)
		}
	}
}

// A fault's fields are refused by their names.
func TestFaultFieldsAreNamed(t *testing.T) {
	d := newDoor(t, nil)
	for body, param := range map[string]string{
		`{"do":"dead","share_percent":130}`: "share_percent", `{"do":"dead","share_percent":0}`: "share_percent",
		`{"do":"explode"}`: "do", `{"do":"dead","verb":"capture"}`: "verb", `{"do":"slow","delay_ms":-1}`: "delay_ms",
		`{"do":"dead","seed":-1}`: "seed", `{"do":"kill","when":"later"}`: "when", `{"do":"dead","times":0}`: "times",
	} {
		d.do(request{verb: "POST", path: "/v1/faults", body: body}).wants(t, fault.InvalidRequest, param)
	}
	d.do(request{verb: "POST", path: "/v1/faults", body: "{}"}).wants(t, fault.MissingField, "do")
	d.do(request{verb: "POST", path: "/v1/clock/advance", body: `{"by_ms":-1}`}).wants(t, fault.InvalidRequest, "by_ms")
}

// A move of the platform's clock is no long call: calls are timed by how long somebody waits.
func TestCallsAreTimedByPatience(t *testing.T) {
	pace := clock.NewManual(start)
	d := newDoor(t, func(c *Config) { c.Pace = pace })
	moved := false
	d.on = func(ctx context.Context) error {
		d.clock.Advance(3 * time.Hour)
		moved = true
		return ctx.Err()
	}
	d.do(request{verb: "POST", path: "/v1/clock/advance", body: `{"by_ms":1}`}).wantsStatus(t, 201)
	if log := d.log.String(); !moved || !strings.Contains(log, `"micros":0`) {
		t.Errorf("moved: %v, and the call took %s", moved, log)
	}
	if until := d.lastCall().Deadline; until != start+10*clock.Second {
		t.Errorf("the caller waits until %v", until)
	}
}
