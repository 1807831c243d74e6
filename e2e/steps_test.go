package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/platform"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "koban-e2e-")
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

// steps is more than a charge from points and balance by a scanned code has. A process that is to die at a step that the
// payment does not reach dies before the payment is complete.
const steps = 14

// patience is for machines under load; nothing is measured against it.
const patience = time.Minute

// TestEveryStepHeals: the platform dies after each durable step of a payment in turn. Each time, the next start ends the
// payment by itself, the same request gets its answer, and the books are right.
func TestEveryStepHeals(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { everyStepHeals(t, "") })
	t.Run("postgres", func(t *testing.T) { everyStepHeals(t, storetest.Postgres(t)("x").URL) })
}

func everyStepHeals(t *testing.T, url string) {
	p := &running{t: t, dir: t.TempDir(), url: url}
	phases := map[string]bool{}
	for step := 1; step <= steps; step++ {
		p.start()
		session := p.scan(step)
		p.arm(step)
		if a, err := p.pay(step, session); err == nil {
			t.Fatalf("step %d: answered %d before the payment was complete: %s", step, a.status, a.body)
		}
		p.died()
		left, err := platform.Autopsy(t.Context(), p.dir, url)
		if err != nil || len(left) != 1 || left[0].Resource != "WORK_IN_PROGRESS" {
			t.Fatalf("step %d: the journal shows %+v unfinished, %v; expected one payment", step, left, err)
		}
		phases[left[0].Phase] = true
		p.proves(fmt.Sprintf("killed at step %d", step))
		p.start()
		p.heals(step, left[0].ID)
		a, err := p.pay(step, session)
		if err != nil || a.status != http.StatusCreated || a.text("id") != left[0].ID || a.text("status") != "CAPTURED" {
			t.Errorf("step %d: the request, sent again, got %d %s, %v", step, a.status, a.body, err)
		}
		p.stop()
	}
	if len(phases) < 2 {
		t.Errorf("all deaths were in the phases %v: the steps are not spread", phases)
	}
	p.proves("at the end")
	p.start()
	taken := p.call("GET", "/v1/accounts/"+p.card.Merchants[0].Account, "", nil)
	if want := fmt.Sprint(1200 * steps); taken.text("posted") != want {
		t.Errorf("the shop has %s; expected %s from %d payments", taken.text("posted"), want, steps)
	}
	p.stop()
}

// proves requires the books of the stopped platform to be right, with whatever is under way in them.
func (p *running) proves(when string) {
	p.t.Helper()
	report, err := platform.Verify(p.t.Context(), platform.VerifyConfig{Data: p.dir, StoreURL: p.url, Rebuild: true})
	if err != nil {
		p.t.Fatalf("%s: verify: %v", when, err)
	}
	for _, i := range report.Invariants {
		if i.Violations > 0 {
			p.t.Errorf("%s: %s (%s) is violated: %v", when, i.ID, i.Title, i.Examples)
		}
	}
}

// running is a koban run that is started again and again.
type running struct {
	t    *testing.T
	dir  string
	url  string
	with string // the program; "" is the one that was built from this tree
	cmd  *exec.Cmd
	said *bytes.Buffer
	card *platform.Card
}

func (p *running) start() {
	p.t.Helper()
	args := []string{"run", "--data", p.dir, "--listen", "127.0.0.1:0", "--mortal"}
	if p.url != "" {
		args = append(args, "--store", p.url)
	}
	p.said = &bytes.Buffer{}
	p.cmd = exec.Command(cmp.Or(p.with, binary), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.wait("platform.json", func() bool {
		card, err := platform.ReadCard(p.dir)
		p.card = card
		return err == nil && card.PID == p.cmd.Process.Pid
	})
}

// wait waits until something is so.
func (p *running) wait(what string, so func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			p.t.Fatalf("no %s in time\n%s", what, p.said)
		case <-tick.C:
		}
	}
}

// arm has the platform die at a step of the next payment.
func (p *running) arm(step int) {
	p.t.Helper()
	path := filepath.Join(p.dir, platform.DieFile)
	if err := os.WriteFile(path, []byte(strconv.Itoa(step)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		p.t.Fatal(err)
	}
	p.wait("armed platform", func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	})
}

// died requires the platform to have killed itself.
func (p *running) died() {
	p.t.Helper()
	_ = p.cmd.Wait() // how it ended, the state says
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		p.t.Fatalf("the platform ended with %v\n%s", p.cmd.ProcessState, p.said)
	}
}

func (p *running) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("stop: %v\n%s", err, p.said)
	}
}

// answer is what the platform said.
type answer struct {
	status int
	body   []byte
}

// text returns a member of the answer as text.
func (a answer) text(name string) string {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(a.body, &m) // what is not there is ""
	var s string
	if json.Unmarshal(m[name], &s) == nil {
		return s
	}
	return string(m[name])
}

func (p *running) try(method, path, key string, body any) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.card.Address+path, bytes.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.card.Keys.Operator)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, out}, err
}

func (p *running) call(method, path, key string, body any) answer {
	p.t.Helper()
	a, err := p.try(method, path, key, body)
	if err != nil || a.status >= 400 {
		p.t.Fatalf("%s %s: %d %s, %v", method, path, a.status, a.body, err)
	}
	return a
}

func (p *running) scan(step int) string {
	p.t.Helper()
	return p.call("POST", "/v1/code-sessions", fmt.Sprint("scan-", step), map[string]any{
		"payload": p.card.Merchants[0].Payload, "customer": p.card.Customers[step%20].ID,
	}).text("id")
}

func (p *running) pay(step int, session string) (answer, error) {
	return p.try("POST", "/v1/payments", fmt.Sprint("pay-", step), map[string]any{
		"kind": "charge", "session": session, "customer": p.card.Customers[step%20].ID, "amount": map[string]any{"currency": "JPY", "value": 1200},
		"sources": []any{map[string]any{"type": "points", "amount": map[string]any{"currency": "PT", "value": 200}}, map[string]any{"type": "balance"}},
	})
}

// heals waits until a payment is captured, without anybody asking for it again.
func (p *running) heals(step int, id string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("end of the payment killed at step %d", step), func() bool {
		a := p.call("GET", "/v1/payments/"+id, "", nil)
		return a.text("status") == "CAPTURED" && a.text("resource_status") == "WAIT"
	})
}
