package platform

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/internal/id"
)

// scribe keeps what is logged.
type scribe struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *scribe) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// made sends a POST that has to succeed, and returns the answer.
func (r *rig) made(as, path, key, body string) (out map[string]any) {
	r.t.Helper()
	a := r.ask(as, path, key, body)
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status/100 != 2 {
		r.t.Fatalf("POST %s: %+v %v", path, a, err)
	}
	return out
}

// withLabels returns a code that says three texts for the shop's books.
func withLabels(t *testing.T, payload, bill, reference, till string) string {
	t.Helper()
	c, err := emv.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	last := len(c.Objects) - 1
	out := append(slices.Clone(c.Objects[:last]),
		emv.Template("62", emv.Text("01", bill), emv.Text("05", reference), emv.Text("07", till)), c.Objects[last])
	text, err := emv.Encode(&emv.Code{Objects: out})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// raw returns where a text stands in what is stored: in the bytes of any file, or in any row of PostgreSQL.
func (r *rig) raw(text string) (places []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.config.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			places = append(places, d.Name())
		}
		return err
	})
	if err == nil && r.config.StoreURL != "" {
		db, openErr := store.Open(r.t.Context(),
			store.Config{URL: r.config.StoreURL, Schema: journalName, ReadOnly: true, Clock: r.app.Clock})
		if openErr != nil {
			r.t.Fatal(openErr)
		}
		defer db.Close()
		err = db.Read(r.t.Context(), func(tx *sql.Tx) error {
			var found error
			places, found = inTables(r, tx, text, places)
			return found
		})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return places
}

// inTables looks for a text in every row of every table; bytes are shown in hexadecimal there.
func inTables(r *rig, tx *sql.Tx, text string, places []string) ([]string, error) {
	rows, err := tx.QueryContext(r.t.Context(), `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables = append(tables, name)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, name := range tables {
		var n int
		err := tx.QueryRowContext(r.t.Context(), `SELECT count(*) FROM `+name+` x WHERE x::text LIKE $1 OR x::text LIKE $2`,
			"%"+text+"%", "%"+hex.EncodeToString([]byte(text))+"%").Scan(&n)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			places = append(places, name)
		}
	}
	return places, nil
}

// texts is what callers wrote about one customer and one shop, and the requests that said it.
type texts struct {
	shop, who, session, paid string
	scan, pay, back          string
	markers                  []string // of the customer
}

const shopMarker, keptMarker = "marker-shop", "kept-reference"

// write has callers write everything that they can about a new customer and a new shop, and something about
// another customer.
func (r *rig) write() *texts {
	r.t.Helper()
	k := &r.app.Card.Keys
	shop := r.made(k.Operator, "/v1/merchants", "shop", `{"name":"marker-shop"}`)
	who := r.made(k.Operator, "/v1/customers", "who", `{"balance":{"currency":"JPY","value":1000}}`)
	x := &texts{
		shop: shop["id"].(string), who: who["id"].(string),
		back: `{"amount":{"currency":"JPY","value":100},"reference":"marker-back"}`,
	}
	x.scan = fmt.Sprintf(`{"payload":%q,"customer":%q}`,
		withLabels(r.t, shop["payload"].(string), "marker-bill", "marker-label", "marker-till"), x.who)
	x.session = r.made(k.CustomerApp, "/v1/code-sessions", "scan", x.scan)["id"].(string)
	x.pay = fmt.Sprintf(`{"kind":"charge","session":%q,"amount":{"currency":"JPY","value":300},`+
		`"reference":"marker-reference","metadata":{"marker-key":"marker-value"}}`, x.session)
	x.paid = r.made(k.CustomerApp, "/v1/payments", "pay", x.pay)["id"].(string)
	r.made(k.Operator, "/v1/payments/"+x.paid+"/refunds", "back", x.back)
	r.made(k.CustomerApp, "/v1/code-sessions", "scan 2", x.scan) // that nobody pays
	r.made(k.CustomerApp, "/v1/payments", "other", fmt.Sprintf(`{"kind":"charge","merchant":%q,"customer":%q,`+
		`"amount":{"currency":"JPY","value":10},"reference":%q}`, x.shop, r.app.Card.Customers[0].ID, keptMarker))
	x.markers = []string{
		"marker-reference", "marker-key", "marker-value", "marker-bill", "marker-label", "marker-till",
		"marker-back",
	}
	for _, m := range append(slices.Clone(x.markers), shopMarker, keptMarker) {
		if len(r.raw(m)) == 0 {
			r.t.Fatalf("%s stands nowhere before it is erased: the test does not look where it is", m)
		}
	}
	return x
}

// gone requires that texts stand nowhere, soon.
func (r *rig) gone(what string, texts ...string) {
	r.t.Helper()
	for _, m := range texts {
		r.wait(fmt.Sprintf("%s: %s stands in %v", what, m, r.raw(m)), func() bool { return len(r.raw(m)) == 0 })
	}
}

// again sends every request again, and reads what can be read.
func (x *texts) again(r *rig) {
	r.t.Helper()
	k := &r.app.Card.Keys
	r.made(k.CustomerApp, "/v1/code-sessions", "scan", x.scan)
	paid := r.made(k.CustomerApp, "/v1/payments", "pay", x.pay)
	if paid["id"] != x.paid || paid["reference"] != nil || paid["metadata"] != nil {
		r.t.Errorf("the payment asked for again: %v", paid)
	}
	r.made(k.Operator, "/v1/payments/"+x.paid+"/refunds", "back", x.back)
	r.made(k.Operator, "/v1/merchants", "shop", `{"name":"marker-shop"}`)
	for _, path := range []string{
		"/v1/payments/" + x.paid, "/v1/payments/" + x.paid + "/explain", "/v1/payments?limit=100",
		"/v1/code-sessions/" + x.session, "/v1/feeds/payment", "/v1/feeds/code",
	} {
		if a := r.ask(k.Operator, path, "", ""); a.status != 200 || strings.Contains(a.body, "marker-") {
			r.t.Errorf("GET %s: %+v", path, a)
		}
	}
}

// TestErasedTextsAreGone: what callers wrote about a customer and a merchant stands nowhere after they were
// erased, not in a file's bytes, not in a row, and comes back neither with a request that is sent again,
// nor by a restart, nor from tables built anew; and the books are right.
func TestErasedTextsAreGone(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.stop()
		var log scribe
		r.config.Listen = "127.0.0.1:0"
		r.config.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r.start()
		x, k := r.write(), r.app.Card.Keys
		if a := r.ask(k.CustomerApp, "/v1/customers/"+x.who+"/erase", "no", `{}`); a.status != 403 {
			t.Errorf("not by an operator: %+v", a)
		}
		for range 2 {
			if v := r.made(k.Operator, "/v1/customers/"+x.who+"/erase", "erase", `{}`); v["id"] != x.who {
				t.Errorf("erased: %v", v)
			}
		}
		r.gone("erased", x.markers...)
		if len(r.raw(shopMarker)) == 0 || len(r.raw(keptMarker)) == 0 {
			t.Error("more was erased than was asked for")
		}
		r.made(k.Operator, "/v1/merchants/"+x.shop+"/erase", "erase shop", `{}`)
		r.made(k.Operator, "/v1/merchants/"+r.app.Card.Merchants[4].ID+"/erase", "erase demo shop", `{}`)
		all := append(x.markers, shopMarker)
		r.gone("the merchant erased", all...)
		x.again(r)
		r.stop()
		r.gone("after the stop", all...)
		r.right(nil)

		if r.config.StoreURL == "" {
			if err := os.RemoveAll(filepath.Join(r.config.Data, "state")); err != nil {
				t.Fatal(err)
			}
		} else {
			r.dropSchema("payment")
			r.dropSchema("code")
		}
		r.start()
		x.again(r)
		if m := r.app.Card.Merchants[4]; m.Name != "" || m.Payload != "" {
			t.Errorf("platform.json tells the name of a shop that was erased: %+v", m)
		}
		r.stop()
		r.gone("built anew", all...)
		r.right(nil)
		if log.text.Len() == 0 || strings.Contains(log.text.String(), "marker-") {
			t.Errorf("the log has %d bytes, and tells a text: %s", log.text.Len(), log.text.String())
		}
	})
}

// TestAnErasureThatWasCutShort: what a crash in the middle leaves is erased when it is asked for again,
// under any key; and whoever is no customer, or no merchant, is not found.
func TestAnErasureThatWasCutShort(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	r.config.Listen = "127.0.0.1:0"
	r.start()
	k, who, shop := r.app.Card.Keys, r.app.Card.Customers[0].ID, r.app.Card.Merchants[0]
	session := r.made(k.CustomerApp, "/v1/code-sessions", "scan", fmt.Sprintf(`{"payload":%q,"customer":%q}`,
		withLabels(t, shop.Payload, "marker-bill", "marker-label", "marker-till"), who))["id"]
	r.made(k.CustomerApp, "/v1/payments", "pay", fmt.Sprintf(
		`{"kind":"charge","session":%q,"amount":{"currency":"JPY","value":10},"reference":"marker-reference"}`, session))
	if err := r.app.Payment.Forget(t.Context(), demoTenant, r.id(id.Customer, who)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	if len(r.raw("marker-reference")) != 0 || len(r.raw("marker-bill")) == 0 {
		t.Fatal("it is not half erased")
	}
	r.start()
	k = r.app.Card.Keys
	r.made(k.Operator, "/v1/customers/"+who+"/erase", "again", `{}`)
	r.stop()
	if at := r.raw("marker-bill"); len(at) != 0 {
		t.Errorf("it stands in %v", at)
	}
	r.right(nil)
	r.start()
	k = r.app.Card.Keys
	for path, code := range map[string]string{
		"/v1/customers/" + shop.ID + "/erase": "customer_not_found", "/v1/customers/x/erase": "customer_not_found",
		"/v1/merchants/" + who + "/erase": "merchant_not_found", "/v1/merchants/x/erase": "merchant_not_found",
	} {
		if a := r.ask(k.Operator, path, path, `{}`); a.status != 404 || !strings.Contains(a.body, code) {
			t.Errorf("POST %s: %+v", path, a)
		}
	}
}
