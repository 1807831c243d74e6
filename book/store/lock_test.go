package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
)

// holderVariable makes this test binary a process that takes a lock and keeps it until it is killed.
const holderVariable = "KOBAN_TEST_HOLD"

func TestMain(m *testing.M) {
	if what := os.Getenv(holderVariable); what != "" {
		hold(what)
	}
	os.Exit(m.Run())
}

func hold(what string) {
	_, err := lock(what, false)(context.Background())
	fmt.Println(err)
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
	os.Exit(0)
}

// lock returns what locks a directory, or a store where what is a URL.
func lock(what string, wait bool) func(context.Context) (*store.Lock, error) {
	return func(ctx context.Context) (*store.Lock, error) {
		if strings.HasPrefix(what, "postgres://") {
			return store.LockStore(ctx, what, "journal", wait)
		}
		return store.LockDir(ctx, what, wait, nil)
	}
}

// startHolder starts another process that holds the lock, and returns what it said and how to kill it.
func startHolder(t *testing.T, what string) (said string, pid int, kill func()) {
	t.Helper()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderVariable+"="+what)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = in.Close()
	}
	t.Cleanup(kill)
	said, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process said nothing: %v", err)
	}
	return strings.TrimSpace(said), cmd.Process.Pid, kill
}

func TestOneProcessAtATime(t *testing.T) {
	for name, what := range map[string]string{"directory": t.TempDir(), "store": storetest.Postgres(t)("x").URL} {
		t.Run(name, func(t *testing.T) {
			said, pid, kill := startHolder(t, what)
			if said != "<nil>" {
				t.Fatalf("the first process: %s", said)
			}
			_, err := lock(what, false)(bg)
			var held *store.HeldError
			if !errors.As(err, &held) || !strings.Contains(held.Holder, fmt.Sprintf("process %d on ", pid)) {
				t.Fatalf("while another holds it: %v, want it refused and process %d named", err, pid)
			}
			got := make(chan error)
			go func() {
				l, err := lock(what, true)(bg)
				if err == nil {
					err = l.Release()
				}
				got <- err
			}()
			kill()
			if err := <-got; err != nil {
				t.Errorf("waiting for a process that was killed: %v", err)
			}
			mine, err := lock(what, false)(bg)
			if err != nil {
				t.Fatalf("once it is free: %v", err)
			}
			if said, _, _ := startHolder(t, what); !strings.Contains(said, fmt.Sprintf("process %d on ", os.Getpid())) {
				t.Errorf("another process while we hold it: %s", said)
			}
			ctx, cancel := context.WithCancel(bg)
			cancel()
			if _, err := lock(what, true)(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("waiting that is called off: %v", err)
			}
			if err := mine.Release(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLocksForOtherPurposesAreApart(t *testing.T) {
	url := storetest.Postgres(t)("x").URL
	for _, name := range []string{"journal", "migrate x", "migrate y"} {
		l, err := store.LockStore(bg, url, name, false)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer l.Release()
	}
}

// sessions returns how many sessions have, or wait for, the lock of the platform; with end, it ends those
// that have.
func sessions(t *testing.T, url string, granted, end bool) (n int) {
	t.Helper()
	db, err := store.Open(bg, store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	what := "count(*)"
	if end {
		what = "count(pg_terminate_backend(pid))"
	}
	err = db.Read(bg, func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT "+what+` FROM pg_locks
			WHERE relation = to_regclass('koban_lock.koban') AND mode = 'ExclusiveLock' AND granted = $1
			  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, granted).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLockOutlivesItsSession: a holder whose session was ended takes the lock again.
func TestLockOutlivesItsSession(t *testing.T) {
	url := storetest.Postgres(t)("x").URL
	l, err := store.LockStore(bg, url, "koban", false)
	if err != nil {
		t.Fatal(err)
	}
	if n := sessions(t, url, true, true); n != 1 {
		t.Fatalf("%d sessions hold the lock", n)
	}
	for sessions(t, url, true, false) != 1 { // until it has it again
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if n := sessions(t, url, true, false); n != 0 {
		t.Errorf("%d sessions hold the lock that was given up", n)
	}
}

// TestLockThatWasLost: another process was faster. The holder is told.
func TestLockThatWasLost(t *testing.T) {
	url := storetest.Postgres(t)("x").URL
	first, err := store.LockStore(bg, url, "koban", false)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan *store.Lock, 1)
	go func() {
		l, err := store.LockStore(bg, url, "koban", true)
		if err != nil {
			t.Error(err)
		}
		second <- l
	}()
	for sessions(t, url, false, false) != 1 { // until it waits
	}
	sessions(t, url, true, true)
	l := <-second
	if l == nil {
		return
	}
	var held *store.HeldError
	if err := <-first.Lost(); !errors.As(err, &held) {
		t.Errorf("the first holder heard %v", err)
	}
	if err := errors.Join(first.Release(), l.Release()); err != nil {
		t.Errorf("giving up the locks: %v", err)
	}
}

// A role that may connect and nothing else cannot stop a platform from starting, whatever it locks.
func TestAnotherRoleCannotHoldTheLock(t *testing.T) {
	plain := storetest.Postgres(t)("x").URL
	first, err := store.LockStore(bg, plain, "koban", false) // makes what is locked
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	role := fmt.Sprintf("other_%d", os.Getpid())
	exec(t, plain, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() { exec(t, plain, "DROP ROLE "+role) })
	u, err := url.Parse(plain)
	if err != nil {
		t.Fatal("the URL of the server is none")
	}
	u.User = url.User(role)
	_, err = store.LockStore(bg, u.String(), "koban", false)
	refused(t, err, "permission denied")
	conn, err := pgx.Connect(bg, u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(bg)
	if _, err := conn.Exec(bg, "LOCK TABLE koban_lock.koban IN ACCESS SHARE MODE"); err == nil {
		t.Error("another role locks the view, want it refused")
	}
	lock, err := store.LockStore(bg, plain, "koban", false)
	if err != nil {
		t.Fatalf("after another role has tried: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

// The transaction that holds the lock may last for weeks: it must not keep rows alive that others have
// deleted.
func TestTheLockHoldsNoRowsBack(t *testing.T) {
	conf := storetest.Postgres(t)("x")
	lock, err := store.LockStore(bg, conf.URL, "koban", false)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	db := storetest.Open(t, conf)
	var state, holds string
	for state != "idle in transaction" {
		err := db.Read(bg, func(tx *sql.Tx) error {
			return tx.QueryRow(`SELECT a.state, COALESCE(a.backend_xid::TEXT, '') || COALESCE(a.backend_xmin::TEXT, '')
				FROM pg_stat_activity a JOIN pg_locks l USING (pid)
				WHERE l.relation = to_regclass('koban_lock.koban')`).Scan(&state, &holds)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if holds != "" {
		t.Errorf("the holder of the lock has transaction %s", holds)
	}
}

// TestWaiterOutlivesItsSession: who waits for the lock goes on waiting when its session ends, as when the server is restarted,
// and gets it in the end.
func TestWaiterOutlivesItsSession(t *testing.T) {
	url := storetest.Postgres(t)("x").URL
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	held, err := store.LockStore(ctx, url, "koban", false)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		l, err := store.LockStore(ctx, url, "koban", true)
		if err == nil {
			err = l.Release()
		}
		got <- err
	}()
	for range 3 {
		for sessions(t, url, false, false) != 1 && ctx.Err() == nil { // until it waits
		}
		sessions(t, url, false, true)
	}
	for sessions(t, url, false, false) != 1 && ctx.Err() == nil { // once more
	}
	if err := errors.Join(held.Release(), <-got); err != nil {
		t.Error(err)
	}
}
