package chaos

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// Build builds the binary into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "koban")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "github.com/koban-pay/koban/cmd/koban")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return path, nil
}

// Program is a platform that can be started, killed and started again on the same books.
type Program struct {
	Path  string   // of the binary
	Args  []string // nil: those of the real binary
	Env   []string // beside our own environment
	Data  string   // the data folder
	Store string   // of PostgreSQL; "" keeps the books in the data folder
	Lies  bool     // it answers before it commits: it is a Control
}

// args are the arguments of the real binary. With a store elsewhere it waits until the server has noticed that the
// process before it is dead.
func (p *Program) args() []string {
	if p.Args != nil {
		return p.Args
	}
	args := []string{"run", "--data", p.Data, "--listen", "127.0.0.1:0", "--mortal"}
	if p.Store != "" {
		args = append(args, "--store", p.Store, "--standby")
	}
	return args
}

// shareKey gives programs on one store the root key of the platform that the first of them will make.
func shareKey(programs ...*Program) error {
	key := hex.EncodeToString([]byte(rand.Text() + rand.Text())[:32])
	for _, p := range programs {
		err := os.MkdirAll(p.Data, 0o700)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.Data, platform.RootKeyFile), []byte(key), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Platform is one life of a program.
type Platform struct {
	Card    *platform.Card // set once it is ready
	Started clock.Micros   // when the process started
	Ready   time.Duration  // from then until it was ready

	data  string
	clk   clock.Clock
	cmd   *exec.Cmd
	said  *said
	ended chan struct{} // closed when the process has ended
}

// readyLimit bounds a start.
const readyLimit = 2 * time.Minute

// Start starts the program and waits until it is ready.
func (p *Program) Start(ctx context.Context) (*Platform, error) {
	l, err := p.Exec()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := l.wait(ctx); err != nil {
		return nil, errors.Join(err, l.Kill())
	}
	return l, nil
}

// Exec starts the program and does not wait.
func (p *Program) Exec() (*Platform, error) {
	clk := clock.NewSystem()
	l := &Platform{Started: clk.Now(), data: p.Data, clk: clk, said: &said{}, ended: make(chan struct{})}
	l.cmd = exec.Command(p.Path, p.args()...) //nolint:noctx // the binary that was built, or ourselves; it ends when it is killed
	l.cmd.Env = append(os.Environ(), p.Env...)
	l.cmd.Stderr = l.said
	// It must not outlive us, and our Ctrl-C is not for it.
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the platform: %w", err)
	}
	go func() {
		_ = l.cmd.Wait() // how it ended stands in ProcessState
		close(l.ended)
	}()
	return l, nil
}

// poll is how often something is looked at that cannot be waited for.
const poll = 2 * time.Millisecond

// wait returns once the platform is ready.
func (l *Platform) wait(ctx context.Context) error {
	for {
		card, err := platform.ReadCard(l.data)
		if err == nil && card.PID == l.cmd.Process.Pid {
			l.Card, l.Ready = card, l.clk.Now().Sub(l.Started)
			return nil
		}
		select {
		case <-l.ended:
			return fmt.Errorf("the platform did not start: %s\n%s", l.cmd.ProcessState, l.said)
		case <-ctx.Done():
			return fmt.Errorf("the platform was not ready in time\n%s", l.said)
		case <-clock.Pause(poll):
		}
	}
}

// Kill ends the platform with SIGKILL. A platform that had ended otherwise is an error.
func (l *Platform) Kill() error {
	select {
	case <-l.ended:
		return l.killed()
	default:
	}
	if err := l.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the platform: %w", err)
	}
	<-l.ended
	return l.killed()
}

// killed requires that the process, which has ended, died of SIGKILL.
func (l *Platform) killed() error {
	state, ok := l.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !state.Signaled() || state.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the platform ended by itself, with %s\n%s", l.cmd.ProcessState, l.said)
	}
	return nil
}

// DieAtDecision has the platform kill itself when the next decision to confirm is durable, and waits for that.
func (l *Platform) DieAtDecision(ctx context.Context) error {
	path := filepath.Join(l.data, platform.DieFile)
	if err := os.WriteFile(path, []byte(platform.DieAtDecision), 0o600); err != nil {
		return fmt.Errorf("arm the platform: %w", err)
	}
	if err := l.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return fmt.Errorf("arm the platform: %w", err)
	}
	select {
	case <-l.ended:
	case <-ctx.Done():
		return errors.New("the platform did not die at a decision")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(errors.New("the platform died before it was armed"), os.Remove(path))
	}
	return l.killed()
}

// Freeze stops the process for a while, as a machine does that swaps or is moved, and lets it go on.
func (l *Platform) Freeze(ctx context.Context, d time.Duration) error {
	if err := l.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze the platform: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-clock.Pause(d):
	}
	return l.cmd.Process.Signal(syscall.SIGCONT)
}

// heldElsewhere is the exit code of a platform whose store another process holds.
const heldElsewhere = 3

// Replaced requires that the platform ends by itself, for another process has taken its store over.
func (l *Platform) Replaced(ctx context.Context) error {
	select {
	case <-l.ended:
	case <-ctx.Done():
		return errors.Join(errors.New("the platform goes on although another process has taken over"), l.Kill())
	}
	if code := l.cmd.ProcessState.ExitCode(); code != heldElsewhere {
		return fmt.Errorf("the platform was replaced and ended with %s\n%s", l.cmd.ProcessState, l.said)
	}
	return nil
}

// Stop ends the platform in order.
func (l *Platform) Stop(ctx context.Context) error {
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the platform: %w", err)
	}
	select {
	case <-l.ended:
	case <-ctx.Done():
		return errors.Join(errors.New("the platform did not stop in time"), l.Kill())
	}
	if !l.cmd.ProcessState.Success() {
		return fmt.Errorf("the platform stopped with %s\n%s", l.cmd.ProcessState, l.said)
	}
	return nil
}

// Verify has the real binary judge the books, with every table rebuilt, and returns what it finds wrong.
func (p *Program) Verify(ctx context.Context, binary string) (wrong []string, err error) {
	args := []string{"verify", "--data", p.Data, "--rebuild", "--json"}
	if p.Store != "" {
		args = append(args, "--store", p.Store)
	}
	said := &said{}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = said
	text, failed := cmd.Output()
	var report struct {
		OK         bool `json:"ok"`
		Invariants []struct {
			ID         string   `json:"id"`
			Checked    int64    `json:"checked"`
			Violations int64    `json:"violations"`
			Examples   []string `json:"examples"`
		} `json:"invariants"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("koban verify: %w: %s", errors.Join(failed, err), said)
	}
	checked := int64(0)
	for _, i := range report.Invariants {
		if checked += i.Checked; i.Violations > 0 {
			wrong = append(wrong, fmt.Sprintf("%s has %d violations: %s", i.ID, i.Violations, strings.Join(i.Examples, "; ")))
		}
	}
	if checked == 0 || (!report.OK || failed != nil) && len(wrong) == 0 {
		wrong = append(wrong, fmt.Sprintf("it checked %d, said ok %t and ended with %v", checked, report.OK, failed))
	}
	return wrong, nil
}

// said keeps the beginning of what a process writes to its standard error.
type said struct {
	mu   sync.Mutex
	text []byte
}

const saidLimit = 16 << 10

// Write implements io.Writer.
func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b[:min(len(b), saidLimit-len(s.text))]...)
	return len(b), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}
