package sim

import (
	"bytes"
	"testing"
)

// TestSwarm lets many worlds live, each with its own faults, and requires that nothing breaks and that everything
// unusual was reached (I33).
func TestSwarm(t *testing.T) {
	r := simulate(t, Options{Seeds: 250, First: 1})
	for _, v := range r.Violations {
		t.Errorf("seed %d: %s: %s", v.Seed, v.Invariant, v.Message)
	}
	for _, what := range r.Unreached {
		t.Errorf("%s was never reached, so nothing is known about it", what)
	}
	t.Logf("%d worlds, %d payments", r.Schedules, r.Payments)
}

func simulate(t *testing.T, o Options) Result {
	t.Helper()
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReplay requires the same history for the same seed, line by line, and another for another.
func TestReplay(t *testing.T) {
	var first, second bytes.Buffer
	a := simulate(t, Options{Seeds: 12, First: 100, Trace: &first})
	b := simulate(t, Options{Seeds: 12, First: 100, Trace: &second})
	if a.TraceHash != b.TraceHash || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("one seed gave two histories")
	}
	if c := simulate(t, Options{Seeds: 12, First: 101}); c.TraceHash == a.TraceHash {
		t.Error("two seeds gave one history")
	}
}

func TestRunRefusesNothing(t *testing.T) {
	for _, o := range []Options{{}, {Seeds: -1}, {Seeds: 1, Payments: -1}} {
		if _, err := Run(o); err == nil {
			t.Errorf("%+v was simulated", o)
		}
	}
}
