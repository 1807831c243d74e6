package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// child is a platform that runs as a process of its own.
type child struct {
	dir   string
	card  *platform.Card
	ready time.Duration // from start to ready
	cmd   *exec.Cmd
	said  *strings.Builder // its standard error
	ended chan error
}

// launch starts a platform on dir and waits until it is ready.
func launch(ctx context.Context, dir, store string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"run", "--data", dir, "--listen", "127.0.0.1:0", "--mortal"}
	c := &child{dir: dir, said: &strings.Builder{}, ended: make(chan error, 1)}
	c.cmd = exec.Command(self, args...) //nolint:noctx // it is stopped by name, and waited for
	c.cmd.Stderr = c.said
	if store != "" { // everybody on the machine can read a command line, and there may be a password in it
		c.cmd.Env = append(os.Environ(), "KOBAN_STORE="+store)
	}
	// It must not outlive us, and must not get our Ctrl-C before we have put things in order.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	clk := clock.NewSystem()
	began := clk.Now()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the platform: %w", err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	for {
		card, err := platform.ReadCard(dir)
		if err == nil && card.PID == c.cmd.Process.Pid {
			c.card, c.ready = card, clk.Now().Sub(began)
			return c, nil
		}
		select {
		case err := <-c.ended:
			return nil, fmt.Errorf("the platform did not start: %w\n%s", err, c.said)
		case <-ctx.Done():
			c.stop()
			return nil, fmt.Errorf("the platform was not ready in time\n%s", c.said)
		case <-clock.Pause(2 * time.Millisecond):
		}
	}
}

// arm has the platform die at the given step of the next payment.
func (c *child) arm(ctx context.Context, step int) error {
	path := filepath.Join(c.dir, platform.DieFile)
	if err := os.WriteFile(path, []byte(strconv.Itoa(step)), 0o600); err != nil {
		return err
	}
	if err := c.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil // its going says that the process is armed
		}
		select {
		case <-ctx.Done():
			return errors.New("the platform did not take the step at which to die")
		case <-clock.Pause(time.Millisecond):
		}
	}
}

// died waits for the platform's end and requires that it was SIGKILL.
func (c *child) died(ctx context.Context) error {
	select {
	case <-c.ended:
	case <-ctx.Done():
		return errors.New("the platform did not die")
	}
	state, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !state.Signaled() || state.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the platform ended with %s; expected SIGKILL\n%s", c.cmd.ProcessState, c.said)
	}
	c.cmd = nil
	return nil
}

// stop ends the platform, in order if it can.
func (c *child) stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-clock.Pause(10 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	c.cmd = nil
}
