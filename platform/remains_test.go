package platform

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store"
)

// loss is a way in which a journal gets lost, and comes back.
type loss struct {
	name    string
	engine  store.Engine
	away    func(r *rig)
	back    func(r *rig)
	says    string
	forGood bool // a new platform can be made
}

// losses of the journal of a stopped platform.
func losses() []loss {
	sql := func(statements ...string) func(*rig) { return func(r *rig) { r.record(statements...) } }
	remote := func(statement string) func(*rig) { return func(r *rig) { r.remote(statement) } }
	const gone = "the last copy of what its customers own"
	return []loss{
		{
			"removed", store.SQLite, func(r *rig) { r.move(journalFile, "kept") },
			func(r *rig) { r.move("kept", journalFile) }, gone, true,
		},
		{"emptied", store.SQLite, func(r *rig) {
			r.move(journalFile, "kept")
			write(r.t, filepath.Join(r.config.Data, journalFile))
		}, func(r *rig) { r.move("kept", journalFile) }, gone, true},
		{"all but its log", store.SQLite, func(r *rig) {
			r.move(journalFile, "kept")
			log := filepath.Join(r.config.Data, journalFile+"-wal")
			if err := os.WriteFile(log, []byte("frames"), 0o600); err != nil {
				r.t.Fatal(err)
			}
		}, func(r *rig) { r.move(journalFile+"-wal", "log"); r.move("kept", journalFile) }, "its log", false},
		{
			"no blocks", store.SQLite, sql("ALTER TABLE journal_blocks RENAME TO kept_blocks",
				"CREATE TABLE journal_blocks AS SELECT * FROM kept_blocks LIMIT 0"),
			sql("DROP TABLE journal_blocks", "ALTER TABLE kept_blocks RENAME TO journal_blocks"), gone, false,
		},
		{
			"no constants", store.SQLite, sql("CREATE TABLE kept AS SELECT * FROM platform",
				"DELETE FROM platform WHERE name <> 'journal.format'"),
			sql("DELETE FROM platform", "INSERT INTO platform SELECT * FROM kept", "DROP TABLE kept"),
			"which platform they are of", false,
		},
		{
			"no schema", store.Postgres, remote("ALTER SCHEMA journal RENAME TO kept"),
			remote("ALTER SCHEMA kept RENAME TO journal"), gone, true,
		},
		{
			"no constants", store.Postgres, remote("ALTER TABLE journal.platform RENAME TO kept"),
			remote("ALTER TABLE journal.kept RENAME TO platform"), "which platform they are of", false,
		},
	}
}

// A journal that is lost is never taken for a new one's place: the tables are the last copy.
func TestLostJournalRefusesToStart(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		for _, l := range losses() {
			if l.engine.String() != r.place().engine() {
				continue
			}
			l.away(r)
			stood := r.files()
			a, err := Start(t.Context(), r.config)
			if err == nil {
				_ = a.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), l.says) || !strings.Contains(err.Error(), "backup") {
				t.Errorf("%s: it says %v", l.name, err)
			}
			if now := r.files(); !maps.Equal(stood, now) {
				t.Errorf("%s: the files were changed: %v, now %v", l.name, stood, now)
			}
			l.back(r)
			if got := r.alarms(); len(got) > 0 {
				t.Errorf("%s: once it is back: %v", l.name, got)
			}
			r.stop()
			r.right(nil)
		}
	})
}

// Who means it gets a new platform, and the old tables are kept.
func TestStartOverSetsTablesApart(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		const paid = "SELECT id FROM payments"
		r.config.StartOver = true
		for _, l := range losses() {
			if l.engine.String() != r.place().engine() || !l.forGood {
				continue
			}
			l.away(r)
			if l.engine == store.Postgres {
				r.remote("DROP SCHEMA kept CASCADE")
			}
			break
		}
		r.start()
		r.stop()
		r.right(nil)
		if n := r.rows("payment", paid); n != 0 {
			t.Errorf("the new platform has %d payments", n)
		}
		kept := 0
		if r.config.StoreURL == "" {
			kept = r.rowsAt(filepath.Join(r.config.Data, "state", "lost-1", "payment.db"), paid)
		} else {
			r.remote("ALTER SCHEMA payment RENAME TO payment_new")
			r.remote("ALTER SCHEMA payment_lost_1 RENAME TO payment")
			kept = r.rows("payment", paid)
			r.remote("ALTER SCHEMA payment RENAME TO payment_lost_1")
			r.remote("ALTER SCHEMA payment_new RENAME TO payment")
		}
		if kept != 1 {
			t.Errorf("the tables that were set apart have %d payments", kept)
		}
		r.start() // and again: where nothing is lost, nothing is set apart
		r.stop()
		r.right(nil)
	})
}

func (r *rig) move(from, to string) {
	r.t.Helper()
	if err := os.Rename(filepath.Join(r.config.Data, from), filepath.Join(r.config.Data, to)); err != nil {
		r.t.Fatal(err)
	}
}

// remote runs a statement on PostgreSQL.
func (r *rig) remote(statement string) {
	r.t.Helper()
	db, err := store.Open(r.t.Context(), store.Config{URL: r.config.StoreURL})
	if err == nil {
		err = db.Write(r.t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(statement); return err })
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// files returns what stands in the data folder. What SQLite keeps beside a file for readers is not counted.
func (r *rig) files() map[string][32]byte {
	r.t.Helper()
	out := map[string][32]byte{}
	err := filepath.WalkDir(r.config.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") || d.Name() == "lock" {
			return err
		}
		text, err := os.ReadFile(path)
		if len(text) > 0 || !strings.HasSuffix(path, "-wal") {
			out[path] = sha256.Sum256(text)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// rows counts the rows of a query on the tables of a service.
func (r *rig) rows(name, query string) int { return r.countAt(r.place().tables(name), query) }

// rowsAt counts the rows of a query on a file.
func (r *rig) rowsAt(path, query string) int { return r.countAt(store.Config{Path: path}, query) }

func (r *rig) countAt(c store.Config, query string) (n int) {
	r.t.Helper()
	c.ReadOnly = true
	db, err := store.OpenCurrent(r.t.Context(), c)
	if err == nil {
		err = db.Read(r.t.Context(), func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT COUNT(*) FROM (" + query + ") AS x").Scan(&n)
		})
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}
