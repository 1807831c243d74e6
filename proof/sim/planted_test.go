//go:build planted

package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/internal/score"
)

// update says that planted.txt is to be written anew, with the worlds that each bug took.
var update = flag.Bool("update", false, "write internal/planted/planted.txt anew")

const (
	withinWorlds = 500 // each bug has to be found within these
	fewestBugs   = 25
	bugList      = "../../internal/planted/planted.txt"
)

// TestPlantedBugs plants one bug after the other, and requires that each is found soon enough, by an invariant that it
// breaks; and that without any the same worlds break nothing.
func TestPlantedBugs(t *testing.T) {
	clk := clock.NewSystem()
	began, list := clk.Now(), planted.List()
	found, slowest := 0, ""
	worst := time.Duration(0)
	needed := make(map[string]int)
	for _, e := range list {
		t.Run(e.Bug, func(t *testing.T) {
			planted.Bug = e.Bug
			defer func() { planted.Bug = "" }()
			start := clk.Now()
			r := simulate(t, Options{Seeds: withinWorlds, First: 1, Broken: 1})
			took := clk.Now().Sub(start)
			if took > worst {
				worst, slowest = took, e.Bug
			}
			if len(r.Violations) == 0 {
				t.Fatalf("nobody noticed it in %d worlds", r.Schedules)
			}
			v := r.Violations[0]
			needed[e.Bug] = r.Schedules
			t.Logf("%-22s %-8s seed %3d %6d ms  %s", e.Bug, v.Invariant, v.Seed, took.Milliseconds(), firstLine(v.Message))
			if !slices.Contains(e.Invariants, v.Invariant) {
				t.Errorf("found by %s, and expected by one of %v", v.Invariant, e.Invariants)
				return
			}
			found++
		})
	}
	score.Report(t, score.Line{
		ID: "planted-bugs", Name: "bugs planted on purpose and found in simulation", Value: int64(found), Seeds: fmt.Sprintf("1-%d", withinWorlds),
		Figure: fmt.Sprintf("%d of %d, each within %d worlds, in %s; the slowest was %s", found, len(list), slices.Max(append(values(needed), 0)),
			clk.Now().Sub(began).Round(time.Second), slowest),
		Target: fmt.Sprintf("all, >= %d, each within %d worlds", fewestBugs, withinWorlds), OK: found == len(list) && found >= fewestBugs,
	})
	if *update {
		rewrite(t, needed)
	}
}

// TestNothingPlanted lives through the same worlds without a bug.
func TestNothingPlanted(t *testing.T) {
	r := simulate(t, Options{Seeds: withinWorlds, First: 1})
	for _, v := range r.Violations {
		t.Errorf("seed %d: %s: %s", v.Seed, v.Invariant, v.Message)
	}
}

func values(m map[string]int) (out []int) {
	for _, n := range m {
		out = append(out, n)
	}
	return out
}

// rewrite writes the worlds that each bug took into its line.
func rewrite(t *testing.T, needed map[string]int) {
	t.Helper()
	text, err := os.ReadFile(bugList)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] != "#" && needed[f[0]] > 0 {
			line = fmt.Sprintf("%-22s %-30s %d\n", f[0], f[1], needed[f[0]])
		}
		out.WriteString(line)
	}
	if err := os.WriteFile(bugList, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
