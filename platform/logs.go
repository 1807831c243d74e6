package platform

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
)

// databases returns what this process writes to, by name: the record, and each service's tables and its feed's.
func (a *App) databases() map[string]*store.DB {
	out := map[string]*store.DB{journalName: a.record}
	for _, s := range a.shelves {
		for _, t := range []*tables{s.own, s.news} {
			out[t.Name] = t.db
		}
	}
	return out
}

// longHeld is how long a reader may keep a database's log from being started over before that is said.
const longHeld = time.Minute

// heldLogs says, once each, of which databases a reader keeps the log growing.
type heldLogs map[string]bool

// look asks every database, and says what has changed.
func (h heldLogs) look(a *App) {
	for name, db := range a.databases() {
		s := db.Log()
		switch {
		case s.Held >= longHeld && !h[name]:
			h[name] = true
			a.Log.Warn("a reader keeps the log of a database growing; nobody waits for it, but the disk fills: end the reader",
				"database", name, "bytes", s.Bytes, "held", s.Held.String())
		case s.Held == 0 && h[name]:
			delete(h, name)
			a.Log.Info("the log of a database is started over again", "database", name)
		}
	}
}

// unsavedTables says, once each, of which tables the last save failed.
type unsavedTables map[string]bool

// look asks every service and its feed, and says what has changed.
func (u unsavedTables) look(a *App) {
	for _, s := range a.shelves {
		for t, saver := range map[*tables]*book.Saver{s.own: s.saver, s.news: s.feeds} {
			err := saver.Trouble()
			switch {
			case err != nil && !u[t.Name]:
				u[t.Name] = true
				a.Log.Error("tables cannot be saved; it is tried again until they can, and nothing is lost: the journal has it all. Look at "+
					"the disk or the database", "tables", t.Name, "error", err)
			case err == nil && u[t.Name]:
				delete(u, t.Name)
				a.Log.Warn("tables can be saved again", "tables", t.Name)
			}
		}
	}
}

var (
	logBytesDesc = describe("store_log_bytes", "Bytes in SQLite's log of a database, at its last checkpoint.", "database")
	logHeldDesc  = describe("store_log_held_seconds", "For how long a reader has kept a database's log from being started over; 0: none does.",
		"database")
	logErasedDesc = describe("store_log_erased", "1 while the log of a database may still hold what was erased.", "database")
)

// logs reports how the logs of SQLite's databases stand.
func (f figures) logs(now func(*prometheus.Desc, int64, ...string)) {
	for name, db := range f.app.databases() {
		if db.Engine() != store.SQLite {
			continue
		}
		s := db.Log()
		now(logBytesDesc, s.Bytes, name)
		now(logHeldDesc, int64(s.Held.Seconds()), name)
		now(logErasedDesc, flag(s.Erased), name)
	}
}
