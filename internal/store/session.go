package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/koban-pay/koban/internal/clock"
)

// LockStore locks the PostgreSQL database at url, for the purpose name, for this process: by an advisory lock of a
// session of its own. While another holds it, it returns a HeldError, or waits for ctx if wait is set. The lock keeps two
// processes from getting in each other's way; that only one of them can write is the journal's fence (rule B3).
//
// The server ends the session when the process dies, when its machine is gone without a word, and when the process stands
// still for some seconds: then another one can take over. A process that comes back, or whose server was restarted, takes
// the lock again; if another has it by then, Lost says so.
func LockStore(ctx context.Context, url, name string, wait bool) (*Lock, error) {
	conf, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	conf.RuntimeParams["application_name"] = me()
	conf.RuntimeParams["tcp_keepalives_idle"] = "1"
	conf.RuntimeParams["tcp_keepalives_interval"] = "1"
	conf.RuntimeParams["tcp_keepalives_count"] = "2"
	conf.RuntimeParams["idle_session_timeout"] = "3s"
	s := &session{conf: conf, key: lockKey(name), done: make(chan struct{}), lost: make(chan error, 1)}
	if err := s.take(ctx, wait); err != nil {
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

// session is a connection that holds an advisory lock.
type session struct {
	conf *pgx.ConnConfig
	key  int32
	conn *pgx.Conn
	done chan struct{} // closed when the lock was given up
	lost chan error
}

const (
	lockBeat  = 500 * time.Millisecond // how often the holder shows that it lives: several times before the server gives it up
	lockAgain = 100 * time.Millisecond // between two tries to reach the server again
)

// take connects, and takes the lock.
func (s *session) take(ctx context.Context, wait bool) error {
	conn, err := pgx.ConnectConfig(ctx, s.conf)
	if err != nil {
		return fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	got := true
	if wait {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", lockClass, s.key)
	} else {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, s.key).Scan(&got)
	}
	switch {
	case err != nil:
		err = fmt.Errorf("store: lock the store: %w", err)
	case !got:
		err = &HeldError{"the store", holderOf(ctx, conn, s.key)}
	default:
		s.conn = conn
		return nil
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
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
	_, _ = s.conn.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", lockClass, s.key) // a session that is gone has no lock either
	_ = s.conn.Close(ctx)
	s.conn = nil
}

// lockClass keeps our advisory locks apart from other programs' in the same database: "kobn".
const lockClass int32 = 0x6b6f626e

func lockKey(name string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return int32(h.Sum32())
}

func holderOf(ctx context.Context, conn *pgx.Conn, key int32) string {
	var holder string
	err := conn.QueryRow(ctx, `
		SELECT a.application_name || COALESCE(' at ' || host(a.client_addr), '')
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid::BIGINT = $1 AND l.objid::BIGINT = $2
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
		int64(lockClass), int64(uint32(key))).Scan(&holder)
	if err != nil {
		return orUnknown("") // it let go in the meantime
	}
	return orUnknown(holder)
}
