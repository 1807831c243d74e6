package takeover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/koban-pay/koban/proof/chaos"
)

// paused stops the platform for a while. Every third time it never wakes up: it is killed as it stands.
func paused(t *testing.T, c chaos.Config, woken *int) chaos.Config {
	n := 0
	c.CallLimit = patience
	c.Strike = func(ctx context.Context, p *chaos.Platform) error {
		if n++; n%3 != 2 {
			*woken++
			return p.Freeze(ctx, pause(t)/2+rand.N(pause(t)))
		}
		if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
			return err
		}
		if err := wait(ctx, patience); err != nil {
			return err
		}
		return p.Kill()
	}
	return c
}

// TestPausedPlatformKeepsItsWord stops the only process of a platform on SQLite. Calls time out meanwhile, so nobody
// knows what became of them; asked again, they must have the answers that they would have had.
func TestPausedPlatformKeepsItsWord(t *testing.T) {
	t.Parallel()
	woken := 0
	c := paused(t, genuine(t, ""), &woken)
	c.Kills = rounds(t) + 1
	s := play(t, c)
	report(t, "paused-sqlite", "SIGSTOP of the only process, SQLite", s.Kills,
		fmt.Sprintf("%d pauses of about %s, %d of them ended by SIGKILL", s.Kills, pause(t), s.Kills-woken), s)
	if s.Silent == 0 {
		t.Error("every call was answered, so nobody was stopped while at work")
	}
}

// TestControlPausedLiarLoses does the same to a platform that answers before it commits.
func TestControlPausedLiarLoses(t *testing.T) {
	t.Parallel()
	woken := 0
	c := paused(t, liar(t, ""), &woken)
	c.Kills = 2
	if s := play(t, c); s.Count[chaos.Lost] == 0 {
		t.Errorf("the platform answered before it committed, and the judge has found no loss: %v", s.Count)
	}
}
