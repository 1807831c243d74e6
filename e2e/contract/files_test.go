package contract

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// platform.json: its place, mode and members, and what it says after a restart.
func TestPlatformFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "データ dir")
	p := start(t, dir)
	path := filepath.Join(dir, "platform.json")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("platform.json has mode %v, expected 0600", info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := object(parse(t, text))
	check(t, o, shape{"address": "text", "pid": "int", "data": "text", "store": "sqlite", "keys": "any"})
	check(t, o["keys"].(map[string]any), shape{"operator": "text", "customer_app": "text", "merchant": "text"})
	customers, merchants := o.list("customers"), o.list("merchants")
	if len(customers) != 20 || len(merchants) != 5 {
		t.Fatalf("there are %d customers and %d merchants", len(customers), len(merchants))
	}
	for _, c := range customers {
		check(t, c, shape{"id": "cus_", "balance": "any", "points": "any"})
		for _, name := range []string{"balance", "points"} {
			check(t, c[name].(map[string]any), shape{"account": "acc_", "value": "int"})
		}
	}
	for _, m := range merchants {
		check(t, m, shapes["merchant"])
		name := m.text("name")
		if ascii := strings.Trim(name, " -~"); ascii == "" || !strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyz") {
			t.Errorf("%q is not a name in Japanese and English", name)
		}
	}
	if p.card.Data != dir || !strings.HasPrefix(p.card.Address, "http://127.0.0.1:") {
		t.Errorf("data is %s and the address %s", p.card.Data, p.card.Address)
	}
	if c := p.card.Customers[0]; c.Balance.Value != 100_000 || c.Points.Value != 5_000 {
		t.Errorf("a customer starts with %d and %d points", c.Balance.Value, c.Points.Value)
	}
	if p.card.Keys.Merchant != p.card.Merchants[0].Key {
		t.Error("keys.merchant is not the first merchant's")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*platform.json*"))
	if err != nil || len(left) != 1 {
		t.Errorf("writing platform.json left %v", left)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("stopping ended with %d:\n%s", code, p.out.String())
	}
}

// Everything in platform.json but the process stays over a kill; what was paid is paid.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	first := p.card
	w := p.world(t)
	paid := w.app.postAs("k", "/v1/payments", w.charge(1_200)).wants(t, 201)
	p.kill()
	p = start(t, dir)
	second := p.card
	first.Address, second.Address, first.PID, second.PID = "", "", 0, 0
	first.Customers, second.Customers = first.Customers[:0], second.Customers[:0]
	if !reflect.DeepEqual(first, second) {
		t.Errorf("after a restart platform.json says %+v, expected %+v", second, first)
	}
	again := p.app(t).postAs("k", "/v1/payments", w.charge(1_200)).wants(t, 201)
	if !reflect.DeepEqual(map[string]any(paid), map[string]any(again)) {
		t.Errorf("the replay after a kill is %v, expected %v", again, paid)
	}
	p.as(t, w.merchant.text("key")).get("/v1/payments/"+paid.text("id")).wants(t, 200)
	if r := koban(t, "", nil, "verify", "--data", dir, "--json"); r.code != 0 {
		t.Errorf("verify beside the platform ended with %d:\n%s%s", r.code, r.out, r.err)
	}
}

// The ids of the demo company stay, whoever paid meanwhile.
func TestRestartKeepsCompany(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	first := p.card
	command(t, 0, "pay", "--data", dir)
	p.stop()
	p = start(t, dir)
	for i, c := range p.card.Customers {
		was := first.Customers[i]
		if c.ID != was.ID || c.Balance.Account != was.Balance.Account || c.Points.Account != was.Points.Account {
			t.Errorf("customer %d is %+v, and was %+v", i, c, was)
		}
	}
	if !reflect.DeepEqual(p.card.Merchants, first.Merchants) {
		t.Errorf("the merchants are %+v, and were %+v", p.card.Merchants, first.Merchants)
	}
}

// One data folder, one process: a second one ends with 3, a standby waits, and takes over when the first is killed.
func TestHeldStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	r := koban(t, "", nil, "run", "--data", dir, "--listen", "127.0.0.1:0")
	if r.code != 3 || !strings.Contains(r.err, dir) {
		t.Errorf("the second process ended with %d: %s", r.code, r.err)
	}
	if err := p.ready(); err != nil {
		t.Errorf("the second process touched platform.json: %v", err)
	}
	standby, err := launch(dir, "--standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.kill)
	made := p.world(t).pay(100)
	select {
	case <-standby.done:
		t.Fatalf("the standby ended: %s", standby.out.String())
	default:
	}
	p.kill()
	if err := standby.ready(); err != nil {
		t.Fatal(err)
	}
	if standby.card.Keys != p.card.Keys {
		t.Error("the standby has other keys")
	}
	standby.operator(t).get("/v1/payments/"+made.text("id")).wants(t, 200)

	third, err := launch(dir, "--standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(third.kill)
	if code := standby.stop(); code != 0 {
		t.Errorf("stopping ended with %d: %s", code, standby.out.String())
	}
	if err := third.ready(); err != nil {
		t.Fatal(err)
	}
	third.operator(t).get("/v1/payments/"+made.text("id")).wants(t, 200)
}

// A platform that is told to stop lets go of its readers, answers what is under way, and takes its file away.
func TestStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	w := p.world(t)
	end := w.op.get("/v1/feeds/payment?limit=1000").wants(t, 200).number("next")
	heard := make(chan *http.Response, 1)
	go func() {
		heard <- raw(t, p, fmt.Sprintf("GET /v1/feeds/payment?wait=30&after=%s HTTP/1.1\r\nHost: koban\r\nAuthorization: Bearer %s\r\n\r\n", end, w.op.key))
	}()
	a := w.app.post("/v1/payments", w.charge(100, "async", true))
	if code := p.stop(); code != 0 {
		t.Errorf("stopping ended with %d: %s", code, p.out.String())
	}
	if h := <-heard; h != nil && h.StatusCode != 200 && h.StatusCode != 503 { // nil if it came too late
		t.Errorf("the reader heard %d", h.StatusCode)
	}
	if _, err := os.Stat(filepath.Join(dir, "platform.json")); !os.IsNotExist(err) {
		t.Errorf("platform.json is still there: %v", err)
	}
	w = start(t, dir).world(t)
	w.is(w.settle(a.wants(t, 202)), "CAPTURED", "WAIT", 100, 100, 0)
}

// An address that is taken is said to be, and the platform that has it goes on.
func TestTakenAddress(t *testing.T) {
	t.Parallel()
	p := demo.get(t)
	r := koban(t, "", nil, "run", "--data", t.TempDir(), "--listen", strings.TrimPrefix(p.card.Address, "http://"))
	if r.code != 2 || !strings.Contains(r.err, "--listen") {
		t.Errorf("a taken address ended with %d: %s", r.code, r.err)
	}
	p.as(t, "").get("/readyz").wants(t, 200)
}

func TestNoTenant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir, "--tenant", "none")
	text, err := os.ReadFile(filepath.Join(dir, "platform.json"))
	if err != nil {
		t.Fatal(err)
	}
	var lists struct{ Customers, Merchants json.RawMessage }
	if err := json.Unmarshal(text, &lists); err != nil || string(lists.Customers) != "[]" || string(lists.Merchants) != "[]" {
		t.Errorf("customers are %s and merchants %s: %v", lists.Customers, lists.Merchants, err)
	}
	w := p.world(t) // an operator can make a company of its own
	w.is(w.pay(100), "CAPTURED", "WAIT", 100, 100, 0)
}

func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	anyone := demo.get(t).as(t, "")
	anyone.get("/healthz").wants(t, 200)
	anyone.get("/readyz").wants(t, 200)
	for path, part := range map[string]string{"/metrics": "# TYPE ", "/openapi.yaml": "openapi: 3.1"} {
		a := anyone.get(path)
		a.wants(t, 200)
		if !strings.Contains(a.text, part) {
			t.Errorf("%s has no %q", path, part)
		}
	}
	page := anyone.get("/openapi.yaml").text
	for _, route := range []string{
		"/v1/customers:", "/v1/merchants:", "/v1/accounts/{id}/credits:", "/v1/code-sessions:", "/v1/payments:", "/v1/payments/{id}:",
		"/v1/payments/{id}/capture:", "/v1/payments/{id}/void:", "/v1/payments/{id}/refunds:", "/v1/accounts/{id}:",
		"/v1/customers/{id}/accounts:", "/v1/payments/{id}/explain:", "/v1/feeds/{service}:",
	} {
		if !strings.Contains(page, "\n  "+route) {
			t.Errorf("openapi.yaml has no %s", route)
		}
	}
}

// Exit codes: 0 done, 1 refused, 2 used wrongly or could not run. 3 is TestHeldStore's.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	p := demo.get(t)
	w := p.world(t)
	nowhere, fresh := t.TempDir(), t.TempDir()
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"--help"}},
		{0, []string{"payments", "--help"}},
		{2, []string{"nonsense"}},
		{2, []string{"run", "--tenant", "nobody", "--data", nowhere}},
		{2, []string{"run", "--listen", "not an address", "--data", fresh}},
		{2, []string{"run", "--store", "mysql://somewhere/x", "--data", nowhere}},
		{2, []string{"run", "--store", "postgres://127.0.0.1:1/nothing", "--data", nowhere}},
		{2, []string{"payments", "--data", nowhere}},
		{2, []string{"verify", "--data", nowhere}},
		{2, []string{"pay", "twelve", "--data", p.dir}},
		{2, []string{"pay", "--data", p.dir, "--", "-5"}},
		{2, []string{"payments", "--address", "http://127.0.0.1:1", "--key", "x"}},
		{1, []string{"payments", "--address", p.card.Address, "--key", "x"}},
		{1, []string{"pay", "10000001", "--data", p.dir, "--merchant", w.merchant.text("id"), "--customer", w.customer.text("id")}},
		{1, []string{"explain", "pay_nothing", "--data", p.dir}},
		{1, []string{"refund", "pay_nothing", "--data", p.dir}},
		{1, []string{"refund", w.pay(10).text("id"), "--data", p.dir, "--", "-5"}},
		{1, []string{"code", "read", "nonsense"}},
	} {
		r := koban(t, "", nil, c.args...)
		if r.code != c.code {
			t.Errorf("koban %q ended with %d, expected %d: %s%s", c.args, r.code, c.code, r.out, r.err)
		}
		if c.code > 0 && r.out+r.err == "" {
			t.Errorf("koban %q ended with %d and said nothing", c.args, r.code)
		}
	}
}

// The command line finds a platform by flags, by the environment, or by its data folder.
func TestFindPlatform(t *testing.T) {
	t.Parallel()
	p := demo.get(t)
	key := p.card.Keys.Operator
	for name, r := range map[string]result{
		"data":        koban(t, "", nil, "payments", "--json", "--limit", "1", "--data", p.dir),
		"flags":       koban(t, "", nil, "payments", "--json", "--limit", "1", "--address", p.card.Address, "--key", key),
		"environment": koban(t, "", []string{"KOBAN_ADDRESS=" + p.card.Address, "KOBAN_KEY=" + key}, "payments", "--json", "--limit", "1"),
	} {
		if r.code != 0 {
			t.Errorf("by %s: ended with %d: %s", name, r.code, r.err)
		}
	}
}
