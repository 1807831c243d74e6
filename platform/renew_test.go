package platform

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
)

// renewEvery says to die before every n-th statement while tables are built anew. KOBAN_RENEW_EVERY=1 leaves none out.
func renewEvery() int {
	if n, err := strconv.Atoi(os.Getenv("KOBAN_RENEW_EVERY")); err == nil && n > 0 {
		return n
	}
	return 9
}

// older makes tables look as an older program would have left them, in different ways.
var older = map[string][]string{
	"balance": {
		"ALTER TABLE balance_accounts DROP COLUMN cap",
		"UPDATE schema_files SET sha256 = 'another file'", "UPDATE book_saved SET fold = fold - 1",
	},
	"balance.feed": {"UPDATE schema_files SET sha256 = 'another file'", "DROP TABLE feed_pages"},
	"points":       {"UPDATE book_saved SET fold = fold - 1"},
	"points.feed":  {"DELETE FROM schema_files"},                    // it died before it noted what it had applied
	"payment":      {"ALTER TABLE book_saved DROP COLUMN newest"},   // which no migration makes
	"payment.feed": {"ALTER TABLE book_saved RENAME TO book_stood"}, // nor this
}

// age lets statements loose on tables of the stopped platform.
func (r *rig) age(name string, statements ...string) {
	r.t.Helper()
	db, err := r.place().state(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, text := range statements {
		err = errors.Join(err, db.Write(r.t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(text); return err }))
	}
	if err = errors.Join(err, db.Close()); err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
}

func (r *rig) place() place {
	return place{data: r.app.Data, url: r.config.StoreURL, clock: r.app.Clock}
}

// all returns the tables of every service and feed by name.
func (r *rig) all() (out []*tables) {
	for _, k := range catalog() {
		own, news := k.tables(r.app.constants.volumes)
		out = append(out, own, news)
	}
	return out
}

func (r *rig) tables(name string) *tables {
	all := r.all()
	return all[slices.IndexFunc(all, func(t *tables) bool { return t.Name == name })]
}

// dump writes down what stands in a service's tables and, if asked for, what they say of themselves.
func (r *rig) dump(name string, whole bool) string {
	r.t.Helper()
	t, p := r.tables(name), r.place()
	p.readOnly = true
	db, err := p.state(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	texts := []string{}
	for _, table := range t.Machine(0).Tables() {
		order := "tenant, volume, id"
		if _, ok := table.(*book.Keys); ok {
			order = "tenant, volume, day, id"
		}
		texts = append(texts, "SELECT * FROM "+book.TableName(table)+" ORDER BY "+order)
	}
	if whole {
		texts = append(texts, "SELECT * FROM book_saved ORDER BY book", "SELECT version, sha256 FROM schema_files ORDER BY version")
	}
	var out strings.Builder
	for _, text := range texts {
		out.WriteString(text + "\n")
		if err := db.Read(r.t.Context(), func(tx *sql.Tx) error { return writeRows(tx, text, &out) }); err != nil {
			fmt.Fprintln(&out, err) // an older program's tables may lack some
		}
	}
	if err := db.Close(); err != nil {
		r.t.Fatal(err)
	}
	return out.String()
}

func writeRows(tx *sql.Tx, text string, out io.Writer) error {
	rows, err := tx.Query(text)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(any)
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range into {
			fmt.Fprintf(out, "%s=%v ", columns[i], *v.(*any))
		}
		fmt.Fprintln(out)
	}
	return rows.Err()
}

// beside lists what stands beside the current tables.
func (r *rig) beside() (out []string) {
	r.t.Helper()
	if r.config.StoreURL == "" {
		list, err := os.ReadDir(filepath.Join(r.app.Data, "state"))
		if err != nil {
			r.t.Fatal(err)
		}
		first := map[string]string{}
		for _, e := range list {
			file := strings.TrimSuffix(strings.TrimSuffix(e.Name(), "-wal"), "-shm")
			of := numbered.ReplaceAllString(file, "")
			if other := first[of]; other != "" && other != file || strings.Contains(file, "next") {
				out = append(out, e.Name())
			}
			first[of] = file
		}
		return out
	}
	db := storetest.Open(r.t, store.Config{URL: r.config.StoreURL, ReadOnly: true})
	err := db.Read(r.t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query("SELECT nspname FROM pg_namespace WHERE nspname LIKE '%next'")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			out = append(out, name)
		}
		return rows.Err()
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// numbered is what tells files of one name apart.
var numbered = regexp.MustCompile(`(\.[0-9]+)?\.db$`)

// heard keeps what a process logs.
type heard struct {
	mu sync.Mutex
	bytes.Buffer
}

func (n *heard) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Buffer.Write(p)
}

var builtAnew = regexp.MustCompile(`tables are built anew.* tables=(\S+)`)

// renewed returns which tables a start has built anew.
func (r *rig) renewed() (out []string) {
	r.t.Helper()
	var log heard
	r.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	r.start()
	for _, m := range builtAnew.FindAllStringSubmatch(log.String(), -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return out
}

// send pays through the door and returns the answer, to the byte.
func (r *rig) send(key string, amount int) string {
	r.t.Helper()
	body := fmt.Sprintf(`{"kind":"charge","merchant":%q,"customer":%q,"amount":{"currency":"JPY","value":%d}}`,
		r.app.Card.Merchants[0].ID, r.app.Card.Customers[0].ID, amount)
	q, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.app.Card.Address+"/v1/payments", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+r.app.Card.Keys.CustomerApp)
	q.Header.Set("Idempotency-Key", key)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprint(a.StatusCode, " ", string(text))
}

func TestTablesOfAnOlderVersionAreBuiltAnew(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.stop()
		r.config.Listen = "127.0.0.1:0"
		r.start()
		p := r.pay("one", 1200, 200)
		r.refund("back", p.Id, 1100)
		asked := map[string]int{"a": 100, "too much": 1_000_000, "b": 3}
		answers, before := map[string]string{}, map[string]string{}
		for key, amount := range asked {
			answers[key] = r.send(key, amount)
		}
		r.stop()
		for _, t := range r.all() {
			before[t.Name] = r.dump(t.Name, false)
		}
		var want []string
		for name, statements := range older {
			r.age(name, statements...)
			want = append(want, name)
		}
		slices.Sort(want)
		_, err := Verify(t.Context(), VerifyConfig{Data: r.config.Data, StoreURL: r.config.StoreURL})
		if err == nil || !strings.Contains(err.Error(), "start the platform once") {
			t.Errorf("to verify tables of another version: %v", err)
		}

		if got := r.renewed(); !slices.Equal(got, want) {
			t.Errorf("built anew were %v, want %v", got, want)
		}
		for key, amount := range asked {
			if got := r.send(key, amount); got != answers[key] {
				t.Errorf("%s: replayed as %s, first it was %s", key, got, answers[key])
			}
		}
		r.right(func(c *VerifyConfig) { c.Rebuild = true })
		r.stop()
		for _, x := range r.all() {
			if got := r.dump(x.Name, false); got != before[x.Name] {
				t.Errorf("%s has other tables now (-before +after):\n%s", x.Name, cmp.Diff(before[x.Name], got))
			}
		}
		if left := r.beside(); len(left) > 0 {
			t.Errorf("there is still %v", left)
		}
		if got := r.renewed(); len(got) > 0 {
			t.Errorf("the next start builds %v once more", got)
		}
		r.pay("two", 500, 100)
		r.right(func(c *VerifyConfig) { c.Rebuild = true })
	})
}

// open opens some tables as a start does, and closes them.
func (r *rig) open(edit func(string, *store.Config), watch func(book.Log) book.Log, list ...*tables) error {
	r.t.Helper()
	p := r.place()
	j, db, err := openJournal(r.t.Context(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	p.edit = edit
	a := &App{Config: Config{Log: slog.New(slog.DiscardHandler)}, place: p, log: j}
	if watch != nil {
		a.log = watch(j)
	}
	err = a.openTables(r.t.Context(), list)
	for _, t := range list {
		err = errors.Join(err, t.close())
	}
	return errors.Join(err, db.Close())
}

// The process dies before every statement, and before every change to files. What it leaves are the old tables or the new
// ones, whole, and the next start builds the new ones.
func TestBuildingTablesSurvivesDeath(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		p := r.pay("one", 1200, 200)
		r.refund("back", p.Id, 1100)
		r.stop()
		good := r.dump("balance", true)
		var swapped, not int
		// die lets the process die, and reports whether it did.
		die := func(what string, edit func(string, *store.Config), died func() bool) bool {
			r.age("balance", older["balance"]...)
			old := r.dump("balance", true)
			err := r.open(edit, nil, r.tables("balance"))
			if !died() {
				if now := r.dump("balance", true); err != nil || now != good {
					t.Fatalf("%s: nobody died: %v (-want +got):\n%s", what, err, cmp.Diff(good, now))
				}
				return false
			}
			switch now := r.dump("balance", true); now {
			case old:
				not++
			case good:
				swapped++
			default:
				t.Errorf("died before %s: the tables are neither the old nor the new (-old +now):\n%s", what, cmp.Diff(old, now))
			}
			if err := r.open(nil, nil, r.tables("balance")); err != nil {
				t.Fatalf("died before %s: the next start: %v", what, err)
			}
			if now, left := r.dump("balance", true), r.beside(); now != good || len(left) > 0 {
				t.Fatalf("died before %s: after the next start there is %v beside the tables (-want +got):\n%s", what, left, cmp.Diff(good, now))
			}
			return true
		}
		for n := 1; ; n += renewEvery() {
			var faults storetest.Faults
			faults.Step(n, storetest.Crash, nil)
			edit := func(_ string, c *store.Config) {
				c.Wrap, c.CheckpointEvery = faults.Wrap, -1
				c.Step = func(string) error {
					if faults.Crashed() {
						return storetest.Cut
					}
					return nil
				}
			}
			if !die(fmt.Sprint("statement ", n), edit, faults.Crashed) {
				t.Logf("%d statements", n)
				break
			}
		}
		for n := 1; ; n++ {
			steps := 0
			edit := func(_ string, c *store.Config) {
				c.Step = func(string) error {
					if steps++; steps >= n {
						return storetest.Cut
					}
					return nil
				}
			}
			if !die(fmt.Sprint("change ", n), edit, func() bool { return steps >= n }) {
				break
			}
		}
		if swapped == 0 || not == 0 {
			t.Errorf("it died %d times before and %d times after the swap", not, swapped)
		}
		r.start()
		r.right(func(c *VerifyConfig) { c.Rebuild = true })
	})
}

// watching looks at something whenever the journal is read.
type watching struct {
	book.Log
	look func(book string) error
}

func (w watching) Read(ctx context.Context, name string, from uint64, limit int) ([]*journal.Block, error) {
	if err := w.look(name); err != nil {
		return nil, err
	}
	return w.Log.Read(ctx, name, from, limit)
}

func TestOldTablesStandUntilTheNewOnesAreBuilt(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		names := []string{"balance", "points"}
		old, good := map[string]string{}, map[string]string{}
		for _, name := range names {
			good[name] = r.dump(name, true)
			r.age(name, older[name]...)
			old[name] = r.dump(name, true)
		}
		stand := func() {
			t.Helper()
			for _, name := range names {
				if now := r.dump(name, true); now != old[name] {
					t.Errorf("the old tables of %s have changed (-before +after):\n%s", name, cmp.Diff(old[name], now))
				}
			}
		}
		looked := 0
		var one sync.Mutex
		watch := func(fails string) func(book.Log) book.Log {
			return func(log book.Log) book.Log {
				return watching{log, func(name string) error {
					one.Lock()
					defer one.Unlock()
					looked++
					stand()
					if name == fails {
						return errors.New("this book cannot be read")
					}
					return nil
				}}
			}
		}
		// Only one of four books fails: what the others came to is thrown away.
		if err := r.open(nil, watch("points/01"), r.tables("balance"), r.tables("points")); err == nil || !strings.Contains(err.Error(), "build the tables of points anew") {
			t.Errorf("a book that cannot be read: %v", err)
		}
		stand()
		if left := r.beside(); len(left) > 0 {
			t.Errorf("there is still %v", left)
		}
		if err := r.open(nil, watch(""), r.tables("balance"), r.tables("points")); err != nil || looked < 8 {
			t.Errorf("after %d looks: %v", looked, err)
		}
		for _, name := range names {
			if now := r.dump(name, true); now != good[name] {
				t.Errorf("the new tables of %s (-want +got):\n%s", name, cmp.Diff(good[name], now))
			}
		}
	})
}

// later is a machine whose fold has another meaning.
type later struct{ book.Machine }

func (l later) Version() uint32 { return l.Machine.Version() + 1 }

// What a higher fold version has built names that version, although no block does: it is not built twice, and the
// version before is refused.
func TestTablesNameTheFoldThatBuiltThem(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		good := r.dump("balance", false)
		for start, want := range []bool{true, false} {
			next, read := r.tables("balance"), false
			machine := next.Machine
			next.Machine = func(v int) book.Machine { return later{machine(v)} }
			var one sync.Mutex
			err := r.open(nil, func(log book.Log) book.Log {
				return watching{log, func(string) error {
					one.Lock()
					defer one.Unlock()
					read = true
					return nil
				}}
			}, next)
			if err != nil || read != want {
				t.Errorf("start %d of the higher version: %v; built is %v, want %v", start, err, read, want)
			}
			if now := r.dump("balance", false); now != good {
				t.Errorf("the tables (-want +got):\n%s", cmp.Diff(good, now))
			}
		}
		if err := r.open(nil, nil, r.tables("balance")); err == nil || !strings.Contains(err.Error(), "run the newer version") {
			t.Errorf("the lower version after that: %v", err)
		}
	})
}

func TestTablesOfANewerVersionAreRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.stop()
		for name, undo := range map[string]string{
			"INSERT INTO schema_files (version, sha256) VALUES (99, 'of later')": "DELETE FROM schema_files WHERE version = 99",
			"UPDATE book_saved SET fold = fold + 1":                              "UPDATE book_saved SET fold = fold - 1",
		} {
			r.age("points.feed", name)
			before := r.dump("points.feed", true)
			_, err := Start(t.Context(), r.config)
			if err == nil || !strings.Contains(err.Error(), "the tables of points.feed") || !strings.Contains(err.Error(), "run the newer version") {
				t.Errorf("%s: %v", name, err)
			}
			_, err = Verify(t.Context(), VerifyConfig{Data: r.config.Data, StoreURL: r.config.StoreURL})
			if err == nil || !strings.Contains(err.Error(), "run the newer version") {
				t.Errorf("%s: to verify: %v", name, err)
			}
			if now := r.dump("points.feed", true); now != before {
				t.Errorf("%s: they were refused, and changed (-before +after):\n%s", name, cmp.Diff(before, now))
			}
			r.age("points.feed", undo)
		}
		r.start()
	})
}

// Without its tables a platform makes them again, under the names of a new one.
func TestTablesThatAreGoneAreMade(t *testing.T) {
	r := newRig(t, "")
	r.pay("one", 1200, 200)
	r.stop()
	if err := os.RemoveAll(filepath.Join(r.app.Data, "state")); err != nil {
		t.Fatal(err)
	}
	if got := r.renewed(); len(got) > 0 {
		t.Errorf("%v were built beside nothing", got)
	}
	r.right(func(c *VerifyConfig) { c.Rebuild = true })
}
