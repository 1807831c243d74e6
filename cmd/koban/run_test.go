package main

import (
	"bytes"
	"encoding/json"
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

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// A test binary that finds this in the environment is koban.
const childVariable = "KOBAN_COMMAND_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
	}
	for _, name := range []string{"KOBAN_ADDRESS", "KOBAN_KEY", "KOBAN_STORE"} {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// koban returns a command of koban, which ends with the test.
func koban(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), childVariable+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// does runs a command of koban, requires its exit code, and returns what it said, errors included.
func does(t *testing.T, code int, args ...string) string {
	t.Helper()
	c := koban(t, args...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != code {
		t.Fatalf("koban %s: %v, expected exit code %d: %s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// running is a koban run that is ready.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	said *bytes.Buffer // to be read once it has ended
	over chan struct{}
	card *platform.Card
}

// runs starts koban run, and waits until it is ready.
func runs(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	p := &running{t: t, cmd: koban(t, append([]string{"run", "--data", dir, "--listen", "127.0.0.1:0"}, args...)...), said: &bytes.Buffer{}, over: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended stands in ProcessState
		close(p.over)
	}()
	p.await("koban run is ready", func() bool {
		card, err := platform.ReadCard(dir)
		p.card = card
		return err == nil && card.PID == p.cmd.Process.Pid
	})
	return p
}

func (p *running) await(what string, ok func() bool) {
	p.t.Helper()
	for !ok() {
		select {
		case <-clock.Pause(5 * time.Millisecond):
		case <-p.over:
			p.t.Fatalf("koban run ended before %s: %s", what, p.said)
		case <-p.t.Context().Done():
			p.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// metrics returns the lines of /metrics about the judge, by name.
func (p *running) metrics() map[string]string {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.card.Address+"/metrics", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "koban_judge_") {
			out[name] = value
		}
	}
	return out
}

// stop tells the platform to stop, requires that it does so in order, and returns what it said.
func (p *running) stop() string {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	<-p.over
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("koban run ended with %d: %s", code, p.said)
	}
	return p.said.String()
}

func TestRunSetsTheJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want map[string]string // of the metrics; "" for one that is not there
	}{
		"as it comes": {nil, map[string]string{"on": "1", "rest_seconds": "5", "share_percent": "5"}},
		"as asked": {
			[]string{"--judge-every", "2m", "--judge-share", "40"},
			map[string]string{"on": "1", "rest_seconds": "120", "share_percent": "40"},
		},
		"off": {[]string{"--judge-every", "off"}, map[string]string{"on": "0", "rest_seconds": "", "share_percent": "", "sweeps_total": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := runs(t, t.TempDir(), append(tc.args, "--tenant", "none")...)
			if tc.want["on"] == "1" {
				p.await("a sweep", func() bool { return p.metrics()["koban_judge_sweeps_total"] != "0" })
			}
			for name, want := range tc.want {
				if got := p.metrics()["koban_judge_"+name]; got != want {
					t.Errorf("koban_judge_%s is %q, expected %q", name, got, want)
				}
			}
			if said := p.stop(); strings.Contains(said, "nobody judges the books") != (tc.want["on"] == "0") {
				t.Errorf("koban run says %s", said)
			}
		})
	}
}

func TestRunSaysWhatTheJudgeTakes(t *testing.T) {
	const every, share = "expected off, or whole seconds from 1s to 1h", "expected a whole number from 1 to 100"
	for _, tc := range []struct{ flag, value, says string }{
		{"--judge-every", "0s", every},
		{"--judge-every", "1500ms", every},
		{"--judge-every", "61m", every},
		{"--judge-every", "often", every},
		{"--judge-share", "0", share},
		{"--judge-share", "101", share},
		{"--judge-share", "a tenth", share},
	} {
		said := does(t, exitCannot, "run", "--data", t.TempDir(), tc.flag, tc.value)
		if want := fmt.Sprintf("%s: %q: %s", tc.flag, tc.value, tc.says); !strings.Contains(said, want) {
			t.Errorf("%s %s: expected %q, koban says %s", tc.flag, tc.value, want, said)
		}
	}
	if help := does(t, exitDone, "run", "--help"); !strings.Contains(help, "--judge-every") || !strings.Contains(help, "/healthz") {
		t.Errorf("the help does not teach it: %s", help)
	}
}

func TestVerifySaysWhatBooksAreFor(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		args       []string
		want       any
	}{
		{"production", "", nil, false},
		{"rehearsal", "REHEARSAL  these books are not for production\n", []string{"--rehearsal"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			p := runs(t, dir, append(tc.args, "--tenant", "none")...)
			for _, when := range []string{"beside it", "after it"} {
				var report map[string]any
				if err := json.Unmarshal([]byte(does(t, exitDone, "verify", "--json", "--data", dir)), &report); err != nil {
					t.Fatal(err)
				}
				books, _ := report["books"].([]any)
				invariants, _ := report["invariants"].([]any)
				if report["rehearsal"] != tc.want || report["ok"] != true || len(books) == 0 || len(invariants) == 0 {
					t.Errorf("verify %s says %v", when, report)
				}
				if said := does(t, exitDone, "verify", "--data", dir); !strings.HasPrefix(said, tc.text) || strings.Contains(said, "REHEARSAL") != (tc.want == true) {
					t.Errorf("verify %s says %s", when, said)
				}
				if when == "beside it" {
					p.stop()
				}
			}
		})
	}
}
