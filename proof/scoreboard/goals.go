package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/koban-pay/koban/internal/score"
)

// goal is a figure that Koban has promised, from a quiet machine with two cores.
type goal struct {
	id, name, target string
	from             []string // the ids of the lines that it is made of
	judge            func(of []line, took map[string]time.Duration) (figure string, value int64, ok bool)
}

var goals = []goal{
	{
		id: "promise-simulation", name: "payments simulated in ten minutes", from: []string{"sim-payments"},
		target: ">= 500,000 in 10 minutes, >= 5,000 schedules, 0 violations",
		judge: func(of []line, took map[string]time.Duration) (string, int64, bool) {
			worlds, t := span(of[0].Seeds), took["sim"]
			return fmt.Sprintf("%s payments, %s schedules in %s, with its controls", grouped(of[0].Value), grouped(worlds), short(t)), of[0].Value,
				of[0].Value >= 500_000 && worlds >= 5_000 && t > 0 && t <= 10*time.Minute
		},
	},
	{
		id: "promise-planted", name: "planted bugs found", from: []string{"planted-bugs"}, target: ">= 25, all, each within 500 schedules",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			return of[0].Figure, of[0].Value, of[0].Value >= 25
		},
	},
	{
		id: "promise-crash-points", name: "crash points", from: []string{"crash-walk"}, target: "100 % of single points, >= 20,000 pairs",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			return of[0].Figure, of[0].Value, of[0].Value >= 20_000
		},
	},
	{
		id: "promise-kills", name: "kill -9 of the real binary", from: []string{"kill-loop"},
		target: ">= 200 kills, >= 100,000 acknowledged payments, nothing lost, doubled or stuck",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			return of[0].Figure, of[0].Value, of[0].Value >= 200 && strings.Contains(of[0].Target, "100000 acknowledged")
		},
	},
	{
		id: "promise-power-losses", name: "power losses under the real binary", from: []string{"power-loss-ext4", "power-loss-xfs"},
		target: ">= 100, nothing lost, doubled or stuck",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			n := of[0].Value + of[1].Value
			return fmt.Sprintf("%s on ext4 and xfs", grouped(n)), n, n >= 100
		},
	},
	{
		id: "promise-linearizable", name: "operations linearizable under faults", from: []string{"linearizable-sqlite", "linearizable-postgres"},
		target: ">= 300,000",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			n := of[0].Value + of[1].Value
			return fmt.Sprintf("%s on both stores", grouped(n)), n, n >= 300_000
		},
	},
	{
		id: "promise-terminal", name: "from the end of faults to the end of each payment", from: []string{"time-to-terminal"}, target: "all <= 60 s",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			return of[0].Figure, of[0].Value, of[0].Value <= time.Minute.Microseconds()
		},
	},
	{
		id: "promise-controls", name: "controls that fail as they must", from: controls(), target: "every one",
		judge: func(of []line, _ map[string]time.Duration) (string, int64, bool) {
			n := int64(0)
			for _, l := range of {
				n += l.Value
			}
			return fmt.Sprintf("%d, in %d parts", n, len(of)), n, true
		},
	},
}

// controls returns the ids of the lines that count controls.
func controls() (out []string) {
	for _, p := range parts {
		if p.controls != nil {
			out = append(out, p.controlLine())
		}
	}
	return out
}

// promised holds lines to the goals. A goal of which a part was not run is left out. It fails if any line that it is made
// of fails. At the small sizes it is shown and not judged.
func promised(lines []line, took map[string]time.Duration, size string) (out []line) {
	for _, g := range goals {
		var of []line
		for _, id := range g.from {
			if i := slices.IndexFunc(lines, func(l line) bool { return l.ID == id }); i >= 0 {
				of = append(of, lines[i])
			}
		}
		if len(of) < len(g.from) {
			continue
		}
		figure, value, ok := g.judge(of, took)
		for _, l := range of {
			if l.failed() {
				ok, figure = false, figure+"; "+l.ID+" fails"
			}
		}
		l := line{Line: score.Line{ID: g.id, Name: g.name, Target: g.target, Figure: figure, Value: value, OK: ok}, Kind: promises, Size: size}
		l.Open = size != full
		out = append(out, l)
	}
	return out
}

// span returns how many seeds "1-5000" names.
func span(seeds string) int64 {
	from, to, ok := strings.Cut(seeds, "-")
	a, err := strconv.ParseInt(from, 10, 64)
	b, err2 := strconv.ParseInt(to, 10, 64)
	if !ok || err != nil || err2 != nil || b < a {
		return 0
	}
	return b - a + 1
}

// grouped writes a number with commas.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
