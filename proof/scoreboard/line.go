package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/koban-pay/koban/internal/score"
)

// line is a figure and where it comes from.
type line struct {
	score.Line
	Kind string `json:"kind"`
	Part string `json:"part,omitempty"`
	Size string `json:"size"`           // small or full
	Open bool   `json:"open,omitempty"` // the target is not judged at this size
}

// verdict says in a word how a line stands.
func (l line) verdict() string {
	switch {
	case l.Open:
		return "not judged"
	case l.OK:
		return "pass"
	}
	return "FAIL"
}

func (l line) failed() bool { return !l.OK && !l.Open }

// read returns the lines that tests have appended to a file; none if there is no such file. Of lines with one id the
// last counts, unless an earlier one has failed.
func read(path, size string) (out []line, err error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for n, one := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if one == "" {
			continue
		}
		s, ok := parse([]byte(one))
		if !ok {
			return nil, fmt.Errorf("line %d of the score is not one of internal/score: %.80s", n+1, one)
		}
		p, _ := partOf(s.ID)
		l := line{Line: s, Kind: p.kind, Part: p.name, Size: size}
		switch at := slices.IndexFunc(out, func(o line) bool { return o.ID == s.ID }); {
		case at < 0:
			out = append(out, l)
		case out[at].OK:
			out[at] = l
		}
	}
	return out, nil
}

func parse(text []byte) (s score.Line, ok bool) {
	err := json.Unmarshal(text, &s)
	return s, err == nil && s.ID != ""
}

// ended is what go test -v says of a test when it ends; those within another are indented.
var ended = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (Test\w*) \(`)

// outcome is how a part ended.
type outcome struct {
	said []byte // what it printed
	err  error  // why it did not end well
	took time.Duration
}

// complete adds to the lines that a part has reported what it says about itself: that it failed, what it did not report,
// and how many of its controls failed as they must.
func (p part) complete(lines []line, o outcome, size string) []line {
	add := func(s score.Line) {
		lines = append(lines, line{Line: s, Kind: p.kind, Part: p.name, Size: size})
	}
	for i := range lines {
		lines[i].Kind, lines[i].Part = p.kind, p.name
	}
	for _, id := range p.lines {
		if !slices.ContainsFunc(lines, func(l line) bool { return l.ID == id }) {
			add(score.Line{ID: id, Name: id, Figure: "nothing was reported", Target: "a figure"})
		}
	}
	if p.controls != nil {
		add(p.controlled(o.said))
	}
	if o.err != nil || len(lines) == 0 {
		why := "nothing was reported"
		if o.err != nil {
			why = o.err.Error()
		}
		add(score.Line{
			ID: "part-" + p.name, Name: "make " + p.name, Figure: fmt.Sprintf("%s, after %s", why, o.took.Round(time.Second)),
			Target: "ends well within " + short(p.within(size)),
		})
	}
	return lines
}

// controlled counts the controls: tests that break something on purpose, and pass if the harness finds it.
func (p part) controlled(said []byte) score.Line {
	all, good := 0, 0
	for _, m := range ended.FindAllSubmatch(said, -1) {
		if p.controls.Match(m[2]) {
			if all++; string(m[1]) == "PASS" {
				good++
			}
		}
	}
	return score.Line{
		ID: p.controlLine(), Name: "controls of make " + p.name, Figure: fmt.Sprintf("%d of %d failed as they must", good, all),
		Target: "all of them", Value: int64(good), OK: good == all && all > 0,
	}
}

// ordered sorts lines as they are shown: by kind, then as they are declared, and what is not declared as it came.
func ordered(lines []line) []line {
	const undeclared = 1 << 16 // more than there are
	place := map[string]int{}
	for _, p := range parts {
		for _, id := range append(slices.Clone(p.lines), p.controlLine()) {
			place[id] = len(place) - undeclared
		}
	}
	out := slices.Clone(lines)
	slices.SortStableFunc(out, func(a, b line) int {
		return cmp.Or(slices.Index(kinds, a.Kind)-slices.Index(kinds, b.Kind), place[a.ID]-place[b.ID])
	})
	return out
}

func failures(lines []line) (n int) {
	for _, l := range lines {
		if l.failed() {
			n++
		}
	}
	return n
}

// short writes a duration without what is zero: 8m, 1m30s.
func short(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}
