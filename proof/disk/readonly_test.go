package disk

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/proof/chaos"
)

var refusals = flag.Int("readonly", 1, "how often TestReadOnlyDisk turns the file system read-only")

// TestReadOnlyDisk has the kernel find an error in the file system and turn it read-only while clients pay, as it does
// with a disk that fails. What was acknowledged is there once the file system was repaired.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	r := newReadOnly(t, chaos.Program{Path: koban(t)})
	s := play(t, chaos.Config{Program: r.program, Binary: koban(t), Kills: *refusals, Strike: r.strike})
	score.Report(t, score.Line{
		ID: "disk-read-only", Name: "a file system that turns read-only",
		Figure: fmt.Sprintf("%d times, %d processes ended by themselves, %d starts on it refused; %d acknowledged, %s, verify %s", s.Kills, r.ended, r.refused, s.Acks, &s.Verdict, s.Verify),
		Target: "nothing is acknowledged that cannot be written", Value: int64(s.Kills), Seeds: fmt.Sprint(s.seed),
		OK: s.right() && s.Kills >= *refusals && r.refused == s.Kills,
	})
}

// TestControlReadOnlyDiskLosesWhatIsNotCommitted does the same to a platform that answers before it commits.
func TestControlReadOnlyDiskLosesWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	r := newReadOnly(t, spoiled(t, hasty, ""))
	s := play(t, chaos.Config{Program: r.program, Kills: 1, Strike: func(ctx context.Context, p *chaos.Platform) error {
		return errors.Join(r.disk.Fail(ctx), goOn(ctx, p), p.Kill(), r.disk.Repair(ctx))
	}})
	report(t, s, "disk-read-only-control", "a read-only file system under a platform that answers before it commits")
}

// goOn lets a platform acknowledge some more.
func goOn(ctx context.Context, p *chaos.Platform) error {
	n := 0
	return until(ctx, p, untilFull, func(ctx context.Context) error {
		if status, _, _, err := ask(ctx, p, fmt.Sprintf("more-%d-%d", p.PID(), n), 0); err != nil || status != http.StatusCreated {
			return fmt.Errorf("answer %d: %w", status, err)
		}
		if n++; n < 20 {
			return errors.New("not enough yet")
		}
		return nil
	})
}

type readOnly struct {
	t              *testing.T
	disk           *Image
	program        chaos.Program
	ended, refused int
}

func newReadOnly(t *testing.T, p chaos.Program) *readOnly {
	need(t, "e2fsck", "install the package e2fsprogs")
	r := &readOnly{t: t, disk: NewImage(t, "ext4", room), program: p}
	r.program.Data = filepath.Join(r.disk.Dir, "data")
	if len(p.Env) > 0 {
		r.program.Env = append(r.program.Env, dataVariable+"="+r.program.Data)
	}
	return r
}

// strike turns the file system read-only, sees that the platform does not go on, and that none starts there, and has the
// file system repaired. The platform stands still meanwhile: as with a file system that is shut down, a sync that is under
// way when the kernel gives up may return with success although nothing was synced, and no program could know.
func (r *readOnly) strike(ctx context.Context, p *chaos.Platform) error {
	if err := errors.Join(rest(p.PID()), r.disk.Fail(ctx), resume(p.PID())); err != nil {
		return err
	}
	err := until(ctx, p, untilFull, func(ctx context.Context) error {
		return unready(ctx, p)
	})
	switch {
	case errors.Is(err, errEnded):
		r.ended++
		code, said := p.Exit()
		r.t.Logf("exit code %d: %s", code, strings.TrimSpace(said))
		if code != cannotGoOn {
			return fmt.Errorf("the platform ended with code %d and said: %s", code, said)
		}
	case err != nil:
		return err
	default:
		if err := p.Kill(); err != nil {
			return err
		}
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	return r.disk.Repair(ctx)
}

// start starts a platform on a read-only file system, which it has to refuse.
func (r *readOnly) start(ctx context.Context) error {
	next, err := r.program.Exec()
	if err != nil {
		return err
	}
	select {
	case <-next.Ended():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), next.Kill())
	}
	code, said := next.Exit()
	r.t.Logf("exit code %d: %s", code, strings.TrimSpace(said))
	if code != cannotGoOn || !strings.Contains(said, "read-only file system") {
		return fmt.Errorf("a platform was started on a read-only file system, ended with code %d and said: %s", code, said)
	}
	r.refused++
	return nil
}

// Fail has the kernel meet an error in the file system, which must be ext4, and so turn it read-only.
func (i *Image) Fail(ctx context.Context) error {
	device, err := exec.CommandContext(ctx, "findmnt", "-no", "SOURCE", i.Dir).Output()
	if err != nil {
		return fmt.Errorf("which device is mounted at %s: %w", i.Dir, err)
	}
	if err := call(ctx, "mount", "-o", "remount,errors=remount-ro", i.Dir); err != nil {
		return err
	}
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(device))), "trigger_fs_error")
	return os.WriteFile(trigger, []byte("found by a test"), 0o200)
}

// Repair repairs and mounts the file system, which nobody may be using.
func (i *Image) Repair(ctx context.Context) error {
	if err := i.unmount(); err != nil {
		return err
	}
	err := call(ctx, "e2fsck", "-p", i.file)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // it has found what to repair, and has repaired it
	}
	if err != nil {
		return err
	}
	return i.mount()
}
