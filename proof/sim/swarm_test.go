package sim

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/score"
)

// size is how many worlds of how many payments a test simulates: few by default; as KOBAN_SIM_SEEDS and KOBAN_SIM_PAYMENTS
// say for the scoreboard.
func size(t *testing.T) (seeds, payments int) {
	number := func(env string, normal int) int {
		text := os.Getenv(env)
		if text == "" {
			return normal
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", env, err)
		}
		return n
	}
	return number("KOBAN_SIM_SEEDS", EnoughWorlds), number("KOBAN_SIM_PAYMENTS", DefaultPayments)
}

// The bar of the full form.
const (
	barPayments  = 500_000
	barSchedules = 5_000
)

// TestSwarm lets many worlds live, each with its own faults, and requires that nothing breaks, that everything unusual was
// reached (I33), and that every payment ends within a minute once the faults have ended.
func TestSwarm(t *testing.T) {
	seeds, payments := size(t)
	r := simulate(t, Options{Seeds: seeds, First: 1, Payments: payments})
	for _, v := range r.Violations {
		t.Errorf("seed %d: %s: %s", v.Seed, v.Invariant, v.Message)
	}
	for _, what := range r.Unreached {
		if r.Enough {
			t.Errorf("%s was never reached, so nothing is known about it", what)
		}
	}
	full := seeds > EnoughWorlds
	target, big := "0 violations", true
	if full {
		target = fmt.Sprintf(">= %d payments, >= %d schedules, 0 violations", barPayments, barSchedules)
		big = r.Payments >= barPayments && r.Schedules >= barSchedules
	}
	ran := fmt.Sprintf("1-%d", seeds)
	score.Report(t, score.Line{
		ID: "sim-payments", Name: "simulated payments", Target: target, Value: int64(r.Payments), Seeds: ran,
		Figure: fmt.Sprintf("%d payments in %d schedules, %d answers to queries, %d violations", r.Payments, r.Schedules, r.Reads, len(r.Violations)),
		OK:     len(r.Violations) == 0 && big,
	})
	different := 0
	for _, v := range r.Violations {
		if v.Invariant == "replay" {
			different++
		}
	}
	score.Report(t, score.Line{
		ID: "sim-replay", Name: "seeds simulated twice", Target: "1 % of the seeds, all identical", Value: int64(r.Replayed),
		Figure: fmt.Sprintf("%d seeds twice, %d different", r.Replayed, different), Seeds: ran, OK: different == 0 && r.Replayed*ReplayEvery >= seeds,
	})
	score.Report(t, score.Line{
		ID: "sim-anomalies", Name: "anomalies reached in simulation", Target: "all", Value: int64(len(Anomalies) - len(r.Unreached)),
		Figure: fmt.Sprintf("%d of %d", len(Anomalies)-len(r.Unreached), len(Anomalies)), Seeds: ran, OK: !r.Enough || len(r.Unreached) == 0,
	})
	ms := func(m clock.Micros) string {
		return fmt.Sprintf("%d.%03d s", m/clock.Second, m%clock.Second/clock.Millisecond)
	}
	score.Report(t, score.Line{
		ID: "time-to-terminal", Name: "from the end of faults to the end of each payment under way", Target: "p100 <= 60 s",
		Figure: fmt.Sprintf("%d payments: p50 %s, p99 %s, p100 %s", r.Terminal.Count, ms(r.Terminal.P50), ms(r.Terminal.P99), ms(r.Terminal.P100)),
		Value:  int64(r.Terminal.P100), Seeds: ran, OK: r.Terminal.Count > 0 && r.Terminal.P100 <= settleTime,
	})
}

func simulate(t *testing.T, o Options) Result {
	t.Helper()
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

//go:embed seeds.txt
var pastSeeds string

// TestPastSeeds simulates every seed that ever broke something.
func TestPastSeeds(t *testing.T) {
	n := 0
	for line := range strings.Lines(pastSeeds) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		var seed uint64
		var payments int
		if _, err := fmt.Sscan(line, &seed, &payments); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r := simulate(t, Options{Seeds: 1, First: seed, Payments: payments})
		for _, v := range r.Violations {
			t.Errorf("seed %d of %d payments: %s: %s", seed, payments, v.Invariant, v.Message)
		}
		n++
	}
	if n == 0 {
		t.Error("seeds.txt is empty")
	}
}

// TestReplay requires the same history for the same seed, line by line, and another for another.
func TestReplay(t *testing.T) {
	var first, second bytes.Buffer
	a := simulate(t, Options{Seeds: 6, First: 100, Trace: &first})
	b := simulate(t, Options{Seeds: 6, First: 100, Trace: &second})
	if a.TraceHash != b.TraceHash || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("one seed gave two histories: %s", firstDifference(&first, &second))
	}
	if c := simulate(t, Options{Seeds: 6, First: 101}); c.TraceHash == a.TraceHash {
		t.Error("two seeds gave one history")
	}
	for _, threads := range []int{1, 3} {
		if c := simulate(t, Options{Seeds: 6, First: 100, Threads: threads}); c.TraceHash != a.TraceHash {
			t.Errorf("on %d threads the same seeds gave another history", threads)
		}
	}
}

func firstDifference(a, b *bytes.Buffer) string {
	x, y := bufio.NewScanner(a), bufio.NewScanner(b)
	for x.Scan() && y.Scan() {
		if x.Text() != y.Text() {
			return fmt.Sprintf("%q and %q", x.Text(), y.Text())
		}
	}
	return "one is longer"
}

func TestRunRefusesNothing(t *testing.T) {
	for _, o := range []Options{{}, {Seeds: -1}, {Seeds: 1, Payments: -1}, {Seeds: 1, Threads: -1}} {
		if _, err := Run(o); err == nil {
			t.Errorf("%+v was simulated", o)
		}
	}
}
