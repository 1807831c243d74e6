package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/koban-pay/koban/internal/clock"
)

// apart are the connections of a process beside its pool: for its lock, for the record, and for migrations.
const apart = 3

// reserveLimit is how long Reserve waits for connections. Those of a process that was killed are given up
// within moments.
const reserveLimit = 5 * time.Second

// CrowdedError says that a server has too few connections left for this process.
type CrowdedError struct {
	Need, Got int
	Err       error // what the server said to the last try
}

// Error says what is wrong, and what to do.
func (e *CrowdedError) Error() string {
	return fmt.Sprintf("store: PostgreSQL has %d connections for this process, which needs %d: raise "+
		"max_connections, or the limit of the role, of the database or of the pooler before it; or set %s=%d in the URL (%v)",
		e.Got, e.Need, sizeParam, leastPool, e.Err)
}

// Unwrap returns what the server said.
func (e *CrowdedError) Unwrap() error { return e.Err }

// Reserve opens the connections that a process needs which writes the store at url and holds its lock, so
// that none is missing in the middle of a payment. They are kept until release is called and no database is
// open there any more. wall paces the tries; nil means the system's clock.
//
// Errors: a *CrowdedError if there are too few; that a pooler does not keep sessions apart; those of Open.
func Reserve(ctx context.Context, url string, wall clock.Clock) (release func() error, err error) {
	if wall == nil {
		wall = clock.NewSystem()
	}
	p, err := usePool(url, false)
	if err != nil {
		return nil, err
	}
	until := wall.Now().Add(reserveLimit)
	for {
		got, err := p.fill(ctx, reserveLimit)
		switch {
		case err == nil:
			return p.leave, nil
		case got < 0 || Classify(err) != Busy && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return nil, errors.Join(err, p.leave())
		case wall.Now() >= until:
			return nil, errors.Join(&CrowdedError{cap(p.slots) + apart, got + 1, err}, p.leave())
		}
		select {
		case <-ctx.Done():
		case <-wall.After(lockPoll):
		}
	}
}

// fill opens all connections of the pool, and for a moment those beside it. It returns how many it has
// opened.
func (p *pool) fill(ctx context.Context, limit time.Duration) (got int, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var lent []*pooled
	defer func() {
		for _, c := range lent {
			p.giveBack(c)
		}
	}()
	for range cap(p.slots) {
		c, err := p.lend(ctx, "public")
		if err != nil {
			return len(lent), err
		}
		lent = append(lent, c)
	}
	if err := keptApart(ctx, lent); err != nil {
		return -1, err
	}
	for n := range apart - 1 { // the lock is held
		c, err := p.dial.Connect(ctx)
		if err != nil {
			return len(lent) + n, err
		}
		defer func() { _ = c.Close() }() // it was only to see whether there is room
	}
	return len(lent), nil
}

// errShared says what kind of pooler cannot do.
var errShared = errors.New("store: a pooler before PostgreSQL gives one session of the server to several " +
	"clients (transaction mode): settings and prepared statements of one would be another's. " +
	"Set pool_mode = session, or connect to PostgreSQL itself")

// keptApart sees that each connection has a session of the server for itself, as long as it lasts. Through
// a pooler that gives sessions away between transactions, connections were set up on a session that is
// another's by now; and where all are in a transaction at once, each is on a session of its own.
func keptApart(ctx context.Context, conns []*pooled) error {
	for _, c := range conns {
		conn := c.Conn.Conn()
		var session uint32
		if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
			return fmt.Errorf("store: ask PostgreSQL for its sessions: %w", err)
		}
		defer conn.Exec(ctx, "ROLLBACK") //nolint:errcheck // what is still in a transaction is not kept
		if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&session); err != nil {
			return fmt.Errorf("store: ask PostgreSQL for its sessions: %w", err)
		}
		if session != sessionOf(c.Conn) {
			return errShared
		}
	}
	return nil
}

// sessionKey is where a connection keeps the session of the server that it was set up on.
const sessionKey = "koban.session"

func sessionOf(c *stdlib.Conn) uint32 {
	session, _ := c.Conn().PgConn().CustomData()[sessionKey].(uint32)
	return session
}
