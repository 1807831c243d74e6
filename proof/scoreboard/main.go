package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// folder is where the score is kept, from the root of the repository.
const folder = "docs/scoreboard"

type options struct {
	ci, render bool
	only, from string
}

func main() {
	var o options
	flag.BoolVar(&o.ci, "ci", false, "run at the sizes of make test")
	flag.StringVar(&o.only, "only", "", "run only these parts, named by themselves or by their lines, with commas between")
	flag.BoolVar(&o.render, "render", false, "run nothing; draw "+folder+" anew from its history")
	flag.StringVar(&o.from, "from", "", "run nothing; print the lines that stand in this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	failed, err := o.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scoreboard:", err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// run does what the options say and returns how many lines failed.
func (o options) run(ctx context.Context, out io.Writer) (failed int, err error) {
	if o.from != "" {
		return show(o.from, out)
	}
	if _, err := os.Stat("go.mod"); err != nil {
		return 0, errors.New("run it from the root of the repository, by make scoreboard")
	}
	if !o.render {
		if failed, err = o.score(ctx, out); err != nil {
			return failed, err
		}
	}
	history, err := load(folder)
	if err != nil {
		return failed, err
	}
	return failed, draw(folder, history)
}

// show prints lines that were collected elsewhere; nothing if there are none.
func show(file string, out io.Writer) (failed int, err error) {
	lines, err := read(file, small)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	_, err = io.WriteString(out, table(lines))
	return failures(lines), err
}

// score runs the parts, prints their lines and appends them to the history.
func (o options) score(ctx context.Context, out io.Writer) (failed int, err error) {
	r := runner{out: out, clk: clock.NewSystem(), make: "make", size: full, wait: grace}
	if o.ci {
		r.size = small
	}
	if s, err := os.Stderr.Stat(); err == nil && s.Mode()&os.ModeCharDevice != 0 {
		r.live = os.Stderr
	}
	list, unknown := chosen(o.only)
	if len(unknown) > 0 {
		return 0, fmt.Errorf("no part and no line is named %s", strings.Join(unknown, ", "))
	}
	if r.dir, err = os.MkdirTemp("", "koban-scoreboard-"); err != nil {
		return 0, err
	}
	whole := record{Machine: machine(), Size: r.size}
	if err := commit(ctx, &whole); err != nil {
		return 0, err
	}
	limit := time.Duration(0)
	for _, p := range list {
		limit += p.within(r.size)
	}
	r.say("%d parts, one after another, at most %s: commit %s on %s\n", len(list), short(limit), whole.Commit, whole.Machine)
	for _, p := range list {
		lines, took, err := r.part(ctx, p)
		if err != nil {
			return 0, fmt.Errorf("stopped during %s; nothing was kept: %w", p.name, err)
		}
		whole.Lines = append(whole.Lines, lines...)
		whole.Parts = append(whole.Parts, played{p.name, int64(took.Round(time.Second) / time.Second)})
	}
	whole.Lines = append(whole.Lines, promised(whole.Lines, whole.took(), r.size)...)
	r.say("%s", table(whole.Lines))
	r.say("%s\n", whole.source())
	return failures(whole.Lines), save(folder, whole)
}
