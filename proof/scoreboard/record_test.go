package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/score"
)

func one(id, part, size string, value int64, ok bool) line {
	return line{
		Line: score.Line{ID: id, Name: "name <of> " + id, Figure: "a | b", Target: ">= 1 & more", Value: value, OK: ok},
		Kind: disks, Part: part, Size: size,
	}
}

func run(size, commit string, lines ...line) record {
	r := record{Commit: commit, Date: "2026-01-02T03:04:05Z", Machine: "2 cores", Size: size, Lines: lines}
	for _, l := range lines {
		if l.Part != "" && !r.ran(l.Part) {
			r.Parts = append(r.Parts, played{l.Part, 60})
		}
	}
	return r
}

func TestNewestFullRunOfEachPartCounts(t *testing.T) {
	promise := func(size string, value int64) line {
		l := one("promise", "", size, value, true)
		l.Kind = promises
		return l
	}
	lines, from := current([]record{
		run(small, "1", one("a", "p", small, 1, true), one("s", "only-small", small, 2, true), promise(small, 3)),
		run(full, "2", one("a", "p", full, 4, false), one("part-p", "p", full, 0, false), one("b", "q", full, 5, true), promise(full, 6)),
		run(full, "3", one("a", "p", full, 7, true)), // part-p does not fail any more
		run(small, "4", one("a", "p", small, 8, true), one("b", "q", small, 9, false)),
	})
	got := map[string]int64{}
	for _, l := range lines {
		got[l.ID] = l.Value
	}
	want := map[string]int64{"a": 7, "b": 5, "s": 2, "promise": 6}
	if len(lines) != len(want) || len(from) != 3 {
		t.Errorf("%+v from %+v", lines, from)
	}
	for id, v := range want {
		if got[id] != v {
			t.Errorf("%s is %d, should be %d", id, got[id], v)
		}
	}
}

func TestHistoryIsKeptAndDrawn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scoreboard")
	if err := draw(dir, nil); err == nil {
		t.Error("nothing was drawn, and nobody says so")
	}
	open := one("c", "", full, 3, false)
	open.Open = true
	for _, r := range []record{run(small, "0", one("a", "p", small, 5, false)), run(full, "1", one("a", "p", full, 10, true)), run(full, "2", one("a", "p", full, 20, false), one("b", "p", full, 1, true), open)} {
		if err := save(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	history, err := load(dir)
	if err != nil || len(history) != 3 || history[2].Lines[0] != one("a", "p", full, 20, false) {
		t.Fatalf("%+v, %v", history, err)
	}
	if err := draw(dir, history); err != nil {
		t.Fatal(err)
	}
	text := map[string]string{}
	for _, name := range []string{historyFile, latestFile, trendFile, pageFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		text[name] = string(b)
	}
	if !strings.Contains(text[pageFile], "| **FAIL** | `a` name &lt;of&gt; a | a \\| b |") || !strings.Contains(text[latestFile], `"target": ">= 1 & more"`) ||
		strings.Count(text[historyFile], "\n") != 3 {
		t.Errorf("%v", text)
	}
	drawing := text[trendFile]
	isXML(t, drawing)
	for shape, n := range map[string]int{`class="pass"`: 2, `class="fail"`: 2, `class="open"`: 2, `class="curve"`: 1, "prefers-color-scheme:dark": 1} {
		if strings.Count(drawing, shape) != n {
			t.Errorf("%d times %s, should be %d", strings.Count(drawing, shape), shape, n)
		}
	}
	if outside := regexp.MustCompile(`<script|href|url\(|@import|on\w+="`).FindString(drawing); outside != "" {
		t.Errorf("the drawing has %s", outside)
	}
}

func isXML(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A run from the root of a repository: its parts are run, and what came out is kept and drawn.
func TestRunIsKept(t *testing.T) {
	dir, tools := t.TempDir(), t.TempDir()
	make := "#!/bin/sh\nfor e in sqlite postgres; do echo '{\"id\":\"background-verifier-'$e'\",\"value\":1,\"ok\":'$VERDICT'}' >>\"$KOBAN_SCORE\"; done\n"
	if err := os.WriteFile(filepath.Join(tools, "make"), []byte(make), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	t.Chdir(dir)
	o, ctx := options{only: "watchman"}, t.Context()
	if _, err := o.run(ctx, io.Discard); err == nil {
		t.Error("it ran where no repository is")
	}
	if out, err := exec.CommandContext(ctx, "sh", "-c", "git init -q && echo module x >go.mod && git add go.mod && git -c user.name=x -c user.email=x commit -q -m x").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for n, verdict := range []string{"true", "false"} {
		t.Setenv("VERDICT", verdict)
		failed, err := o.run(ctx, io.Discard)
		history, loadErr := load(folder)
		if err != nil || loadErr != nil || failed != 2*n || len(history) != n+1 {
			t.Fatalf("%d fail, %v, %v, %+v", failed, err, loadErr, history)
		}
		if r := history[n]; r.Commit == "" || r.Date == "" || r.Machine == "" || r.Changed || r.Size != full || !r.ran("watchman") || len(r.Lines) != 2 {
			t.Errorf("%+v", r)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, trendFile)); err != nil {
		t.Error(err)
	}
	o.only = "nobody"
	if _, err := o.run(ctx, io.Discard); err == nil {
		t.Error("it ran nobody")
	}
}

func TestTableHasALineForEach(t *testing.T) {
	var out bytes.Buffer
	failed, err := show(write(t, `{"id":"bank","name":"the bank","figure":"9 sums","target":"all","seeds":"1-9","ok":false}`+"\n"), &out)
	if err != nil || failed != 1 || !strings.Contains(out.String(), "FAIL       bank: the bank · 9 sums · target: all · seeds 1-9 · ci\n") || !strings.Contains(out.String(), "Histories\n") {
		t.Errorf("%d, %v, %s", failed, err, out.String())
	}
	out.Reset()
	if failed, err := show(write(t, ""), &out); failed != 0 || err != nil || out.Len() > 0 {
		t.Errorf("%d, %v, %s", failed, err, out.String())
	}
}
