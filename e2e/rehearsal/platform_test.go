package rehearsal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var full = flag.Bool("full", false, "kill at the verbs of every participant, not of points alone")

// binary is koban, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(withBinary(m.Run))
}

func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "koban-rehearsal-")
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
	return run()
}

// Limits are for machines under load; nothing is measured against them.
const (
	patience = 60 * time.Second
	poll     = 5 * time.Millisecond
)

// platform is a running koban.
type platform struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	out  *bytes.Buffer // both of its outputs, once done
	done chan struct{}
	card struct {
		Address   string
		PID       int
		Rehearsal bool
		Keys      struct{ Operator string }
		Customers []struct {
			ID              string
			Balance, Points struct{ Account string }
		}
		Merchants []struct{ ID, Payload string }
	}
}

// start starts koban run in dir, and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *platform {
	t.Helper()
	p := &platform{t: t, dir: dir, out: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{"run", "--data", dir, "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may be gone
		<-p.done
	})
	p.await("koban run is ready", func() bool {
		select {
		case <-p.done:
			t.Fatalf("koban run ended: %s", p.out)
		default:
		}
		text, err := os.ReadFile(filepath.Join(dir, "platform.json"))
		return err == nil && json.Unmarshal(text, &p.card) == nil && p.card.PID == p.cmd.Process.Pid
	})
	return p
}

// await waits until done; often is called now and then meanwhile.
func (p *platform) await(what string, done func() bool, often ...func()) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for n := 1; !done(); n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("waited in vain: %s", what)
		}
		if n%10 == 0 {
			for _, f := range often {
				f()
			}
		}
	}
}

// stop tells the platform to stop, and requires that it does so in order.
func (p *platform) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("the platform ended with %d:\n%s", code, p.out)
	}
}

// killed waits for the platform's death by its own hand.
func (p *platform) killed() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("the platform did not die")
	}
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		p.t.Fatalf("the platform ended with %v:\n%s", p.cmd.ProcessState, p.out)
	}
}

// object is a JSON object.
type object map[string]any

func (o object) text(name string) string { s, _ := o[name].(string); return s }

func (o object) int(name string) int64 { f, _ := o[name].(float64); return int64(f) }

func (o object) list(name string) (out []object) {
	l, _ := o[name].([]any)
	for _, one := range l {
		m, _ := one.(map[string]any)
		out = append(out, m)
	}
	return out
}

// send sends a request as the operator. A platform that died gives status 0.
func (p *platform) send(method, path, key string, body any) (int, object) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	if method == http.MethodGet {
		text = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, p.card.Address+path, bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.card.Keys.Operator)
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	var o object
	if text, err = io.ReadAll(resp.Body); err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, o
}

func (p *platform) get(path string) object {
	p.t.Helper()
	status, o := p.send(http.MethodGet, path, "", nil)
	if status != 200 {
		p.t.Fatalf("GET %s: %d %v", path, status, o)
	}
	return o
}

func (p *platform) post(path string, body any) object {
	p.t.Helper()
	status, o := p.send(http.MethodPost, path, rand.Text(), body)
	if status < 200 || status > 202 {
		p.t.Fatalf("POST %s %v: %d %v", path, body, status, o)
	}
	return o
}

// inject injects a fault, and returns its id.
func (p *platform) inject(body object) string {
	p.t.Helper()
	return p.post("/v1/faults", body).text("id")
}

// hits returns how many calls a fault has hit.
func (p *platform) hits(id string) int64 {
	p.t.Helper()
	for _, f := range p.get("/v1/faults").list("items") {
		if f["id"] == id {
			return f.int("hit")
		}
	}
	p.t.Fatalf("fault %s is gone", id)
	return 0
}

// late returns how many calls are on their way.
func (p *platform) late() string {
	p.t.Helper()
	_, after, _ := strings.Cut(p.page("/metrics"), "\nkoban_fault_calls_late ")
	n, _, _ := strings.Cut(after, "\n")
	return n
}

func (p *platform) clear() { p.t.Helper(); p.post("/v1/faults/clear", object{}) }

func (p *platform) advance(d time.Duration) {
	p.t.Helper()
	p.post("/v1/clock/advance", object{"by_ms": d.Milliseconds()})
}

// command runs koban on the platform, requires its exit code, and returns what it printed.
func command(t *testing.T, code int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, binary, args...)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || c.ProcessState.ExitCode() != code {
		t.Fatalf("koban %s ended with %v, expected %d:\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}
