package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/score"
)

// runner runs parts and tells of them.
type runner struct {
	out  io.Writer // lines, for good
	live io.Writer // what changes every second; nil if nobody looks
	clk  clock.Clock
	dir  string // for what parts print and report
	make string // the program that makes targets
	size string
	wait time.Duration // for a part to clean up once it is told to stop
}

const (
	glance = 500 * time.Millisecond // how often is looked for new lines
	grace  = 40 * time.Second       // for a part to clean up: to stop a PostgreSQL, to unmount
	tail   = 25                     // how many lines of a failing part are shown
)

// part runs one part and returns its lines and how long it took. The error is ctx's if that has ended.
func (r *runner) part(ctx context.Context, p part) ([]line, time.Duration, error) {
	r.say("\n%s: make %s (at most %s)\n", p.name, strings.Join(quoted(p.command(r.size)), " "), short(p.within(r.size)))
	file := filepath.Join(r.dir, p.name+".jsonl")
	o := r.watch(ctx, p, file)
	if err := ctx.Err(); err != nil {
		return nil, o.took, err
	}
	lines, err := read(file, r.size)
	o.err = errors.Join(o.err, err)
	lines = p.complete(lines, o, r.size)
	if o.err != nil {
		said := strings.Split(strings.TrimRight(string(o.said), "\n"), "\n")
		r.say("  %s\n", strings.Join(said[max(0, len(said)-tail):], "\n  "))
		r.say("  everything it printed: %s\n", filepath.Join(r.dir, p.name+".log"))
	}
	bad := "all right"
	if n := failures(lines); n > 0 {
		bad = fmt.Sprintf("%d FAIL", n)
	}
	r.say("  %s: %d lines, %s\n", short(o.took), len(lines), bad)
	return lines, o.took, nil
}

// watch runs the command of a part to its end or its limit, and shows its lines as they come.
func (r *runner) watch(ctx context.Context, p part, file string) (o outcome) {
	began := r.clk.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, p.within(r.size), errLimit)
	defer cancel()
	var said tee
	said.log, o.err = os.Create(filepath.Join(r.dir, p.name+".log"))
	if o.err != nil {
		return o
	}
	cmd := exec.CommandContext(ctx, r.make, p.command(r.size)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(plain(os.Environ()), score.FileEnv+"="+file), &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = r.wait
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	done := make(chan error, 1)
	if o.err = cmd.Start(); o.err != nil {
		return o
	}
	go func() { done <- cmd.Wait() }()
	shown := 0
	for waits := true; waits; {
		select {
		case o.err = <-done:
			waits = false
		case <-clock.Pause(glance):
		}
		o.took = r.clk.Now().Sub(began)
		shown = r.show(file, shown)
		if waits {
			r.flash(p.name + " " + short(o.took))
		}
	}
	r.wipe()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever is left of a part that was stopped
	if errors.Is(context.Cause(ctx), errLimit) {
		o.err = errLimit
	}
	o.said = said.text.Bytes()
	o.err = errors.Join(o.err, said.log.Close())
	return o
}

func (r *runner) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format, args...) }

// flash shows what is replaced by the next thing that is said.
func (r *runner) flash(text string) {
	if r.live != nil {
		_, _ = fmt.Fprintf(r.live, "\r  %s\033[K", text)
	}
}

func (r *runner) wipe() {
	if r.live != nil {
		_, _ = fmt.Fprint(r.live, "\r\033[K")
	}
}

var errLimit = errors.New("it took longer than its limit and was stopped")

// show prints the lines of a file that have come since shown bytes of it were read, and returns how many are read now.
func (r *runner) show(file string, shown int) int {
	text, err := os.ReadFile(file)
	if err != nil || len(text) <= shown { // it is not there before the first line
		return shown
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole <= shown {
		return shown
	}
	r.wipe()
	for one := range bytes.Lines(text[shown:whole]) {
		if l, ok := parse(one); ok {
			r.say("  %-10s %s: %s\n", line{Line: l}.verdict(), l.ID, l.Figure)
		}
	}
	return whole
}

// tee keeps what a part prints, and writes it to its log.
type tee struct {
	mu   sync.Mutex
	text bytes.Buffer
	log  *os.File
}

func (t *tee) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p)
	return t.log.Write(p)
}

// plain leaves out what a make that started this command would tell another, such as its own ARGS, and the score of
// somebody else.
func plain(env []string) (out []string) {
	for _, e := range env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "MAKEFILES", "ARGS", "PKG", "RUN", score.FileEnv:
		default:
			out = append(out, e)
		}
	}
	return out
}

func quoted(args []string) (out []string) {
	for _, a := range args {
		if name, value, ok := strings.Cut(a, "="); ok && strings.Contains(value, " ") {
			a = name + "='" + value + "'"
		}
		out = append(out, a)
	}
	return out
}
