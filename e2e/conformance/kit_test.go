package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "koban-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "koban")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/koban-pay/koban/cmd/koban")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build koban: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// shop is the sample participant as a process, and the command that kills and starts it.
type shop struct{ url, restart string }

func serve(t *testing.T, mistake string) shop {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "restart.sh")
	text := fmt.Sprintf("cd '%s'\n[ -f pid ] && kill -9 $(cat pid)\n'%s' tcc serve-sample --listen %s --data ./journal --broken '%s' >said 2>&1 &\necho $! >pid\n",
		dir, binary, address, mistake)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := shop{"http://" + address, "sh '" + script + "'"}
	if out, err := exec.Command("sh", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() {
		pid, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			t.Error(err)
			return
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(pid))); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL) // it may have gone
		}
	})
	dialer := net.Dialer{}
	for {
		c, err := dialer.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
			return s
		}
		select {
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// report is what a script reads of the kit's.
type report struct {
	OK     bool
	Passed int
	Failed int
	Groups []struct {
		Checks []struct {
			Name, Status, Found, Why, Fix string
			Calls                         []struct{ Request, Answer, Outcome string }
		}
	}
}

func (r report) of(status string) (out []string) {
	for _, g := range r.Groups {
		for _, c := range g.Checks {
			if c.Status == status {
				out = append(out, c.Name)
			}
		}
	}
	return out
}

// runKit runs koban tcc test and returns its exit code, report and page.
func runKit(t *testing.T, args ...string) (code int, r report, page string) {
	t.Helper()
	html := filepath.Join(t.TempDir(), "report.html")
	cmd := exec.CommandContext(context.Background(), binary, append([]string{"tcc", "test", "--json", "-", "--html", html}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code = cmd.ProcessState.ExitCode(); code == 2 {
		return code, r, said.String()
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.Bytes(), said.Bytes())
	}
	text, err := os.ReadFile(html)
	if err != nil {
		t.Fatal(err)
	}
	return code, r, string(text)
}

// TestKitLearnsOfCrashes: the real binary is killed and started between verbs and under load; the good one passes, and one
// that forgets in a crash fails where it should.
func TestKitLearnsOfCrashes(t *testing.T) {
	const crashes = "restart-confirm,restart-cancel,restart-refused,restart-tombstone,restart-under-load,restart-add"
	for mistake, want := range map[string]string{"": "", "restart-tombstone": "restart-tombstone"} {
		t.Run("broken "+mistake, func(t *testing.T) {
			s := serve(t, mistake)
			code, r, page := runKit(t, s.url, "--account", "member-1", "--amount", "1000000", "--add", "--restart", s.restart, "--only", crashes)
			if failed := strings.Join(r.of("failed"), " "); failed != want || (code == 0) != (want == "") || len(r.of("not_run")) > 0 {
				t.Errorf("exit code %d, failed %q, should be %q; not run %v: %+v", code, failed, want, r.of("not_run"), r.Groups)
			}
			if want != "" && !strings.Contains(page, `id="`+want+`"`) {
				t.Errorf("the page does not tell of %s", want)
			}
		})
	}
}

// TestKitNamesWhatIsWrong: whoever fails a check reads what was sent, what came back, why it matters and what to change;
// the page needs nothing from elsewhere.
func TestKitNamesWhatIsWrong(t *testing.T) {
	s := serve(t, "try-duplicate")
	code, r, page := runKit(t, s.url, "--setup", s.url+"/setup", "--only", "try-sets-aside,try-duplicate,add-adds")
	if code != 1 || r.OK || r.Passed != 1 || r.Failed != 1 || len(r.of("not_run")) != 1 {
		t.Fatalf("exit code %d, %+v", code, r)
	}
	for _, g := range r.Groups {
		for _, c := range g.Checks {
			if c.Status == "failed" && (c.Found == "" || c.Why == "" || c.Fix == "" || len(c.Calls) < 3 || c.Calls[0].Request == "" || c.Calls[0].Answer == "") {
				t.Errorf("%+v", c)
			}
		}
	}
	for _, outside := range []string{"src=", "http-equiv", "@import", "url(", "<script", "<link"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %s", outside)
		}
	}
}

// TestKitRefusesToGuess: without value to work with, without a service, or with words it does not know, it says what to
// give, and ends with 2.
func TestKitRefusesToGuess(t *testing.T) {
	for want, args := range map[string][]string{
		"--account":      {"http://127.0.0.1:1"},
		"--amount":       {"http://127.0.0.1:1", "--account", "a"},
		"nobody answers": {"http://127.0.0.1:1", "--account", "a", "--amount", "10000"},
		"no check":       {"http://127.0.0.1:1", "--account", "a", "--amount", "10000", "--only", "x"},
		"expected http":  {"ftp://127.0.0.1:1", "--account", "a", "--amount", "10000"},
		"currency":       {"http://127.0.0.1:1", "--currency", "QQQ"},
	} {
		if code, _, said := runKit(t, args...); code != 2 || !strings.Contains(said, want) {
			t.Errorf("%v: exit code %d, %q, should be 2 and %q", args, code, said, want)
		}
	}
}
