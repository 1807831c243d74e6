package takeover

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/proof/chaos"
)

// rivals lets a second process wait for the store of the first.
func rivals(t *testing.T, store string, of func(*testing.T, string) chaos.Config) chaos.Config {
	t.Helper()
	c, second := of(t, store), of(t, store).Program
	c.Rival = &second
	c.Usurp = func(ctx context.Context) error { return storetest.Usurp(ctx, store) }
	c.CallLimit = patience
	return c
}

// patience is how long clients wait for an answer: shorter than a process stands still.
const patience = 250 * time.Millisecond

// TestStoppedLeaderIsReplaced stops the leader by SIGSTOP under load. Its sessions stay open, so it keeps the lock: a
// failover manager, here the test, has the server end the session that holds it, and the process that waits takes over.
// When the old leader goes on it believes that the books are its own. What it appends must be refused, it must end with
// exit code 3, and nothing that either has acknowledged may be lost or doubled.
func TestStoppedLeaderIsReplaced(t *testing.T) {
	t.Parallel()
	c := rivals(t, storetest.Postgres(t)("").URL, genuine)
	c.Kills, c.Stopped = rounds(t), pause(t)
	s := play(t, c)
	report(t, "takeover-sigstop", "SIGSTOP of the leader, takeover, SIGCONT", s.Takeovers,
		fmt.Sprintf("%d takeovers, the slowest in %s, each old leader ended with exit code 3", s.Takeovers, s.Handover.Round(time.Millisecond)), s)
	if s.Silent == 0 {
		t.Error("every call was answered, so nobody was stopped while at work")
	}
}

// TestControlStoppedLiarLoses stops a leader that answers before it commits: what it had answered and not written is
// refused when it goes on.
func TestControlStoppedLiarLoses(t *testing.T) {
	t.Parallel()
	c := rivals(t, storetest.Postgres(t)("").URL, liar)
	c.Kills, c.Stopped = 1, patience
	if s := play(t, c); s.Count[chaos.Lost] == 0 {
		t.Errorf("the leader answered before it committed, and the judge has found no loss: %v", s.Count)
	}
}
