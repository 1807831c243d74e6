package takeover

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/proof/chaos"
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
// transaction, all under load. The platform lives through what loses nothing. What a server forgets that ends at once is
// the last saves of the state tables, which do not wait for the disk: a platform that notices drops its books and ends
// with exit code 3 (rule B10), and recovers from the journal when it is started again.
func TestPlatformOutlivesItsStore(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := genuine(t, s.url)
	c.Kills = 3 * rounds(t)
	var inOrder, atOnce, dropped, ended, n int
	c.Strike = func(ctx context.Context, p *chaos.Platform) (err error) {
		switch n++; n % 6 {
		case 3:
			atOnce++
			if err := s.restart(ctx, func(ctx context.Context) error { return s.stop(ctx, immediate) }); err != nil {
				return err
			}
			gone, err := lastWork(ctx, p)
			if gone {
				dropped++
			}
			return err
		case 1, 4:
			inOrder++
			return s.restart(ctx, func(ctx context.Context) error { return s.stop(ctx, fast) })
		case 0: // the platform dies, too
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
		fmt.Sprintf("%d restarts (%d fast, %d immediate; after %d of these the platform dropped its books and ended), %d sessions ended at work",
			inOrder+atOnce, inOrder, atOnce, dropped, ended), sum)
	if ended == 0 {
		t.Error("no session was ended at work")
	}
}

// worktime is how long a platform goes on after its server has forgotten something.
const worktime = time.Second

// lastWork lets the platform work on, and kills it, unless it has dropped its books by then.
func lastWork(ctx context.Context, p *chaos.Platform) (dropped bool, err error) {
	select {
	case <-p.Ended():
	case <-ctx.Done():
		return false, ctx.Err()
	case <-clock.Pause(worktime):
		if err := p.Kill(); err == nil {
			return false, nil
		}
	}
	if code, said := p.Exit(); code != 3 {
		return false, fmt.Errorf("the platform ended with exit code %d: %s", code, said)
	}
	return true, nil
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

// TestControlLiarLosesBesideItsStore ends the server, and then a platform that goes on answering without it.
func TestControlLiarLosesBesideItsStore(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := liar(t, s.url)
	c.Kills = 1
	c.Strike = func(ctx context.Context, p *chaos.Platform) error {
		return s.restart(ctx, func(ctx context.Context) error {
			return errors.Join(s.stop(ctx, immediate), wait(ctx, away), p.Kill())
		})
	}
	if sum := play(t, c); sum.Count[chaos.Lost] == 0 {
		t.Errorf("the platform answered before it committed, and the judge has found no loss: %v", sum.Count)
	}
}
