package rehearsal

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, text string) (o object) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return o
}

// page reads one of the platform's own addresses.
func (p *platform) page(path string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.card.Address+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.Header.Get("Koban-Rehearsal") + "\n" + string(text)
}

// wants requires that a text has all parts.
func wants(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s has no %q:\n%s", what, part, text)
		}
	}
}

// In production there is nothing of this, and the command line says what to do.
func TestProductionIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	for _, args := range [][]string{{"fault"}, {"fault", "list"}, {"fault", "inject", "--do", "dead"}, {"fault", "clear", "--all"}, {"clock"}, {"clock", "advance", "3h"}} {
		wants(t, strings.Join(args, " "), command(t, 1, append(args, "--data", dir)...), "koban run --rehearsal")
		wants(t, "as JSON", command(t, 1, append(args, "--data", dir, "--json")...), `"route_not_found"`)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		text := p.page(path)
		if !strings.HasPrefix(text, "\n") || strings.Contains(text, `"rehearsal"`) {
			t.Errorf("%s speaks of rehearsal: %s", path, text)
		}
	}
	wants(t, "/metrics", p.page("/metrics"), "koban_rehearsal 0\n")
	if out := command(t, 0, "pay", "--data", dir); p.card.Rehearsal || strings.Contains(out, "REHEARSAL") {
		t.Errorf("production says that it rehearses: %s", out)
	}
	p.stop()
	wants(t, "a start to rehearse", command(t, 2, "run", "--rehearsal", "--data", dir, "--listen", "127.0.0.1:0"), "production", "--data")
}

// A platform to rehearse on says so everywhere, for good.
func TestRehearsalIsSeenEverywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(t.TempDir(), "log")
	p := start(t, dir, "--rehearsal", "--log", log)
	command(t, 0, "fault", "inject", "--data", dir, "--participant", "points", "--verb", "add", "--do", "dead")
	command(t, 0, "clock", "advance", "3h", "--data", dir)
	const state = "REHEARSAL  the clock is 3h ahead, 1 fault\n"
	id := parse(t, command(t, 0, "pay", "--json", "--data", dir)).text("id")
	for _, args := range [][]string{{"pay", "5"}, {"payments"}, {"accounts"}, {"explain", id}, {"refund", id, "7"}, {"fault"}, {"clock"}} {
		if args[0] == "refund" { // its points would be added
			args = append(args, "--async")
		}
		wants(t, args[0], command(t, 0, append(args, "--data", dir)...), state)
	}
	wants(t, "verify", command(t, 0, "verify", "--data", dir), "REHEARSAL")
	for path, part := range map[string]string{"/healthz": `"mode":"rehearsal"`, "/readyz": `"mode":"rehearsal"`, "/metrics": "koban_rehearsal 1\n", "/openapi.yaml": "/v1/faults:"} {
		wants(t, path, p.page(path), "the clock is 3h ahead, 1 fault\n", part)
	}
	wants(t, "/metrics", p.page("/metrics"), "koban_clock_ahead_seconds 10800\n", `koban_fault_calls_hit_total{do="dead",fault="f1",participant="points",verb="add"}`)
	if !p.card.Rehearsal {
		t.Error("platform.json does not say that it is a rehearsal")
	}
	p.clear()
	p.stop()
	wants(t, "koban run", p.out.String(), "REHEARSAL", "Not for production")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "the log", string(text), "not for production", `"route":"POST /v1/payments","status":201,"code":"","tenant":1,"principal":"customer_app"`, `"mode":"rehearsal"`)
	wants(t, "a start in production", command(t, 2, "run", "--data", dir, "--listen", "127.0.0.1:0"), "--rehearsal")
	p = start(t, dir, "--rehearsal")
	p.stop()
	wants(t, "the start after", p.out.String(), "the clock is 3h ahead, no faults")
}

// What the commands print, and what scripts read of them.
func TestFaultCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, "--rehearsal")
	run := func(code int, args ...string) string {
		t.Helper()
		return command(t, code, append(args, "--data", dir)...)
	}
	wants(t, "fault list", run(0, "fault", "list"), "No faults")
	out := run(0, "fault", "inject", "--participant", "points", "--verb", "confirm", "--do", "unknown", "--share", "30%", "--seed", "7", "--for", "2m")
	wants(t, "inject", out, "f1", "unknown", "points, confirm", "30%, seed 7", "0 of 0", "koban fault clear f1")
	f := parse(t, run(0, "fault", "inject", "--do", "slow", "--delay", "800ms", "--times", "3", "--json"))
	if f["do"] != "slow" || f.int("delay_ms") != 800 || f.int("times") != 3 || f.int("share_percent") != 100 || f["participant"] != nil || f["verb"] != nil {
		t.Errorf("the fault is %v", f)
	}
	run(0, "fault", "inject", "--kill", "after", "--nth", "1000", "--verb", "try")
	run(0, "fault", "inject", "--do", "refuse", "--verb", "add", "--share", "1")
	wants(t, "fault list", run(0, "fault"), "slow 800ms", "everybody, every verb", "3 were hit", "kill after call 1000", "refuse limit_exceeded", "1%, seed ")
	items := parse(t, run(0, "fault", "list", "--json")).list("items")
	if len(items) != 4 || items[0]["id"] != "f1" || items[0]["until_at"] == nil || items[2]["when"] != "after" || items[2].int("nth") != 1000 {
		t.Errorf("the list is %v", items)
	}
	first := run(0, "fault", "inject", "--do", "dead", "--verb", "cancel", "--idempotency-key", "k", "--json")
	if again := run(0, "fault", "inject", "--do", "dead", "--verb", "cancel", "--idempotency-key", "k", "--json"); again != first {
		t.Errorf("sent again: %s, and was %s", again, first)
	}
	for flags, param := range map[string]string{
		"--do dead --share 130%": "share_percent", "--do dead --share=-1": "share_percent", "--do dead --participant nobody": "participant",
		"--do dead --verb capture": "verb", "--do explode": "do", "--do slow --delay=-5s": "delay_ms", "--do slow": "delay_ms",
		"--do dead --participant code --verb add": "verb", "--kill later": "when", "--do refuse --code timeout": "code", "--do dead --times=-2": "times",
		"--do dead --for=-1m": "for_ms", "--do dead --seed=-1": "seed", "--kill before --times 2": "times",
	} {
		wants(t, flags, run(1, append([]string{"fault", "inject"}, strings.Fields(flags)...)...), param+")")
	}
	for _, args := range []string{"inject", "inject --do dead --kill before", "inject --do dead --share thirty", "clear", "clear f1 --all"} {
		run(2, append([]string{"fault"}, strings.Fields(args)...)...)
	}
	wants(t, "clear", run(0, "fault", "clear", "f1"), "f1")
	wants(t, "clear of none", run(1, "fault", "clear", "f1"), "fault list")
	wants(t, "clear of all", run(0, "fault", "clear", "--all"), "f2", "f3", "f4", "f5")
	wants(t, "clear of nothing", run(0, "fault", "clear", "--all"), "Nothing")
	p.stop()
}

// A payment whose platform dies is found again under the key that the command names, and is not made twice.
func TestPayAgainAfterADeath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, "--rehearsal")
	p.inject(object{"participant": "points", "verb": "confirm", "do": "kill", "when": "after"})
	out := command(t, 2, "pay", "--data", dir)
	p.killed()
	_, key, named := strings.Cut(out, "--idempotency-key ")
	if !named {
		t.Fatalf("pay names no key: %s", out)
	}
	p = start(t, dir, "--rehearsal")
	args := []string{"pay", "--data", dir, "--json", "--idempotency-key", strings.TrimSpace(key)}
	paid := parse(t, command(t, 0, args...))
	p.await("the payment is captured", func() bool { return p.get("/v1/payments/" + paid.text("id"))["status"] == "CAPTURED" })
	if again := parse(t, command(t, 0, args...)); again["id"] != paid["id"] || len(p.get("/v1/payments").list("items")) != 1 {
		t.Errorf("paid %v, and then %v", paid["id"], again["id"])
	}
	p.stop()
	command(t, 0, "verify", "--data", dir)
}

// One clock for everything: it moves forward, and everything that is due by it happens.
func TestClockCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, "--rehearsal")
	run := func(code int, args ...string) string {
		t.Helper()
		return command(t, code, append(args, "--data", dir)...)
	}
	at := func(o object) time.Time {
		t.Helper()
		v, err := time.Parse(time.RFC3339, o.text("at"))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	begin := at(parse(t, run(0, "clock", "--json")))
	held := parse(t, run(0, "pay", "700", "--manual", "--json"))
	session := p.post("/v1/code-sessions", object{"payload": p.card.Merchants[0].Payload, "customer": p.card.Customers[1].ID})
	if held["status"] != "AUTHORIZED" || session["status"] != "OPEN" {
		t.Fatalf("the payment is %v, the session %v", held, session)
	}
	later := parse(t, run(0, "clock", "advance", "3h", "--json"))
	if at(later).Before(begin.Add(3*time.Hour)) || later.int("ahead_ms") != 3*3600_000 {
		t.Errorf("3h after %v it is %v", begin, later)
	}
	p.await("the session expires", func() bool { return p.get("/v1/code-sessions/" + session.text("id"))["status"] == "EXPIRED" })
	if o := p.get("/v1/payments/" + held.text("id")); o["status"] != "AUTHORIZED" {
		t.Errorf("after 3h the authorization is %v", o["status"])
	}
	run(0, "clock", "advance", "7d1h")
	p.await("the authorization expires", func() bool { return p.get("/v1/payments/" + held.text("id"))["status"] == "EXPIRED" })
	day := at(parse(t, run(0, "clock", "--json"))).AddDate(0, 1, 0).Format(time.DateOnly)
	wants(t, "a move to a day", run(0, "clock", "advance", "to", day), "platform  "+day+" 00:00:00Z", "machine   ")
	wants(t, "a move back", run(1, "clock", "advance", "to", begin.Format(time.RFC3339)), "never goes back", "to)")
	wants(t, "a move to no time", run(1, "clock", "advance", "to", "christmas"), "2027-01-31", "to)")
	wants(t, "a move by nothing", run(1, "clock", "advance", "0s"), "by_ms)")
	for _, args := range []string{"", "soon", "to", "to 2027-01-31 12:00"} {
		run(2, append([]string{"clock", "advance"}, strings.Fields(args)...)...)
	}
	first := run(0, "clock", "advance", "1h", "--json", "--idempotency-key", "k")
	p.stop()
	p = start(t, dir, "--rehearsal")
	if again := run(0, "clock", "advance", "1h", "--json", "--idempotency-key", "k"); again != first {
		t.Errorf("after a restart, the request sent again gets %s, and got %s", again, first)
	}
	if now := at(parse(t, run(0, "clock", "--json"))); now.Before(at(parse(t, first))) || now.After(at(parse(t, first)).Add(time.Hour)) {
		t.Errorf("after a restart it is %v, and was %s", now, first)
	}
	run(0, "pay")
	p.stop()
	run(0, "verify")
}
