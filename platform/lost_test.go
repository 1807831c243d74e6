package platform

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book"
)

// alarm is what a start says of blocks that are gone.
type alarm struct {
	Level, Msg, Book, Because string

	Tables  uint64 `json:"tables_at"`
	Journal uint64 `json:"journal_at"`
}

// alarms starts the platform and returns the alarms that it raises about lost blocks. What it says of them elsewhere has to
// agree.
func (r *rig) alarms() (out []alarm) {
	r.t.Helper()
	var log heard
	r.config.Log, r.config.Listen = slog.New(slog.NewJSONHandler(&log, nil)), "127.0.0.1:0"
	r.start()
	log.mu.Lock()
	text := log.String()
	log.mu.Unlock()
	for line := range strings.Lines(text) {
		var a alarm
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			r.t.Fatal(err)
		}
		if strings.Contains(a.Msg, "lost blocks") {
			out = append(out, a)
		}
	}
	blocks := int64(0)
	for _, a := range out {
		blocks += max(1, int64(a.Tables)-int64(a.Journal))
		if a.Level != "ERROR" || !strings.Contains(a.Msg, "koban verify --checkpoint") || !strings.Contains(a.Msg, "backup") {
			r.t.Errorf("it does not say what to do next: %+v", a)
		}
	}
	if says := r.ask("", "/metrics", "", "").body; !strings.Contains(says, fmt.Sprintf("\nkoban_journal_lost_blocks %d\n", blocks)) {
		r.t.Errorf("the metrics do not say that %d blocks are lost", blocks)
	}
	for _, path := range []string{"/healthz", "/readyz"} { // it serves, and says that something is wrong
		says := r.ask("", path, "", "")
		if strings.Contains(says.body, BlocksLost) != (blocks > 0) || says.status != http.StatusOK {
			r.t.Errorf("%d blocks are lost, and %s says %+v", blocks, path, says)
		}
	}
	return out
}

// record changes the journal of the stopped platform.
func (r *rig) record(statements ...string) {
	r.t.Helper()
	db, err := r.place().journal(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	err = db.Write(r.t.Context(), func(tx *sql.Tx) error {
		for _, text := range statements {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
		}
		return nil
	})
	if err = errors.Join(err, db.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// A journal that was put back to what it was before, while the tables knew of more: callers were told of what is not there.
func TestLostBlocksRaiseTheAlarm(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		r.record("CREATE TABLE kept_heads AS SELECT * FROM journal_heads")
		r.start()
		r.pay("two", 1200, 200)
		r.stop()
		r.record(`DELETE FROM journal_blocks WHERE NOT EXISTS
			(SELECT 1 FROM kept_heads k WHERE k.book = journal_blocks.book AND k.seq >= journal_blocks.seq)`,
			"DELETE FROM journal_heads", "INSERT INTO journal_heads SELECT * FROM kept_heads", "DROP TABLE kept_heads")
		r.age("points", "UPDATE book_saved SET fold = fold - 1") // tables that are built anew are not asked when they are opened
		raised := map[string]alarm{}
		for _, a := range r.alarms() {
			raised[a.Book] = a
		}
		for _, table := range r.all() { // each has opened its books once more, at least
			for v := range table.Volumes {
				name := book.Name(table.Name, v)
				if a := raised[name]; a.Tables <= a.Journal || a.Because != "the journal ends before" {
					t.Errorf("the last blocks of %s are gone, and it says %+v", name, a)
				}
			}
		}
		r.stop()
		r.right(func(c *VerifyConfig) { c.Rebuild = true })

		r.age("code", `UPDATE book_saved SET hash = (SELECT b.hash FROM book_saved b WHERE b.book = 'code/01') WHERE book = 'code/00'`)
		if got := r.alarms(); len(got) != 1 || got[0].Book != "code/00" || got[0].Tables != got[0].Journal || got[0].Because == "" {
			t.Errorf("a journal with another block in the place of the last raises %+v", got)
		}
	})
}

// The journal of another platform beside the tables.
func TestTablesOfAnotherJournalRaiseTheAlarm(t *testing.T) {
	r, other := newRig(t, ""), newRig(t, "")
	r.stop()
	other.stop()
	for _, name := range []string{journalFile, RootKeyFile} {
		text, err := os.ReadFile(filepath.Join(other.config.Data, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(r.config.Data, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	was := r.rows("balance", "SELECT id FROM balance_accounts")
	if got := r.alarms(); len(got) < r.config.Volumes || got[0].Because == "" {
		t.Errorf("tables with a journal of others raise %+v", got)
	}
	r.stop()
	r.right(nil)
	apart := filepath.Join(r.config.Data, "state", "lost-1", "balance.db")
	if kept := r.rowsAt(apart, "SELECT id FROM balance_accounts"); kept != was {
		t.Errorf("of %d accounts %d are set apart", was, kept)
	}
}

// After a stop, the tables stand where the journal does.
func TestNoBlocksAreMissedAfterAStop(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		if got := r.alarms(); len(got) > 0 {
			t.Errorf("after a stop: %+v", got)
		}
	})
}

// After a kill or a loss of power, the tables stand behind the journal: here they are those of a payment before. The kills
// and losses of power of proof/disk require the same of the real binary.
func TestNoBlocksAreMissedAfterAKill(t *testing.T) {
	r := newRig(t, "")
	r.pay("one", 1200, 200)
	r.stop() // all is in the files
	early := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(early, os.DirFS(filepath.Join(r.config.Data, "state"))); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.pay("two", 1200, 200)
	r.stop()
	state := filepath.Join(r.config.Data, "state")
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(state, os.DirFS(early)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.alarms(); len(got) > 0 {
		t.Errorf("tables that are behind: %+v", got)
	}
	r.right(nil)
}
