package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/koban-pay/koban/internal/clock"
)

// LockStore locks the PostgreSQL database at url, for the purpose name, for this process: by a lock on a
// view of ours, which only a role that may change the view can take, in a transaction of a session of its
// own. While another holds it, it returns a HeldError, or waits for ctx if wait is set. The lock keeps two
// processes from getting in each other's way; that only one of them can write is the journal's fence (rule
// B3).
//
// The server ends the session when the process dies, when its machine is gone without a word, and when the process stands
// still for some seconds: then another one can take over. A process that comes back, or whose server was restarted, takes
// the lock again; if another has it by then, Lost says so.
func LockStore(ctx context.Context, url, name string, wait bool) (*Lock, error) {
	to, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	to.conf.RuntimeParams["application_name"] = me()
	view := pgx.Identifier{lockSchema, lockView(name)}.Sanitize()
	s := &session{to: to, view: view, done: make(chan struct{}), lost: make(chan error, 1)}
	if err := s.await(ctx, wait); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	go s.keep(life)
	return &Lock{lost: s.lost, release: func() error {
		stop()
		<-s.done
		return nil
	}}, nil
}

// session is a connection that holds a lock.
type session struct {
	to   *target
	view string // what is locked
	conn *pgx.Conn
	done chan struct{} // closed when the lock was given up
	lost chan error
}

const (
	lockBeat  = 500 * time.Millisecond // how often the holder shows that it lives: several times before the server gives it up
	lockAgain = 100 * time.Millisecond // between two tries to reach the server again
)

// lockSettings let the server find out within seconds that the holder is gone, or stands still. Who waits
// may wait.
var lockSettings = []setting{
	{"tcp_keepalives_idle", "1"},
	{"tcp_keepalives_interval", "1"},
	{"tcp_keepalives_count", "2"},
	{"idle_in_transaction_session_timeout", "3s"},
	{"lock_timeout", "0"},
	{"statement_timeout", "0"},
}

// await takes the lock. Who waits for it goes on waiting when its session ends, as when the server is restarted: that is
// what it is there for.
func (s *session) await(ctx context.Context, wait bool) error {
	for {
		err := s.take(ctx, wait)
		var held *HeldError
		if err == nil || !wait || errors.As(err, &held) || ctx.Err() != nil || refusedForGood(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-clock.Pause(lockAgain):
		}
	}
}

// refusedForGood reports whether the server has said no to what was asked, which it would say again: rights, names, syntax
// (SQLSTATE classes 28, 3D and 42).
func refusedForGood(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) < 2 {
		return false
	}
	return slices.Contains([]string{"28", "3D", "42"}, pg.Code[:2])
}

// take connects, and takes the lock.
func (s *session) take(ctx context.Context, wait bool) error {
	conn, err := pgx.ConnectConfig(ctx, s.to.conf)
	if err != nil {
		return fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	if err := s.to.set(ctx, conn, lockSettings); err != nil {
		return err
	}
	if err = s.makeView(ctx, conn); err == nil {
		err = s.lock(ctx, conn, wait)
	}
	if err != nil {
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	s.conn = conn
	return nil
}

// lock begins the transaction that holds the lock. It changes and reads nothing, so it keeps no old row
// alive, however long it lasts.
func (s *session) lock(ctx context.Context, conn *pgx.Conn, wait bool) error {
	text := "LOCK TABLE " + s.view + " IN EXCLUSIVE MODE"
	if !wait {
		text += " NOWAIT"
	}
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"); err != nil {
		return fmt.Errorf("store: lock the store: %w", err)
	}
	_, err := conn.Exec(ctx, text)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "55P03" { // another has it
		if _, err = conn.Exec(ctx, "ROLLBACK"); err == nil {
			return &HeldError{"the store", s.holder(ctx, conn)}
		}
	}
	if err != nil {
		return fmt.Errorf("store: lock the store: %w", err)
	}
	return nil
}

// makeView makes the view that is locked, if there is none. A view holds no rows, so that nobody ever has
// to clean it up, and be kept waiting by its lock. Asking first lets a role work that may not create
// schemas.
func (s *session) makeView(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", s.view).Scan(&there)
	if err != nil || there {
		return err
	}
	schema, view := "CREATE SCHEMA IF NOT EXISTS "+lockSchema, "CREATE VIEW "+s.view+" AS SELECT 1 AS one"
	for _, text := range []string{schema, view} {
		_, err := conn.Exec(ctx, text)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && (pg.Code == "42P07" || pg.Code == "23505") { // two at once
			continue
		}
		if err != nil {
			return fmt.Errorf("store: make %s, which the platform locks: %w: the role has to be allowed to "+
				"(GRANT CREATE ON DATABASE)", s.view, err)
		}
	}
	return nil
}

// keep holds the lock until life ends, or another process has it.
func (s *session) keep(life context.Context) {
	defer close(s.done)
	for {
		select {
		case <-life.Done():
			s.leave()
			return
		case <-clock.Pause(lockBeat):
		}
		if s.beat(life) == nil {
			continue
		}
		s.leave()
		if err := s.again(life); err != nil {
			s.lost <- err
			return
		}
	}
}

func (s *session) beat(life context.Context) error {
	ctx, cancel := context.WithTimeout(life, 4*lockBeat)
	defer cancel()
	err := s.conn.Ping(ctx)
	if life.Err() != nil {
		return nil // the lock is given up, not lost
	}
	return err
}

// again takes the lock again, as soon as the server can be reached. It returns a *HeldError if another process has it.
func (s *session) again(life context.Context) error {
	for {
		err := s.take(life, false)
		var held *HeldError
		if err == nil || life.Err() != nil || errors.As(err, &held) {
			return err
		}
		select {
		case <-life.Done():
			return life.Err()
		case <-clock.Pause(lockAgain):
		}
	}
}

// leave ends the session, and with it the lock. The server would find out by itself that it has ended, but only some time
// after we have.
func (s *session) leave() {
	if s.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*lockBeat)
	defer cancel()
	_, _ = s.conn.Exec(ctx, "ROLLBACK") // a session that is gone has no lock either
	_ = s.conn.Close(ctx)
	s.conn = nil
}

// lockSchema holds the views that are locked. Whoever may change them may stop a platform from starting: no
// other role may, unless it was allowed to.
const lockSchema = "koban_lock"

// lockView returns the name of the view for a purpose.
func lockView(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// holder names the session that has the lock.
func (s *session) holder(ctx context.Context, conn *pgx.Conn) string {
	var holder string
	err := conn.QueryRow(ctx, `
		SELECT a.application_name || COALESCE(' at ' || host(a.client_addr), '')
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.relation = to_regclass($1) AND l.mode = 'ExclusiveLock' AND l.granted
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, s.view).Scan(&holder)
	if err != nil {
		return orUnknown("") // it let go in the meantime
	}
	return orUnknown(holder)
}
