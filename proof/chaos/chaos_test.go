package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/score"
)

var (
	kills  = flag.Int("kills", 3, "how often TestChaos kills the platform, on each store")
	stores = flag.String("store", "both", "on which stores: sqlite, postgres or both")
	seed   = flag.Uint64("seed", 0, "the lots of TestChaos; 0 draws one")
	life   = flag.Duration("life", 0, "how long the platform lives at the most; 0 means half a second")
	crowds = flag.Int("clients", 16, "how many clients there are")
	given  = flag.String("binary", "", "the binary to kill, such as one with the race detector; it is built if none is named")
)

// perKill bounds a run, beside the lives.
const perKill = 20 * time.Second

// What the kill loop is held to where it is asked to kill so often; both stores together.
const (
	fullKills    = 200
	fullPayments = 100_000
)

// TestChaos kills the platform and requires that nothing acknowledged is lost, nothing is doubled, nothing is stuck, and
// the books are right.
func TestChaos(t *testing.T) {
	binary := build(t)
	var all, paid, wrong int
	for _, store := range []string{"sqlite", "postgres"} {
		if *stores != "both" && *stores != store {
			continue
		}
		t.Run(store, func(t *testing.T) {
			c := Config{Program: Program{Path: binary, Data: t.TempDir()}, Binary: binary, Kills: *kills}
			if store == "postgres" {
				c.Program.Store = storetest.Postgres(t)("").URL
				c.Rival = &Program{Path: binary, Data: t.TempDir(), Store: c.Program.Store}
				c.Usurp = func(ctx context.Context) error { return storetest.Usurp(ctx, c.Program.Store) }
				c.Cut = func(ctx context.Context) error { return storetest.Disconnect(ctx, c.Program.Store) }
			}
			s := play(t, c)
			all, paid = all+s.Kills, paid+s.Payments
			if !s.Right() || s.Verify != "ok" {
				wrong++
				t.Errorf("the platform has broken its word: %v", s.Count)
			}
			if least := *kills / 5; s.Between < least || s.Placed < least {
				t.Errorf("%d of %d kills were between decision and last Confirm, %d placed there; expected %d or more", s.Between, s.Kills, s.Placed, least)
			}
		})
	}
	target, least := "nothing lost, doubled, changed, stuck or wrong", 0
	if all >= fullKills {
		target, least = fmt.Sprintf(">= %d kills, >= %d acknowledged payments, %s", fullKills, fullPayments, target), fullPayments
	}
	score.Report(t, score.Line{
		ID: "kill-loop", Name: "kill -9 of the platform under load, both stores", Target: target,
		Figure: fmt.Sprintf("%d kills, %d acknowledged payments, %d stores with anything wrong", all, paid, wrong), Value: int64(all),
		OK: !t.Failed() && wrong == 0 && all > 0 && paid >= least,
	})
}

func build(t *testing.T) string {
	t.Helper()
	if *given != "" {
		return *given
	}
	binary, err := Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// play makes a run and says what it came to.
func play(t *testing.T, c Config) *Summary {
	t.Helper()
	if c.Seed = *seed; c.Seed == 0 {
		c.Seed = rand.Uint64N(1 << 32)
	}
	c.Log, c.Clients, c.Check, c.Say = filepath.Join(t.TempDir(), "acknowledged.jsonl"), *crowds, 10, t.Logf
	c.Life = *life
	t.Logf("seed %d", c.Seed)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(c.Kills)*(perKill+c.Life)+2*time.Minute)
	defer cancel()
	s, err := Run(ctx, c)
	if err != nil {
		t.Fatalf("seed %d: %v", c.Seed, err)
	}
	for _, e := range s.Examples {
		t.Log(e)
	}
	t.Logf("how requests ended: %v", s.Ended)
	t.Logf("%s: %s", t.Name(), s)
	return s
}
