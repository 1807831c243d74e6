package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is koban, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m.Run)) }

func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "koban-contract-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"KOBAN_ADDRESS", "KOBAN_KEY", "KOBAN_STORE"} {
		os.Unsetenv(name)
	}
	binary = filepath.Join(dir, "koban")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/koban-pay/koban/cmd/koban")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build koban: %v\n%s", err, out)
		return 1
	}
	code := run()
	if err := demo.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Limits are for machines under load; nothing is measured against them.
const (
	patience = 60 * time.Second
	poll     = 10 * time.Millisecond
)

// platform is a running koban.
type platform struct {
	dir  string
	cmd  *exec.Cmd
	out  bytes.Buffer // both of its outputs
	done chan struct{}
	err  error // once done
	card card
}

type card struct {
	Address   string
	PID       int
	Data      string
	Store     string
	Keys      struct{ Operator, Customer_app, Merchant string } //nolint:staticcheck // as platform.json has it
	Customers []struct {
		ID              string
		Balance, Points struct {
			Account string
			Value   int64
		}
	}
	Merchants []struct{ ID, Name, Payload, Account, Key string }
}

// launch starts koban run on a free port, and does not wait for it.
func launch(dir string, args ...string) (*platform, error) {
	p := &platform{dir: dir, done: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{"run", "--data", dir, "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ready waits for platform.json of this process.
func (p *platform) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(filepath.Join(p.dir, "platform.json"))
		if err == nil {
			// It is written atomically: what is there can be read.
			if err := json.Unmarshal(text, &p.card); err != nil {
				return fmt.Errorf("platform.json: %w: %s", err, text)
			}
			if p.card.PID == p.cmd.Process.Pid {
				return nil
			}
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-p.done:
			return fmt.Errorf("koban run ended: %w\n%s", p.err, p.out.String())
		case <-ctx.Done():
			return fmt.Errorf("koban run is not ready after %v", patience)
		case <-tick.C:
		}
	}
}

// start starts a platform in dir for the time of the test.
func start(t *testing.T, dir string, args ...string) *platform {
	t.Helper()
	p, err := launch(dir, args...)
	if err == nil {
		t.Cleanup(p.kill)
		err = p.ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stop tells the platform to stop, and returns its exit code.
func (p *platform) stop() int {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may be gone
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

func (p *platform) kill() {
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.done
}

// lazy is the one demo platform that most tests share. Each test makes customers and merchants of its own there.
type lazy struct {
	once sync.Once
	p    *platform
	err  error
}

var demo lazy

func (l *lazy) start() (*platform, error) {
	dir, err := os.MkdirTemp(filepath.Dir(binary), "demo-")
	if err != nil {
		return nil, err
	}
	p, err := launch(dir)
	if err != nil {
		return nil, err
	}
	l.p = p // to be stopped, ready or not
	return p, p.ready()
}

func (l *lazy) get(t *testing.T) *platform {
	t.Helper()
	l.once.Do(func() { _, l.err = l.start() })
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.p
}

// end stops the platform, and judges its books: whatever the tests did to it, they are right.
func (l *lazy) end() error {
	if l.p == nil || l.err != nil {
		return nil //nolint:nilerr // the tests have told of it
	}
	if code := l.p.stop(); code != 0 {
		return fmt.Errorf("the shared platform ended with %d:\n%s", code, l.p.out.String())
	}
	if out, err := exec.Command(binary, "verify", "--data", l.p.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("the books that the tests left: %w\n%s", err, out)
	}
	return nil
}

// result is what a command left behind.
type result struct {
	code     int
	out, err string
}

// koban runs a command to its end, with env added to the environment.
func koban(t *testing.T, in string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(in), &out, &errs
	c.Env = append(os.Environ(), env...)
	c.Dir = t.TempDir()
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("koban %s: %v", strings.Join(args, " "), err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// command runs a command and requires its exit code; it returns what it printed.
func command(t *testing.T, code int, args ...string) string {
	t.Helper()
	r := koban(t, "", nil, args...)
	if r.code != code {
		t.Fatalf("koban %s ended with %d, expected %d:\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	return r.out
}
