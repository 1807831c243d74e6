package contract

import (
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store/storetest"
)

// Through a pooler that keeps sessions apart the platform works as it does without: a payment, a kill, a replay, the lock,
// verify. One that does not is refused at the start.
func TestPooler(t *testing.T) {
	t.Parallel()
	direct := storetest.Postgres(t)("").URL
	url := storetest.Pooler(t, direct, "session")
	dir := t.TempDir()
	p := start(t, dir, "--store", url)
	w := p.world(t)
	first := w.app.postAs("k", "/v1/payments", w.charge(300))
	w.is(first.wants(t, 201), "CAPTURED", "WAIT", 300, 300, 0)
	if r := koban(t, "", nil, "run", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--store", direct); r.code != 3 {
		t.Errorf("a second process, which goes past the pooler, ended with %d: %s", r.code, r.err)
	}
	p.kill()
	p = start(t, dir, "--store", url)
	w.p, w.op, w.app = p, p.operator(t), p.app(t)
	if again := w.app.postAs("k", "/v1/payments", w.charge(300)); again.text != first.text || again.status != 201 {
		t.Errorf("the replay after a kill is %d %s, expected %s", again.status, again.text, first.text)
	}
	p.kill()
	if o := lines(t, command(t, 0, "verify", "--json", "--store", url))[0]; o["ok"] != true {
		t.Errorf("the report is %v", o)
	}
	shared := storetest.Pooler(t, direct, "transaction")
	r := koban(t, "", nil, "run", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--store", shared)
	if r.code == 0 || !strings.Contains(r.err, "pool_mode = session") {
		t.Errorf("through a pooler in transaction mode it ended with %d: %s", r.code, r.err)
	}
}
