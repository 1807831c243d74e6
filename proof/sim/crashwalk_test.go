package sim

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/score"
)

// sampled is of how many pairs the default test walks one.
const sampled = 400

// TestCrashWalk walks every single point and a sample of the pairs: one in so many as KOBAN_SIM_WALK says, 1 for all.
func TestCrashWalk(t *testing.T) {
	o, target, full := WalkOptions{Sample: sampled}, "every point, 0 violations", false
	if text := os.Getenv("KOBAN_SIM_WALK"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("KOBAN_SIM_WALK is %q: expected of how many pairs one is walked", text)
		}
		o.Sample, target, full = n, "every point, >= 20,000 pairs, 0 violations", true
	}
	r, err := Walk(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		t.Errorf("%s: %s", v.Invariant, v.Message)
	}
	score.Report(t, score.Line{
		ID: "crash-walk", Name: "crash walk", Target: target, Value: int64(r.Pairs),
		Figure: fmt.Sprintf("%d stories, %d steps, %d points, %d pairs, %d violations", r.Stories, r.Steps, r.Points, r.Pairs, len(r.Violations)),
		OK:     len(r.Violations) == 0 && r.Points == 5*r.Steps && (!full || r.Pairs >= 20_000),
	})
}

// TestCrashWalkNotices walks through a platform that answers before its commit: it must not come through.
func TestCrashWalkNotices(t *testing.T) {
	r, err := Walk(WalkOptions{Story: "charge", Sample: -1, Plant: Plant{TellEarly: true}})
	if err != nil || len(r.Violations) == 0 {
		t.Errorf("a platform that answers before its commit survives every crash: %+v, %v", r, err)
	}
}

// TestRetell tells one story twice with the same misfortunes, and gets the same trace.
func TestRetell(t *testing.T) {
	var a, b bytes.Buffer
	for _, out := range []*bytes.Buffer{&a, &b} {
		if found, err := Retell("refund in part", "7-after,12-lost", Plant{}, out); err != nil || len(found) > 0 {
			t.Fatal(found, err)
		}
	}
	if a.Len() == 0 || a.String() != b.String() || !strings.Contains(a.String(), "block 1, and dies after") && !strings.Contains(a.String(), "dies after") {
		t.Error("one story with the same misfortunes gave two histories, or none")
	}
	for _, bad := range [][2]string{{"no such story", "1-before"}, {"charge", "before"}, {"charge", "1-never"}, {"charge", "1-"}} {
		if _, err := Retell(bad[0], bad[1], Plant{}, nil); err == nil {
			t.Errorf("%v was told", bad)
		}
	}
}
