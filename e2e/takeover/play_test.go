package takeover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/proof/chaos"
)

// Environment variables that make the tests longer.
const (
	roundsVariable = "KOBAN_TAKEOVER_ROUNDS" // how many blows each test deals
	pauseVariable  = "KOBAN_TAKEOVER_PAUSE"  // how long a process stands still, such as 30s
)

func rounds(t *testing.T) int {
	text := os.Getenv(roundsVariable)
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q; expected a number, 1 or more", roundsVariable, text)
	}
	return n
}

func pause(t *testing.T) time.Duration {
	text := os.Getenv(pauseVariable)
	if text == "" {
		return 600 * time.Millisecond
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		t.Fatalf("%s is %q; expected a time such as 30s", pauseVariable, text)
	}
	return d
}

func TestMain(m *testing.M) {
	chaos.Child()
	var err error
	if dir, err = os.MkdirTemp("", "koban-takeover-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder
	os.Exit(code)
}

// dir is where the binary is built. TestMain removes it.
var dir string

var built = sync.OnceValues(func() (string, error) { return chaos.Build(context.Background(), dir) })

// genuine sets the real binary to work on a store; "" is SQLite.
func genuine(t *testing.T, store string) chaos.Config {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return chaos.Config{Binary: binary, Program: chaos.Program{Path: binary, Data: t.TempDir(), Store: store}}
}

// liar sets a platform to work that answers before it commits.
func liar(t *testing.T, store string) chaos.Config {
	t.Helper()
	p, err := chaos.Control(true, t.TempDir(), store)
	if err != nil {
		t.Fatal(err)
	}
	return chaos.Config{Program: p, Random: true}
}

const (
	clients = 16
	perBlow = 45 * time.Second // bounds a run, beside the pauses
)

// play makes a run of so many blows and says what it came to.
func play(t *testing.T, c chaos.Config) *chaos.Summary {
	t.Helper()
	c.Seed = rand.Uint64N(1 << 32)
	c.Log, c.Clients, c.Check, c.Say = filepath.Join(t.TempDir(), "acknowledged.jsonl"), clients, 10, t.Logf
	t.Logf("seed %d", c.Seed)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(c.Kills)*(perBlow+2*c.Stopped+2*pause(t))+2*time.Minute)
	defer cancel()
	s, err := chaos.Run(ctx, c)
	if err != nil {
		t.Fatalf("seed %d: %v", c.Seed, err)
	}
	for _, e := range s.Examples {
		t.Log(e)
	}
	t.Logf("%s: %s", t.Name(), s)
	return s
}

// hold is what every run of the real binary is held to.
const held = "nothing lost, doubled, changed, stuck or wrong"

// report keeps a run of the real binary on the scoreboard, and fails the test if anything is wrong.
func report(t *testing.T, id, name string, blows int, what string, s *chaos.Summary) {
	t.Helper()
	score.Report(t, score.Line{
		ID: id, Name: name, Value: int64(blows), Target: fmt.Sprintf(">= %d, %s", rounds(t), held),
		Figure: fmt.Sprintf("%s, %d calls without an answer, %d acknowledged payments, %s; verify %s", what, s.Silent, s.Payments, &s.Verdict, s.Verify),
		OK:     s.Right() && s.Verify == "ok" && blows >= rounds(t) && s.Payments > 0,
	})
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-clock.Pause(d):
		return nil
	}
}
