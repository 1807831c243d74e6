package takeover

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/koban-pay/koban/e2e/chaos"
	"github.com/koban-pay/koban/internal/store"
	"github.com/koban-pay/koban/internal/store/storetest"
)

// away is how long a server stays away.
const away = 100 * time.Millisecond

// restart restarts the server. Where the platform dies meanwhile, it finds no store at first when it starts again.
func (s *server) restart(ctx context.Context, how func(context.Context) error) error {
	if err := how(ctx); err != nil {
		return err
	}
	return errors.Join(wait(ctx, away), s.start(ctx))
}

// TestPlatformOutlivesItsStore restarts PostgreSQL in order and at once, and ends sessions that are in the middle of a
// transaction, all under load. The platform must live, except where it is killed beside its store, and keep its word.
func TestPlatformOutlivesItsStore(t *testing.T) {
	s := serve(t)
	c := genuine(t, s.url)
	c.Kills = 3 * rounds(t)
	var inOrder, atOnce, ended, n int
	c.Strike = func(ctx context.Context, p *chaos.Platform) (err error) {
		switch n++; n % 6 {
		case 1, 4:
			atOnce++
			return s.restart(ctx, func(ctx context.Context) error { return s.stop(ctx, immediate) })
		case 2:
			inOrder++
			return s.restart(ctx, func(ctx context.Context) error { return s.stop(ctx, fast) })
		case 5: // the platform dies, too
			atOnce++
			return s.restart(ctx, func(ctx context.Context) error { return errors.Join(s.stop(ctx, immediate), p.Kill()) })
		default:
			k, err := harass(ctx, s.url)
			ended += k
			return err
		}
	}
	sum := play(t, c)
	report(t, "postgres-restarts", "PostgreSQL restarts and ends sessions under load", inOrder+atOnce,
		fmt.Sprintf("%d restarts (%d fast, %d immediate), %d sessions ended at work", inOrder+atOnce, inOrder, atOnce, ended), sum)
	if ended == 0 {
		t.Error("no session was ended at work")
	}
}

// A harassment: so many sessions are ended, at most so often.
const (
	harassed   = 10
	harassTrys = 2000
)

// harass ends sessions that are in the middle of a transaction, again and again.
func harass(ctx context.Context, url string) (ended int, err error) {
	for range harassTrys {
		n, err := storetest.Kill(store.Config{URL: url})
		if ended += n; err != nil || ended >= harassed {
			return ended, err
		}
		if err := wait(ctx, time.Millisecond); err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// TestControlHastyServerLoses lets the server answer before its log is durable, end at once, and the platform with it.
func TestControlHastyServerLoses(t *testing.T) {
	s := serve(t, "synchronous_commit=on")
	ctx := t.Context()
	if err := s.restart(ctx, func(ctx context.Context) error { return s.stop(ctx, fast) }); err != nil {
		t.Fatal(err)
	}
	c := genuine(t, s.url)
	c.Kills, c.Binary = 2, "" // its books are right, as of some time ago
	n := 0
	c.Strike = func(ctx context.Context, p *chaos.Platform) error {
		if n++; n == 1 {
			return s.do(ctx, "ALTER SYSTEM SET synchronous_commit = off", "ALTER SYSTEM SET wal_writer_delay = '10s'",
				"ALTER SYSTEM SET wal_writer_flush_after = '1GB'", "SELECT pg_reload_conf()")
		}
		err := errors.Join(s.stop(ctx, immediate), p.Kill(), s.start(ctx))
		return errors.Join(err, s.do(ctx, "ALTER SYSTEM SET synchronous_commit = on", "SELECT pg_reload_conf()"))
	}
	if sum := play(t, c); sum.Count[chaos.Lost] == 0 {
		t.Errorf("the server answered before it was durable, and the judge has found no loss: %v", sum.Count)
	}
}
