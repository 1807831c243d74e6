package takeover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
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

// serve starts a server that ends with the test.
func serve(t *testing.T) *server {
	t.Helper()
	c, err := storetest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	s := &server{url: c.URL}
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	if s.data, err = find(u.Port()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.data, "postmaster.opts"))
	if err != nil {
		t.Fatal(err)
	}
	binary, rest, _ := bytes.Cut(text, []byte(" "))
	s.line = []string{string(binary)}
	for _, m := range quoted.FindAllSubmatch(rest, -1) {
		s.line = append(s.line, string(m[1]))
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

// find returns the data folder of the server that listens on a port.
func find(port string) (string, error) {
	for _, root := range []string{"/dev/shm", os.TempDir()} { // where storetest puts it
		files, err := filepath.Glob(filepath.Join(root, "koban-pg-*", "data", pidFile))
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL: %w", err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if lines := bytes.Split(text, []byte("\n")); err == nil && len(lines) > 3 && string(lines[3]) == port {
				return filepath.Dir(f), nil
			}
		}
	}
	return "", errors.New("no PostgreSQL of storetest listens on port " + port)
}

// pidFile holds the server's number in its first line and its port in the fourth (PostgreSQL manual, "Creating a
// Database Cluster"; miscadmin.h of its source).
const pidFile = "postmaster.pid"

// pid returns the number of the server that runs.
func (s *server) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data, pidFile))
	if err != nil {
		return 0, fmt.Errorf("the server's number: %w", err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil {
		return 0, fmt.Errorf("the server's number: %w", err)
	}
	return pid, nil
}

const serverPoll = 5 * time.Millisecond

// stop ends the server as pg_ctl does, and waits until it has ended.
func (s *server) stop(ctx context.Context, how syscall.Signal) error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, how); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	if s.now != nil {
		_ = s.now.Wait() // it was told to end: how it did says nothing
	}
	for { // the last thing that it does is to take its number away
		if _, err := s.pid(); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err := wait(ctx, serverPoll); err != nil {
			return fmt.Errorf("PostgreSQL does not stop: %w", err)
		}
	}
}

// start starts the server again, and waits until it answers.
func (s *server) start(ctx context.Context) error {
	s.now = exec.Command(s.line[0], s.line[1:]...)
	s.now.Dir = s.data
	s.now.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true, Pdeathsig: immediate}
	if err := s.now.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	for {
		db, err := store.Open(ctx, store.Config{URL: s.url})
		if err == nil {
			return db.Close()
		}
		if wait(ctx, serverPoll) != nil {
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}
