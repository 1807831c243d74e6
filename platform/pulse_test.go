package platform

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// says waits until /readyz says why, or nothing where why is "".
func (r *rig) says(why string) {
	r.t.Helper()
	late := time.After(time.Minute)
	for {
		err := r.app.Ready(r.t.Context())
		if why == "" && err == nil || why != "" && fault.HasCode(err, fault.NotReady) && strings.Contains(fault.Of(err).Message, why) {
			return
		}
		select {
		case <-late:
			r.t.Fatalf("ready says %v, want %q", err, why)
		case <-clock.Pause(10 * time.Millisecond):
		}
	}
}

// Nobody writes and nobody reads: that PostgreSQL is gone must show all the same.
func TestAnIdlePlatformNoticesThatItsStoreIsGone(t *testing.T) {
	server, err := storetest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	r := newRig(t, server.URL)
	r.says("")
	server.Stop()
	r.says("the store does not answer")
}

// A setting under which commits are lost is changed while the platform runs: nothing new is taken until it
// is changed back.
func TestASettingThatLosesCommitsIsNoticed(t *testing.T) {
	url := storetest.Postgres(t)("x").URL
	r := newRig(t, url)
	database := url[strings.LastIndexByte(url, '/')+1:]
	database, _, _ = strings.Cut(database, "?")
	for _, value := range []string{"off", "on"} { // for sessions to come
		err := storetest.Exec(t.Context(), url, "ALTER DATABASE "+database+" SET synchronous_commit TO "+value)
		if err := errors.Join(err, storetest.Disconnect(t.Context(), url)); err != nil {
			t.Fatal(err)
		}
		if value == "off" {
			r.says("store: the store would lose what it acknowledges: synchronous_commit is off")
			if err := r.app.writable(); !fault.HasCode(err, fault.NotReady) {
				t.Errorf("new work is taken: %v", err)
			}
		}
	}
	r.says("")
	r.pay("after", 1200, 200)
}

// What a person may remove from under a running platform: the process ends, saying what is gone; what
// follows from the journal is made anew at the next start.
func TestWhatIsRemovedWhileInUseEndsTheProcess(t *testing.T) {
	for _, c := range []struct {
		name, gone string // a file of the data folder; or a schema
		again      bool   // it can be started again
	}{
		{"state", "state", true},
		{"one service's tables", filepath.Join("state", "points.db"), true},
		{"lock", "lock", true},
		{"journal", journalFile, false},
		{"schema", "payment", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := ""
			if c.name == "schema" {
				url = storetest.Postgres(t)("x").URL
			}
			r := newRig(t, url)
			told := make(chan error, 10)
			r.app.Fatal = func(err error) { told <- err }
			p := r.pay("one", 1200, 200)
			if url == "" {
				if err := os.RemoveAll(filepath.Join(r.config.Data, c.gone)); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := storetest.Exec(t.Context(), url, "DROP SCHEMA "+c.gone+" CASCADE"); err != nil {
					t.Fatal(err)
				}
			}
			var moved *store.MovedError
			select {
			case err := <-told:
				if !errors.As(err, &moved) || !strings.Contains(moved.Path, c.gone) {
					t.Fatalf("it ends because of %v", err)
				}
				if follows := strings.Contains(err.Error(), "made anew"); follows != (c.again && c.name != "lock") {
					t.Errorf("it says %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it goes on")
			}
			_ = r.app.Close(t.Context()) // it cannot save what is gone
			if !c.again {
				return
			}
			r.start()
			if again := r.pay("one", 1200, 200); again.Id != p.Id {
				t.Error("the same request made another payment")
			}
			r.stop()
			r.right(nil)
		})
	}
}
