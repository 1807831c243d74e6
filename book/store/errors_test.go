package store_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/koban-pay/koban/book/store"
)

// Whatever passes, or is over once somebody has looked after the server, must not end the process as Other
// does.
func TestEveryClassOfPostgres(t *testing.T) {
	const session = "FATAL"
	for _, c := range []struct {
		state, severity, message string
		want                     store.Class
	}{
		{"08000", "", "", store.Lost},
		{"08003", "", "", store.Lost},
		{"08006", "", "", store.Lost},
		{"08P01", session, "server conn crashed?", store.Lost},
		{"23505", "", "", store.Unique},
		{"23502", "", "", store.Check},
		{"23514", "", "", store.Check},
		{"25006", "", "", store.ReadOnly},
		{"25P03", session, "", store.Lost},
		{"25P04", session, "", store.Lost},
		{"28P01", session, "password authentication failed", store.Lost},
		{"28000", session, "", store.Lost},
		{"3D000", session, "database does not exist", store.Lost},
		{"40001", "", "", store.Busy},
		{"40P01", "", "", store.Busy},
		{"40003", "", "", store.Lost},
		{"40002", "", "", store.Check},
		{"42501", "", "", store.ReadOnly},
		{"53100", "", "", store.DiskFull},
		{"53200", "", "", store.Busy},
		{"53300", session, "", store.Busy},
		{"53400", "", "", store.Busy},
		{"55P03", "", "", store.Busy},
		{"55006", "", "", store.Busy},
		{"55000", "", "", store.Lost},
		{"57014", "", "", store.Lost},
		{"57P01", session, "", store.Lost},
		{"57P02", session, "", store.Lost},
		{"57P03", session, "the database system is starting up", store.Lost},
		{"57P05", session, "", store.Lost},
		{"57P04", session, "", store.Lost},
		{"58000", "", "", store.Lost},
		{"58030", "", "", store.Broken},
		{"58P01", "", "", store.Broken},
		{"XX001", "", "", store.Broken},
		{"XX002", "", "", store.Broken},
		{"XX000", session, "postmaster was shut down, exiting", store.Lost},
		{"XX000", "ERROR", "failed to send to a worker: it was shut down", store.Lost},
		{"XX000", "ERROR", "cache lookup failed for relation 1", store.Other},
		{"42601", "ERROR", "", store.Other},
		{"42P01", "ERROR", "", store.Other},
		{"22003", "ERROR", "", store.Other},
		{"99999", "PANIC", "", store.Lost},
		{"", "", "", store.Other},
	} {
		err := fmt.Errorf("store: commit: %w", &pgconn.PgError{Code: c.state, SeverityUnlocalized: c.severity, Message: c.message})
		if got := store.Classify(err); got != c.want {
			t.Errorf("%s %s %s is %s, want %s", c.state, c.severity, c.message, got, c.want)
		}
	}
}
