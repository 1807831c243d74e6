package disk

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/proof/chaos"
)

var fills = flag.Int("fills", 2, "how often TestFullDisk fills the disk, on each file system")

// small is the size of a file system that is to fill up: little more than a platform requires of a disk to start on it.
const small = 160 << 20

// TestFullDisk fills the disk while clients pay. They hear that the platform cannot now, at once and with nothing begun for
// them, and once there is room again everything goes on, without a hand. Every second time the platform is killed while the disk is full: then the next one
// says that there is no room, and starts once there is.
func TestFullDisk(t *testing.T) {
	for _, fs := range []string{"ext4", "tmpfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			f := &filler{say: t.Logf, program: chaos.Program{Path: koban(t), Data: filepath.Join(where(t, fs), "data")}}
			s := play(t, chaos.Config{Program: f.program, Binary: koban(t), Kills: *fills, Strike: f.strike})
			score.Report(t, score.Line{
				ID: "disk-full-" + fs, Name: "a full disk, on " + fs,
				Figure: fmt.Sprintf("filled %d times, %d times killed meanwhile, refusals read %d times, ready again within %s of there being room; %d acknowledged, %s, verify %s",
					s.Kills, f.killed, f.refusals, f.slowest.Round(time.Millisecond), s.Acks, &s.Verdict, s.Verify),
				Target: fmt.Sprintf("%d, ready again by itself, nothing lost", *fills),
				Value:  int64(s.Kills), Seeds: fmt.Sprint(s.seed), OK: s.right() && s.Kills >= *fills && f.refusals > 0,
			})
		})
	}
}

// TestControlFullDiskLosesWhatIsNotCommitted kills, while the disk is full, a platform that answers before it commits.
func TestControlFullDiskLosesWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	f := &filler{program: spoiled(t, hasty, filepath.Join(where(t, "tmpfs"), "data")), always: true}
	s := play(t, chaos.Config{Program: f.program, Kills: 1, Strike: f.strike})
	report(t, s, "disk-full-control", "a full disk under a platform that answers before it commits")
}

// where returns a folder on a small file system.
func where(t *testing.T, fs string) string {
	t.Helper()
	if fs == "tmpfs" {
		return NewTmpfs(t, small)
	}
	return NewImage(t, fs, small).Dir
}

// filler fills a disk, and makes room again.
type filler struct {
	program  chaos.Program
	say      func(string, ...any)
	always   bool // the platform is killed at each strike, not at every second one
	strikes  int
	killed   int           // platforms, while the disk was full
	refusals int           // that were read, and were as they should be
	putOff   string        // the key of a request that nothing was begun for; "" if there is none
	slowest  time.Duration // from there being room until the platform was ready
}

// Limits of waiting for what has to come.
const (
	untilFull  = 3 * time.Minute  // clients write until nothing more goes in, on a busy machine too
	untilReady = 10 * time.Second // once there is room
)

// strike fills the disk, looks at what the platform does, and makes room again.
func (f *filler) strike(ctx context.Context, p *chaos.Platform) error {
	path := filepath.Join(filepath.Dir(f.program.Data), "filler")
	if err := fillUp(path); err != nil {
		return err
	}
	f.strikes++
	kill := f.always || f.strikes%2 == 0
	meanwhile := f.refused
	if kill {
		meanwhile = f.kill
	}
	if err := errors.Join(meanwhile(ctx, p), os.Remove(path)); err != nil || kill {
		return err
	}
	clk := clock.NewSystem()
	began := clk.Now()
	err := until(ctx, p, untilReady, func(ctx context.Context) error { return ready(ctx, p) })
	f.slowest = max(f.slowest, clk.Now().Sub(began))
	return errors.Join(err, f.unbound(ctx, p))
}

// unbound requires that nothing was begun for a request that was put off: its key is free for another one.
func (f *filler) unbound(ctx context.Context, p *chaos.Platform) error {
	return until(ctx, p, untilReady, func(ctx context.Context) error {
		status, _, said, err := ask(ctx, p, f.putOff, 1)
		switch {
		case err != nil || status == http.StatusCreated:
			return err
		case status == http.StatusServiceUnavailable:
			return errors.New("not yet: " + said)
		}
		return fmt.Errorf("%w: something was begun for what was put off: with another body it is answered with %d: %s", errWrong, status, said)
	})
}

// kill waits until the platform cannot write, and kills it. What is started then has to say that there is no room.
func (f *filler) kill(ctx context.Context, p *chaos.Platform) error {
	err := until(ctx, p, untilFull, func(ctx context.Context) error {
		return unready(ctx, p)
	})
	if err != nil {
		return err
	}
	f.killed++
	if err := p.Kill(); err != nil {
		return err
	}
	next, err := f.program.Exec()
	if err != nil {
		return err
	}
	select {
	case <-next.Ended():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), next.Kill())
	}
	if code, said := next.Exit(); code != cannotGoOn || !strings.Contains(said, "make room") {
		return fmt.Errorf("a platform was started on a full disk, ended with code %d and said: %s", code, said)
	}
	return nil
}

// fillUp writes a file as large as will go in.
func fillUp(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	size := int64(0)
	for step := int64(64 << 20); step >= 4096; {
		switch err := unix.Fallocate(int(file.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			return errors.Join(fmt.Errorf("fill the disk: %w", err), file.Close())
		}
	}
	return file.Close()
}

// refused waits until a request is put off at once, and reads what it is told: that nothing was begun for it, and that it
// may be tried again. The first ones may hear that nobody knows: they were accepted before it was clear that there is no room.
func (f *filler) refused(ctx context.Context, p *chaos.Platform) error {
	n := 0
	return until(ctx, p, untilFull, func(ctx context.Context) error {
		n++
		key := fmt.Sprintf("full-%d-%d-%d", p.PID(), f.refusals, n)
		status, after, said, err := ask(ctx, p, key, 0)
		switch {
		case err != nil || status == http.StatusCreated:
			return errors.Join(errors.New("there is room still"), err)
		case status != http.StatusServiceUnavailable || after == "":
			return fmt.Errorf("%w: the disk is full, and the answer is %d (Retry-After %q): %s", errWrong, status, after, said)
		}
		var e struct {
			Error struct{ Code, Kind, Message string }
		}
		err = json.Unmarshal([]byte(said), &e)
		switch {
		case err != nil || e.Error.Kind != "busy" && e.Error.Kind != "unknown" || e.Error.Message == "":
			return fmt.Errorf("%w: the disk is full, and the answer says %s", errWrong, said)
		case e.Error.Kind == "unknown":
			return fmt.Errorf("the disk is full, and what is new is accepted still: %s", said)
		case e.Error.Code != "not_ready":
			return fmt.Errorf("%w: the disk is full, and what is new is refused with %s", errWrong, said)
		}
		f.putOff = key
		if f.refusals++; f.refusals == 1 {
			f.say("a full disk is refused with %s", said)
		}
		return nil
	})
}

// ask makes one request that has to be written: a scan of a shop's code by a customer, which moves nothing.
func ask(ctx context.Context, p *chaos.Platform, key string, customer int) (status int, after, said string, err error) {
	body := fmt.Sprintf(`{"payload":%q,"customer":%q}`, p.Card.Merchants[0].Payload, p.Card.Customers[customer].ID)
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Card.Address+"/v1/code-sessions", strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	q.Header.Set("Authorization", "Bearer "+p.Card.Keys.CustomerApp)
	q.Header.Set("Idempotency-Key", key)
	q.Header.Set("Content-Type", "application/json")
	return do(q)
}

// ready returns nil if the platform says that every book answers. It must not say that anything is wrong: whatever it was
// that the one before met, a kill or a loss of power among them, has taken no durable block away.
func ready(ctx context.Context, p *chaos.Platform) error {
	status, said, err := readiness(ctx, p)
	switch {
	case err == nil && status != http.StatusOK:
		err = fmt.Errorf("%d %s", status, said)
	case err == nil && strings.Contains(said, "degraded"):
		err = fmt.Errorf("%w: the platform finds something wrong: %s", errWrong, said)
	}
	return err
}

// unready returns nil if the platform says that it is not ready.
func unready(ctx context.Context, p *chaos.Platform) error {
	status, _, err := readiness(ctx, p)
	if err == nil && status == http.StatusOK {
		err = errors.New("the platform says that it is ready")
	}
	return err
}

func readiness(ctx context.Context, p *chaos.Platform) (status int, said string, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Card.Address+"/readyz", nil)
	if err != nil {
		return 0, "", err
	}
	status, _, said, err = do(q)
	return status, said, err
}
