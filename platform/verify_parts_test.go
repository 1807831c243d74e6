package platform

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/judge/verify"
)

// TestLightVerifySaysWhatItLeavesOut: it finds what heads, last blocks and sums show, and does not say that the books are right.
func TestLightVerifySaysWhatItLeavesOut(t *testing.T) {
	light := func(c *VerifyConfig) { c.Light = true }
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.right(light)
		r.stop()
		report, err := Verify(t.Context(), VerifyConfig{Data: r.config.Data, StoreURL: r.config.StoreURL, Light: true})
		if err != nil || !report.OK || !report.Light || len(report.NotChecked) == 0 {
			t.Fatalf("a light judgement: %+v %v", report, err)
		}
		x := r.id(id.Account, r.app.Card.Customers[0].Balance.Account)
		r.tamper("balance", `UPDATE balance_accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, x[:])
		finds(t, r.verify(light), "I2", "sum to 1, not to 0")
		r.cut("points/00")
		finds(t, r.verify(light), "I24", "the tables of points/00 stand for block")
		r.tamper("", `DELETE FROM journal_blocks WHERE book = 'payment/00' AND seq = 1`)
		finds(t, r.verify(light), "I7", "payment/00")
	})
}

// TestVerifyJudgesJournalAlone: a backup of the journal alone is judged, and what could not be compared is said. That one
// service's tables are missing beside those of others is wrong.
func TestVerifyJudgesJournalAlone(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		drop := func(names ...string) {
			for _, name := range names {
				if r.config.StoreURL != "" {
					r.dropSchema(strings.ReplaceAll(name, ".", "_"))
				} else if err := os.Remove(filepath.Join(r.config.Data, "state", name+".db")); err != nil {
					t.Fatal(err)
				}
			}
		}
		drop("points")
		finds(t, r.verify(nil), "I24", "there are no tables of points, and there are those of other services")
		drop("points.feed", "balance", "balance.feed", "code", "code.feed", "payment", "payment.feed")
		report, err := Verify(t.Context(), VerifyConfig{Data: r.config.Data, StoreURL: r.config.StoreURL})
		if err != nil || !report.OK || len(report.NotChecked) != 1 || !strings.Contains(report.NotChecked[0], "the tables") {
			t.Fatalf("a journal alone: %+v %v", report, err)
		}
		if i := slices.IndexFunc(report.Invariants, func(i verify.Invariant) bool { return i.ID == "I11" }); report.Invariants[i].Checked == 0 {
			t.Error("nothing was judged")
		}
		r.tamper("", `UPDATE journal_blocks SET at = at + 1 WHERE book = 'balance/00' AND seq = 2`)
		finds(t, r.verify(nil), "I7", "book balance/00, block 2")
	})
}

// TestVerifyGoesOnWhereItWasStopped stops a judgement once some books are done. What goes on keeps what was found in them, and
// compares the others.
func TestVerifyGoesOnWhereItWasStopped(t *testing.T) {
	r := newRig(t, "")
	r.pay("one", 1200, 200)
	r.stop()
	x := r.id(id.Account, r.app.Card.Customers[0].Balance.Account)
	y := r.id(id.Account, r.app.Card.Customers[0].Points.Account)
	r.tamper("balance", `UPDATE balance_accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, x[:])
	r.tamper("points", `UPDATE points_accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, y[:])
	file := filepath.Join(t.TempDir(), "resume.json")
	ctx, stop := context.WithCancel(t.Context())
	_, err := Verify(ctx, VerifyConfig{Data: r.config.Data, Resume: file, Progress: func(verify.Progress) {
		var p struct{ Done []string }
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &p) == nil && len(p.Done) >= 9 {
			stop() // the books of balance are done, and not all of points
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("it was stopped, and says %v", err)
	}
	r.tamper("balance", `UPDATE balance_accounts SET credits_posted = credits_posted - 1 WHERE id = $1`, x[:])
	wrong := r.verify(func(c *VerifyConfig) { c.Resume = file })
	finds(t, wrong, "I24", "balance_accounts, tenant 1, id "+hexOf(x)+": credits_posted is 100001, and the journal gives 100000")
	finds(t, wrong, "I24", "points_accounts, tenant 1, id "+hexOf(y)+": credits_posted is 5001, and the journal gives 5000")
	if n := wrong["I24"].Violations; n != 2 {
		t.Errorf("%d rows are wrong, expected 2: %v", n, wrong)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left behind is still there: %v", err)
	}
}

func TestVerifyDoesNotGoOnWithAnotherJournal(t *testing.T) {
	r, other := newRig(t, ""), newRig(t, "")
	file := filepath.Join(t.TempDir(), "resume.json")
	stopped := func(data string) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		_, err := Verify(ctx, VerifyConfig{Data: data, Resume: file, Progress: func(verify.Progress) {
			if _, err := os.Stat(file); err == nil {
				stop()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("it was stopped, and says %v", err)
		}
	}
	stopped(other.config.Data)
	_, err := Verify(t.Context(), VerifyConfig{Data: r.config.Data, Resume: file})
	if err == nil || !strings.Contains(err.Error(), "other tables") {
		t.Errorf("what is left of the judgement of another journal: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.pay("one", 1200, 200)
	r.stop()
	stopped(r.config.Data)
	r.cut("points/00")
	_, err = Verify(t.Context(), VerifyConfig{Data: r.config.Data, Resume: file})
	if err == nil || !strings.Contains(err.Error(), "or of one that was longer") {
		t.Errorf("what is left of the judgement of a journal that was longer: %v", err)
	}
}

func hexOf(x id.ID) string { return hex.EncodeToString(x[:]) }

// dropSchema drops a schema of PostgreSQL.
func (r *rig) dropSchema(name string) {
	r.t.Helper()
	db, err := (place{data: r.app.Data, url: r.config.StoreURL, clock: r.app.Clock}).journal(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	err = db.Write(r.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(r.t.Context(), `DROP SCHEMA "`+name+`" CASCADE`)
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		r.t.Fatal(err)
	}
}
