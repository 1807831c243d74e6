package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// shell is a runner whose targets are shell scripts.
func shell(t *testing.T) (*runner, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &runner{out: &out, clk: clock.NewSystem(), dir: t.TempDir(), make: "sh", size: full, wait: 300 * time.Millisecond}, &out
}

func script(text string, limit time.Duration) part {
	return part{name: "x", kind: judge, full: []string{"-c", text}, limit: limit, lines: []string{"a"}}
}

const reports = `echo '{"id":"a","figure":"1 of 1","value":1,"ok":true}' >>"$KOBAN_SCORE"; `

func TestPartIsRunAndItsLinesAreShown(t *testing.T) {
	r, out := shell(t)
	t.Setenv("MAKEFLAGS", "ARGS=--only=x")
	lines, _, err := r.part(t.Context(), script(reports+`test -z "$MAKEFLAGS"`, time.Minute))
	if err != nil || len(lines) != 1 || lines[0].failed() || lines[0].Value != 1 || !strings.Contains(out.String(), "a: 1 of 1") {
		t.Errorf("%+v, %v\n%s", lines, err, out)
	}
	r, out = shell(t)
	lines, _, err = r.part(t.Context(), script(reports+"echo this went wrong; exit 3", time.Minute))
	if err != nil || !find(t, lines, "part-x").failed() || !strings.Contains(out.String(), "this went wrong") {
		t.Errorf("%+v, %v\n%s", lines, err, out)
	}
}

// A part that does not end is stopped with everything it has started, and fails.
func TestPartIsStoppedAtItsLimit(t *testing.T) {
	r, _ := shell(t)
	pid := filepath.Join(t.TempDir(), "pid")
	lines, _, err := r.part(t.Context(), script(reports+"sleep 600 & echo $! >"+pid+"; wait; wait", 500*time.Millisecond))
	if err != nil || !strings.HasPrefix(find(t, lines, "part-x").Figure, errLimit.Error()) || find(t, lines, "a").failed() {
		t.Errorf("%+v, %v", lines, err)
	}
	child, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", strings.TrimSpace(string(child))).Output(); err == nil && !strings.HasPrefix(string(out), "Z") {
		t.Errorf("what it started goes on: %s", out)
	}
}

func TestRunIsStoppedByItsCaller(t *testing.T) {
	r, _ := shell(t)
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, stop)
	if lines, _, err := r.part(ctx, script("sleep 600", time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestPartsFitTogether(t *testing.T) {
	var whole time.Duration
	ids := map[string]bool{}
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		whole += p.limit
		for _, id := range p.lines {
			if ids[id] {
				t.Errorf("two parts report %s", id)
			}
			ids[id] = true
		}
		if !slices.Contains(kinds, p.kind) || !strings.Contains(string(text), "\n## "+p.full[0]+": ") {
			t.Errorf("%s: its kind %q is not shown, or make has no target %s", p.name, p.kind, p.full[0])
		}
	}
	if whole > 90*time.Minute {
		t.Errorf("the limits come to %s", whole)
	}
	for _, g := range goals {
		for _, id := range g.from {
			if p, ok := partOf(id); !ok {
				t.Errorf("%s is made of %s, which no part reports", g.id, id)
			} else if id == p.controlLine() && p.controls == nil {
				t.Errorf("%s has no controls", p.name)
			}
		}
	}
}

func TestOnlyNamesPartsOrLines(t *testing.T) {
	got, unknown := chosen("bank, sim,controls-chaos,nobody")
	var names []string
	for _, p := range got {
		names = append(names, p.name)
	}
	if !slices.Equal(names, []string{"sim", "chaos", "histories"}) || !slices.Equal(unknown, []string{"nobody"}) {
		t.Errorf("%v, unknown %v", names, unknown)
	}
	if all, _ := chosen(""); len(all) != len(parts) {
		t.Errorf("%d of %d parts", len(all), len(parts))
	}
}

// What docs/internals/testing.md says of parts and targets is what there is.
func TestPageNamesEveryPartAndTarget(t *testing.T) {
	page, err := os.ReadFile("../../docs/internals/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, p := range parts {
		rows = append(rows, "| "+p.name+" | `make "+strings.Join(quoted(p.full), " ")+"` | `make "+strings.Join(quoted(p.ci), " ")+"` | "+short(p.limit)+" |")
	}
	for _, m := range regexp.MustCompile(`(?m)^## ([a-z-]+): (.*)$`).FindAllSubmatch(makefile, -1) {
		rows = append(rows, "| `make "+string(m[1])+"` | "+string(m[2])+" |")
	}
	for _, row := range rows {
		if !strings.Contains(string(page), "\n"+row+"\n") {
			t.Errorf("the page lacks the row\n%s", row)
		}
	}
}
