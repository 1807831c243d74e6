package contract

import (
	"path/filepath"
	"testing"

	"github.com/koban-pay/koban/book/store/storetest"
)

// The same on PostgreSQL: the file, a payment, a kill, a replay, the lock and verify.
func TestPostgres(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)("").URL
	dir := t.TempDir()
	p := start(t, dir, "--store", url)
	if p.card.Store != "postgres" || len(p.card.Customers) != 20 {
		t.Errorf("platform.json says %+v", p.card)
	}
	w := p.world(t)
	s := w.scan(w.coded(300), w.customer)
	first := w.app.postAs("k", "/v1/payments", w.charge(300, "session", s["id"]))
	w.is(first.wants(t, 201), "CAPTURED", "WAIT", 300, 300, 0)
	w.app.post("/v1/payments", w.charge(300, "session", s["id"])).refuses(t, 422, "session_used")
	w.app.post("/v1/payments", w.charge(99_999)).refuses(t, 402, "insufficient_funds")
	if r := koban(t, "", nil, "run", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--store", url); r.code != 3 {
		t.Errorf("a second process on the store ended with %d: %s", r.code, r.err)
	}
	standby, err := launch(t.TempDir(), "--store", url, "--standby", "--key-file", filepath.Join(dir,
		"root.key"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.kill)
	p.kill()
	if err := standby.ready(); err != nil {
		t.Fatal(err)
	}
	if standby.card.Keys != p.card.Keys {
		t.Error("the standby has other keys")
	}
	w.p, w.op, w.app = standby, standby.operator(t), standby.app(t)
	if again := w.app.postAs("k", "/v1/payments", w.charge(300, "session", s["id"])); again.text != first.text || again.status != 201 {
		t.Errorf("the replay after a kill is %d %s, expected %s", again.status, again.text, first.text)
	}
	w.wallet(9_700, 0, 1_000, 0)
	if all := events(t, w.op, "payment", 2); len(all) < 4 {
		t.Errorf("the feed has %d events", len(all))
	}
	o := lines(t, command(t, 0, "verify", "--json", "--store", url))[0]
	check(t, o, reportShape)
	if o["ok"] != true {
		t.Errorf("the report is %v", o)
	}
	if r := koban(t, "", []string{"KOBAN_STORE=" + url}, "verify", "--json"); r.code != 0 {
		t.Errorf("verify by the environment ended with %d: %s", r.code, r.err)
	}
}
