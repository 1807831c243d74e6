package takeover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/koban-pay/koban/internal/store/storetest"
)

// server is a PostgreSQL of a test's own that can be restarted.
type server struct {
	url  string
	data string
	line []string // its command line
	as   *syscall.Credential
	now  *exec.Cmd // the one that runs; nil while it is the first
}

// The signals by which pg_ctl stops a server.
const (
	fast      = syscall.SIGINT  // sessions are ended, what is committed is written
	immediate = syscall.SIGQUIT // everything ends at once; the next start recovers from the log
)

var quoted = regexp.MustCompile(`"([^"]*)"`)

// serve starts a server that ends with the test. What is dropped of its settings has its usual value.
func serve(t *testing.T, dropped ...string) *server {
	t.Helper()
	c, err := storetest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	s := &server{url: c.URL}
	s.ask(t, "SHOW data_directory", &s.data)
	text, err := os.ReadFile(filepath.Join(s.data, "postmaster.opts"))
	if err != nil {
		t.Fatal(err)
	}
	binary, rest, _ := bytes.Cut(text, []byte(" "))
	s.line = []string{string(binary)}
	for _, m := range quoted.FindAllSubmatch(rest, -1) {
		s.line = append(s.line, string(m[1]))
	}
	for _, d := range dropped {
		i := slices.Index(s.line, d)
		if i < 1 {
			t.Fatalf("the server's command line has no %s: %q", d, s.line)
		}
		s.line = slices.Delete(s.line, i-1, i+1)
	}
	info, err := os.Stat(s.data)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); int(owner.Uid) != os.Geteuid() {
		s.as = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	t.Cleanup(func() {
		if s.now != nil {
			_ = s.now.Process.Signal(immediate)
			_ = s.now.Wait() // it was told to end: how it did says nothing
		}
	})
	return s
}

// ask asks the server for one value.
func (s *server) ask(t *testing.T, query string, v any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	err = conn.QueryRow(t.Context(), query).Scan(v)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// do has the server execute statements.
func (s *server) do(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	for _, text := range statements {
		_, e := conn.Exec(ctx, text)
		err = errors.Join(err, e)
	}
	return errors.Join(err, conn.Close(ctx))
}

const serverPoll = 5 * time.Millisecond

// stop ends the server as pg_ctl does, and waits until it has ended.
func (s *server) stop(ctx context.Context, how syscall.Signal) error {
	path := filepath.Join(s.data, "postmaster.pid")
	text, err := os.ReadFile(path) //nolint:gosec // the server's own file
	if err != nil {
		return fmt.Errorf("the server's number: %w", err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil {
		return fmt.Errorf("the server's number: %w", err)
	}
	if err := syscall.Kill(pid, how); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	if s.now != nil {
		_ = s.now.Wait() // it was told to end: how it did says nothing
	}
	for { // the last thing that it does is to take its number away
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := wait(ctx, serverPoll); err != nil {
			return fmt.Errorf("PostgreSQL does not stop: %w", err)
		}
	}
}

// start starts the server again, and waits until it answers.
func (s *server) start(ctx context.Context) error {
	s.now = exec.Command(s.line[0], s.line[1:]...) //nolint:gosec,noctx // the server that ran before; it ends with the test
	s.now.Dir = s.data
	s.now.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true, Pdeathsig: immediate}
	if err := s.now.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return conn.Close(ctx)
		}
		if wait(ctx, serverPoll) != nil {
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}
