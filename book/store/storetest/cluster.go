package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// Variable is the environment variable that names a running server.
const Variable = "KOBAN_TEST_PG"

// Cluster is a PostgreSQL server that was started for tests.
type Cluster struct {
	URL    string // of a role that may do everything
	dir    string
	keeper *exec.Cmd
	leash  io.Closer
}

// Start initializes and starts a server in a directory of its own under dir ("" means memory if there is any, else the
// usual place for temporary files). It listens on loopback only. The server ends, and its files go, when Stop is called or
// this process dies, however that happens. Settings beyond the usual are written name=value.
func Start(dir string, settings ...string) (*Cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = tempRoot()
	}
	c := &Cluster{}
	if c.dir, err = os.MkdirTemp(dir, "koban-pg-"); err != nil {
		return nil, fmt.Errorf("storetest: %w", err)
	}
	if err := c.start(bin, settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	return c, nil
}

func (c *Cluster) start(bin string, settings []string) error {
	as, err := unprivileged()
	if err != nil {
		return err
	}
	if as != nil {
		if err := os.Chown(c.dir, int(as.Uid), int(as.Gid)); err != nil {
			return fmt.Errorf("storetest: %w", err)
		}
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "koban", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir = c.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("storetest: initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	args := []string{"-D", data, "-k", c.dir}
	for _, s := range append(serverSettings(port), settings...) {
		args = append(args, "-c", s)
	}
	c.keeper = exec.Command("/bin/sh", append([]string{"-c", keep, "keeper", c.dir, filepath.Join(bin, "postgres")}, args...)...)
	c.keeper.Dir = c.dir
	c.keeper.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	if c.leash, err = c.keeper.StdinPipe(); err != nil {
		return fmt.Errorf("storetest: %w", err)
	}
	if err := c.keeper.Start(); err != nil {
		return fmt.Errorf("storetest: start postgres: %w", err)
	}
	c.URL = fmt.Sprintf("postgres://koban@127.0.0.1:%d/postgres?sslmode=disable", port)
	if err := c.waitReady(); err != nil {
		text, _ := os.ReadFile(filepath.Join(c.dir, "log")) // only for the message
		c.Stop()
		return fmt.Errorf("storetest: %w\n%s", err, text)
	}
	return nil
}

// keep runs the server for as long as its standard input is open, which is as long as the process that started it
// lives, however that ends; and then removes the server's files.
const keep = `dir=$1; shift
"$@" >"$dir/log" 2>&1 </dev/null &
cat >/dev/null
kill -QUIT $!
wait $!
cd / && rm -rf "$dir"`

// serverSettings keep what the start-up checks ask for and make the rest small.
func serverSettings(port int) []string {
	return []string{
		"listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", port),
		"fsync=on", "synchronous_commit=on", "full_page_writes=on",
		"shared_buffers=64MB", "max_wal_size=1GB", "autovacuum=off", "logging_collector=off", "deadlock_timeout=20ms",
	}
}

// A server is up within a second; a machine under load gets longer.
const (
	startLimit = 30 * time.Second
	startPoll  = 20 * time.Millisecond
)

func (c *Cluster) waitReady() error {
	wall := clock.NewSystem()
	for deadline := wall.Now().Add(startLimit); ; {
		conn, err := pgx.Connect(context.Background(), c.URL)
		if err == nil {
			return conn.Close(context.Background())
		}
		<-wall.After(startPoll)
		if wall.Now() > deadline {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

// Stop ends the server at once and removes its files.
func (c *Cluster) Stop() {
	_ = c.leash.Close() // to cut it twice is no error
	_ = c.keeper.Wait() // the server was told to end: how it did says nothing
}

// findBinaries returns the directory of PostgreSQL's programs, the newest version first.
func findBinaries() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.New("storetest: there is no PostgreSQL on this machine: install it (postgresql-15 or later), " +
			"put its programs into PATH, or set " + Variable + " to the URL of a running server")
	}
	version := func(p string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p)))) // what is no number comes first
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0]), nil
}

// unprivileged returns the user to run the server as: nil for ourselves, and somebody else for root, whom it refuses.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("storetest: %w", err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("storetest: PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// tempRoot prefers memory: tests are about what is written, not about the disk.
func tempRoot() string {
	const memory = "/dev/shm"
	if probe, err := os.MkdirTemp(memory, "koban-"); err == nil {
		if os.Remove(probe) == nil {
			return memory
		}
	}
	return os.TempDir()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("storetest: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// shared is the server of this test binary. It ends with the process, or when its leash is collected: hence the pointer.
var shared = sync.OnceValues(func() (*Cluster, error) {
	if u := os.Getenv(Variable); u != "" {
		return &Cluster{URL: u}, nil
	}
	return Start("")
})

var databases atomic.Int64

// database returns the URL of a database made for t, which is dropped when t ends.
func database(t testing.TB) string {
	t.Helper()
	server, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("koban_test_%d_%d", os.Getpid(), databases.Add(1))
	admin(t, server.URL, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server.URL, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatalf("%s is not a URL", Variable)
	}
	u.Path = "/" + name
	return u.String()
}

// Disconnect ends every connection to the database of url, as a network that fails does: whoever waited for an answer never
// learns of it.
func Disconnect(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("storetest: reach PostgreSQL: %w", err)
	}
	_, err = conn.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	return errors.Join(err, conn.Close(ctx))
}

// Usurp waits until a process waits for the lock that another one holds on the store, and ends the connection that the
// lock hangs on: the one that waits gets it while the other still lives.
func Usurp(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("storetest: reach PostgreSQL: %w", err)
	}
	const usurp = "SELECT COUNT(pg_terminate_backend(a.pid)) " +
		"FROM pg_locks a JOIN pg_locks b USING (database, relation) " +
		"WHERE a.relation = to_regclass('koban_lock.koban') AND a.granted AND NOT b.granted"
	wall := clock.NewSystem()
	for n := 0; n == 0 && err == nil; {
		if err = conn.QueryRow(ctx, usurp).Scan(&n); err == nil && n == 0 {
			<-wall.After(startPoll)
		}
	}
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

func admin(t testing.TB, server, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("reach PostgreSQL: %v", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		t.Fatalf("%s: %v", strings.Fields(statement)[0], err)
	}
}

// Kill ends every session of the platform at c that is in the middle of a statement or a transaction, and returns how
// many there were.
func Kill(c store.Config) (n int, err error) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return 0, fmt.Errorf("storetest: %w", err)
	}
	err = conn.QueryRow(ctx, `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'koban' AND state <> 'idle'`).Scan(&n)
	return n, errors.Join(err, conn.Close(ctx))
}

// Exec has a session of its own carry statements out, one after another, on the database of url.
func Exec(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	for _, text := range statements {
		if more := insist(ctx, conn, text); more != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", text, more))
		}
	}
	return errors.Join(err, conn.Close(ctx))
}

// insist makes a statement, again if the server let it lose against a platform at work: a deadlock has one loser.
func insist(ctx context.Context, conn *pgx.Conn, text string) error {
	const deadlock, tries = "40P01", 50
	for n := 1; ; n++ {
		_, err := conn.Exec(ctx, text)
		var pg *pgconn.PgError
		if n == tries || !errors.As(err, &pg) || pg.Code != deadlock {
			return err
		}
	}
}

// ServerError is what PostgreSQL says when something goes wrong there: a severity such as ERROR or FATAL, the SQLSTATE and
// a message.
func ServerError(severity, code, message string) error {
	return &pgconn.PgError{Severity: severity, SeverityUnlocalized: severity, Code: code, Message: message}
}
