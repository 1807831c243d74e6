package platform

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
)

// A platform whose logs are soon long, and whose connections wait for ever where they wait for a reader at all.
func newPatientRig(t *testing.T, url string, always bool) *rig {
	r := &rig{t: t, config: Config{
		Data: t.TempDir(), StoreURL: url, Tenant: "demo", Volumes: 2, MinFree: 1,
		Fatal: func(err error) { t.Errorf("the process was to end: %v", err) },
		edit: func(_ string, c *store.Config) {
			if c.URL == "" {
				c.LogPages, c.CheckpointEvery, c.Wrap = 50, 5*time.Millisecond, storetest.Patient(always)
			}
		},
	}}
	r.start()
	return r
}

// reads reads a database as another process does, as it is now, until end is called.
func (r *rig) reads(name string) (end func()) {
	r.t.Helper()
	c := store.Config{URL: r.config.StoreURL, Schema: name, ReadOnly: true}
	if c.URL == "" {
		c = store.Config{Path: filepath.Join(r.config.Data, journalFile), ReadOnly: true}
		if name != journalName {
			c.Path = filepath.Join(r.config.Data, "state", name+".db")
		}
	}
	db, err := store.Open(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	began, over, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		result <- db.Read(r.t.Context(), func(tx *sql.Tx) error {
			table := "book_saved"
			if name == journalName {
				table = "journal_heads"
			}
			var n int
			err := tx.QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n)
			close(began)
			<-over
			return err
		})
	}()
	<-began
	return func() {
		close(over)
		if err := errors.Join(<-result, db.Close()); err != nil {
			r.t.Error(err)
		}
	}
}

// payUntil lets one payment follow another until done says so, and returns false if one has no answer within limit.
func (r *rig) payUntil(what string, limit time.Duration, done func(n int) bool) bool {
	for n := 0; !done(n); n++ {
		answered := make(chan error, 1)
		go func() {
			_, err := r.try(fmt.Sprintf("%s-%d", what, n), n%len(r.app.Card.Customers), 2, 1)
			answered <- err
		}()
		select {
		case err := <-answered:
			if err != nil {
				r.t.Errorf("payment %d beside a reader of %s: %v", n, what, err)
			}
		case <-clock.Pause(limit):
			return false
		}
	}
	return true
}

// longest is enough for a payment of a machine under load; nothing is measured against it.
const longest = 30 * time.Second

// Who reads the record, or tables, for as long as he likes keeps nobody waiting: payments, saves and lists go on while the log
// grows. The log says so, and is started over once he has gone.
func TestReadersKeepNobodyWaiting(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, name := range []string{journalName, "payment", "balance"} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				url := ""
				if engine == "postgres" {
					url = storetest.Postgres(t)("x").URL
				}
				r := newPatientRig(t, url, false)
				end := r.reads(name)
				db := r.app.databases()[name]
				held := func(n int) bool { return n >= 20 && (url != "" || db.Log().Held > 0) }
				if !r.payUntil(name, longest, held) {
					end()
					t.Fatal("a payment waits for a reader")
				}
				if err := r.app.shelves["payment"].saver.Sync(t.Context()); err != nil {
					t.Errorf("a save beside a reader: %v", err)
				}
				end()
				if !r.payUntil(name+"-after", longest, func(int) bool { return url != "" || db.Log().Held == 0 }) {
					t.Error("a payment waits after the reader has gone")
				}
				r.stop()
				r.right(nil)
			})
		}
	}
}

// The control: a checkpoint that waits for the reader stops every payment until the reader has gone.
func TestReadersStopAPatientCheckpoint(t *testing.T) {
	r := newPatientRig(t, "", true)
	end := r.reads(journalName)
	const stopped = 2 * time.Second // on a slow machine a payment may take that long by itself: the control is none the worse
	if r.payUntil("control", stopped, func(n int) bool { return n == 20_000 }) {
		t.Error("20,000 payments were made, and no checkpoint has waited for the reader")
	}
	end()
	if !r.payUntil("after", longest, func(n int) bool { return n == 5 }) {
		t.Error("payments do not go on after the reader has gone")
	}
}
