package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/koban-pay/koban/internal/clock"
)

// Lock is the right to be the only process on a data directory or a store. It ends with the process, however that ends.
type Lock struct{ release func() error }

// Release gives the lock up.
func (l *Lock) Release() error { return l.release() }

// HeldError says that another process holds the lock.
type HeldError struct {
	What   string // what is locked
	Holder string // who holds it, as far as can be told
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("store: %s is in use by %s: stop it, or wait for it with --standby", e.What, e.Holder)
}

// lockPoll is how often a waiting LockDir looks again: flock can wait by itself, but then not be called off.
const lockPoll = 100 * time.Millisecond

// LockDir locks the data directory dir, which must exist, for this process. While another holds it, it returns a
// HeldError, or waits for ctx if wait is set. clk paces the waiting; nil means the system's.
func LockDir(ctx context.Context, dir string, wait bool, clk clock.Clock) (*Lock, error) {
	if clk == nil {
		clk = clock.NewSystem()
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: lock the data directory: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("store: lock %s: %w", path, err), f.Close())
		}
		if !wait {
			holder, _ := os.ReadFile(path) // who holds it is only for the message
			return nil, errors.Join(&HeldError{dir, orUnknown(strings.TrimSpace(string(holder)))}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-clk.After(lockPoll):
		}
	}
	me := me()
	if err := errors.Join(f.Truncate(0), writeAt(f, me)); err != nil {
		return nil, errors.Join(fmt.Errorf("store: lock %s: %w", path, err), f.Close())
	}
	return &Lock{f.Close}, nil // the file stays: removing it would let two processes lock two files of one name
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s+"\n"), 0)
	return err
}

// me names this process to whoever finds the lock held.
func me() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("process %d on %s", os.Getpid(), host)
}

func orUnknown(holder string) string {
	if holder == "" {
		return "another process"
	}
	return holder
}

// LockStore locks the PostgreSQL database at url, for the purpose name, for this process: by an advisory lock of a
// session of its own, which the server ends when the process dies. While another holds it, it returns a HeldError, or
// waits for ctx if wait is set. The lock keeps two processes from getting in each other's way; that only one of them
// can write is the journal's fence (rule B3).
func LockStore(ctx context.Context, url, name string, wait bool) (*Lock, error) {
	conf, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	conf.RuntimeParams["application_name"] = me()
	// If the machine of the holder is gone without a word, the server finds out within seconds.
	conf.RuntimeParams["tcp_keepalives_idle"] = "1"
	conf.RuntimeParams["tcp_keepalives_interval"] = "1"
	conf.RuntimeParams["tcp_keepalives_count"] = "2"
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	quit := func() error { return conn.Close(context.WithoutCancel(ctx)) }
	key := lockKey(name)
	got := true
	if wait {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1, $2)", lockClass, key)
	} else {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, key).Scan(&got)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: lock the store: %w", err), quit())
	}
	if !got {
		return nil, errors.Join(&HeldError{"the store", holderOf(ctx, conn, key)}, quit())
	}
	return &Lock{func() error {
		// The server would find out by itself that the session has ended, but only some time after we have.
		_, err := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1, $2)", lockClass, key)
		return errors.Join(err, quit())
	}}, nil
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
