package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/score"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// find returns the line of an id.
func find(t *testing.T, lines []line, id string) line {
	t.Helper()
	i := slices.IndexFunc(lines, func(l line) bool { return l.ID == id })
	if i < 0 {
		t.Fatalf("there is no line %s in %+v", id, lines)
	}
	return lines[i]
}

func TestOfTwoLinesWithOneIDTheOneThatFailedStays(t *testing.T) {
	lines, err := read(write(t, `{"id":"bank","ok":false,"value":1}
{"id":"bank","ok":true,"value":2}
{"id":"kill-loop","ok":true,"value":3}
{"id":"kill-loop","ok":true,"value":4}
{"id":"nobody knows it","ok":true}
`), small)
	if err != nil || len(lines) != 3 {
		t.Fatal(lines, err)
	}
	if l := find(t, lines, "bank"); l.Value != 1 || l.OK || l.Kind != histories || l.Part != "histories" || l.Size != small {
		t.Errorf("%+v", l)
	}
	if l := find(t, lines, "kill-loop"); l.Value != 4 {
		t.Errorf("%+v", l)
	}
	if l := find(t, lines, "nobody knows it"); l.Kind != others {
		t.Errorf("%+v", l)
	}
	if _, err := read(write(t, "{}\n"), small); err == nil {
		t.Error("a line without an id was taken")
	}
	if lines, err := read(filepath.Join(t.TempDir(), "none"), small); err != nil || len(lines) > 0 {
		t.Error(lines, err)
	}
}

func TestPartThatIsSilentOrFailsHasALineOfItsOwn(t *testing.T) {
	p := part{name: "x", kind: disks, full: []string{"x"}, limit: time.Minute, lines: []string{"a", "b"}, controls: regexp.MustCompile(`^TestControl`)}
	good := []line{{Line: score.Line{ID: "a", OK: true}}, {Line: score.Line{ID: "b", OK: true}}}
	said := []byte("=== RUN TestControlX\n--- PASS: TestControlX (1.2s)\n--- PASS: TestOther (0.1s)\n    --- FAIL: TestControlX/within (0.00s)\n")
	for what, c := range map[string]struct {
		lines []line
		o     outcome
		bad   []string
	}{
		"good":                   {good, outcome{said: said}, nil},
		"a line that is missing": {good[:1], outcome{said: said}, []string{"b"}},
		"nothing":                {nil, outcome{said: said}, []string{"a", "b"}},
		"it fails":               {good, outcome{said: said, err: errors.New("exit status 2")}, []string{"part-x"}},
		"it takes too long":      {good, outcome{said: said, err: errLimit}, []string{"part-x"}},
		"no control":             {good, outcome{}, []string{"controls-x"}},
		"a control is skipped":   {good, outcome{said: append([]byte("--- SKIP: TestControlY (0.0s)\n"), said...)}, []string{"controls-x"}},
		"a control wins":         {good, outcome{said: append([]byte("--- FAIL: TestControlY (0.0s)\n"), said...)}, []string{"controls-x"}},
	} {
		var bad []string
		for _, l := range p.complete(slices.Clone(c.lines), c.o, full) {
			if l.Kind != disks || l.Part != "x" {
				t.Errorf("%s: %+v", what, l)
			}
			if l.failed() {
				bad = append(bad, l.ID)
			}
		}
		if !slices.Equal(bad, c.bad) {
			t.Errorf("%s: %v fail, should be %v", what, bad, c.bad)
		}
	}
	if lines := (part{name: "y", limit: time.Minute}).complete(nil, outcome{}, full); failures(lines) != 1 {
		t.Errorf("a part without any line passes: %+v", lines)
	}
}

// best is what a full run has that keeps every promise.
func best() []line {
	values := map[string]score.Line{
		"sim-payments":     {Value: 500_000, Seeds: "1-5000"},
		"planted-bugs":     {Value: 25},
		"crash-walk":       {Value: 20_000},
		"kill-loop":        {Value: 200, Target: ">= 200 kills, >= 100000 acknowledged payments"},
		"power-loss-ext4":  {Value: 50},
		"power-loss-xfs":   {Value: 50},
		"time-to-terminal": {Value: 60_000_000},
	}
	var out []line
	for _, p := range parts {
		for _, id := range append([]string{p.controlLine()}, p.lines...) {
			l := values[id]
			if l.ID, l.OK = id, true; strings.HasPrefix(id, "linearizable-") {
				l.Value = 150_000
			}
			out = append(out, line{Line: l, Kind: p.kind, Part: p.name, Size: full})
		}
	}
	return out
}

func TestPromisesAreKeptToTheLastDigit(t *testing.T) {
	took := map[string]time.Duration{"sim": 10 * time.Minute}
	got := promised(best(), took, full)
	if len(got) != len(goals) || failures(got) > 0 {
		t.Fatalf("%+v", got)
	}
	for id, promise := range map[string]string{
		"sim-payments": "promise-simulation", "planted-bugs": "promise-planted", "crash-walk": "promise-crash-points", "kill-loop": "promise-kills",
		"power-loss-xfs": "promise-power-losses", "linearizable-sqlite": "promise-linearizable",
	} {
		lines := best()
		lines[slices.IndexFunc(lines, func(l line) bool { return l.ID == id })].Value--
		if !find(t, promised(lines, took, full), promise).failed() {
			t.Errorf("%s is one too few, and %s is kept", id, promise)
		}
	}
	for id, promise := range map[string]string{"time-to-terminal": "promise-terminal", "controls-disk": "promise-controls", "power-loss-ext4": "promise-power-losses"} {
		lines := best()
		lines[slices.IndexFunc(lines, func(l line) bool { return l.ID == id })].OK = false
		if !find(t, promised(lines, took, full), promise).failed() {
			t.Errorf("%s fails, and %s is kept", id, promise)
		}
	}
	few := best()
	few[slices.IndexFunc(few, func(l line) bool { return l.ID == "sim-payments" })].Seeds = "1-4999"
	if !find(t, promised(few, took, full), "promise-simulation").failed() {
		t.Error("it was one schedule too few")
	}
	took["sim"]++
	if !find(t, promised(best(), took, full), "promise-simulation").failed() {
		t.Error("it took more than ten minutes")
	}
	for _, l := range promised(best(), took, small) {
		if !l.Open || l.failed() || l.verdict() != "not judged" {
			t.Errorf("a small run is held to a promise: %+v", l)
		}
	}
	if got := promised(best()[:1], took, full); len(got) != 0 {
		t.Errorf("without its parts: %+v", got)
	}
}

func TestSpansAndNumbers(t *testing.T) {
	for text, want := range map[string]int64{"1-5000": 5000, "7-7": 1, "": 0, "9": 0, "5-1": 0, "a-b": 0} {
		if got := span(text); got != want {
			t.Errorf("span of %q: %d", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1234567: "1,234,567", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %q", n, got)
		}
	}
}
