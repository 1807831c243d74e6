package disk

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/proof/chaos"
)

var points = flag.Int("points", 4, "at how many system calls TestFailingCalls lets the disk fail")

// failure is a system call that fails.
type failure struct {
	calls string // as strace(1) names them
	file  string // of the data folder
	errno string
	after ending
}

// ending is what a failure must lead to.
type ending int

const (
	mayEnd  ending = iota // what fails is not the record, or is read: either is right, if the books are
	ends                  // nothing more may be built on this journal, or on these tables
	goesOn                // it can be tried again
	atStart               // the platform is started on a disk that fails: it says so and ends, or does without
)

// failures are the calls that TestFailingCalls lets fail, in turn.
var failures = []failure{
	{"fsync,fdatasync", "journal.db-wal", "EIO", ends},
	{"pwrite64", "journal.db-wal", "EIO", ends},
	{"pwrite64", "journal.db-wal", "ENOSPC", goesOn},
	{"fsync,fdatasync", "", "EIO", atStart},
	{"fsync,fdatasync", "journal.db", "EIO", ends}, // a checkpoint
	{"pwrite64", "state/payment.db-wal", "EIO", mayEnd},
	{"fsync,fdatasync", "journal.db-wal", "ENOSPC", ends},
	{"pwrite64", "", "ENOSPC", atStart},
	{"pwrite64", "journal.db", "EIO", ends},
	{"pwrite64", "state/balance.db-wal", "ENOSPC", mayEnd},
	{"pwrite64", "", "EIO", atStart},
	{"pwrite64", "journal.db", "ENOSPC", goesOn},
	{"fsync,fdatasync", "state/points.feed.db-wal", "EIO", ends},
	{"ftruncate,openat", "", "EIO", atStart},
	{"pread64", "journal.db", "EIO", mayEnd},
	{"pwrite64,pread64", "state/code.db", "EIO", mayEnd},
}

// TestFailingCalls lets the disk fail at one system call after another while clients pay. A sync or a write of the record
// that fails, in a commit or in a checkpoint, ends the process, and so does a sync of tables; a full disk does not. The next
// process recovers.
func TestFailingCalls(t *testing.T) {
	t.Parallel()
	i := NewImage(t, "ext4", room)
	f := newBreaker(t, i)
	s := play(t, chaos.Config{Program: f.program, Binary: koban(t), Kills: *points, Strike: f.strike})
	score.Report(t, score.Line{
		ID: "sync-error", Name: "system calls of the disk that fail",
		Figure: fmt.Sprintf("%d failing calls reached of %d tried (%d while starting), %d processes ended, %d went on, %d power losses behind that; %d acknowledged, %s, verify %s",
			f.reached, s.Kills, f.starts, f.ended, f.lived, f.losses, s.Acks, &s.Verdict, s.Verify),
		Target: "the process ends where it must, and nothing is lost",
		Value:  int64(f.reached), Seeds: fmt.Sprint(s.seed), OK: s.right() && f.ended > 0 && f.reached >= s.Kills/2,
	})
}

// TestControlFailingSyncLosesWhatIsNotCommitted does the same to a platform that answers before it commits.
func TestControlFailingSyncLosesWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	i := NewImage(t, "ext4", room)
	f := newBreaker(t, i)
	f.program = spoiled(t, hasty, f.program.Data)
	s := play(t, chaos.Config{Program: f.program, Kills: 1, Strike: func(ctx context.Context, p *chaos.Platform) error {
		_, err := f.trace(ctx, p, failures[0])
		return errors.Join(err, p.Kill())
	}})
	report(t, s, "sync-error-control", "a failing sync under a platform that answers before it commits")
}

// breaker lets system calls of a platform fail, by strace(1).
type breaker struct {
	t       *testing.T
	program chaos.Program
	disk    *Image
	rnd     *rand.Rand
	log     string

	strikes, reached, starts, ended, lived, losses int
}

func newBreaker(t *testing.T, i *Image) *breaker {
	need(t, "strace", "install the package strace")
	return &breaker{
		t: t, disk: i, program: chaos.Program{Path: koban(t), Data: filepath.Join(i.Dir, "data")},
		rnd: rand.New(rand.NewPCG(luck(t), 2)), log: filepath.Join(t.TempDir(), "strace.log"),
	}
}

// strike lets the next call of the list fail, and requires what it must lead to.
func (b *breaker) strike(ctx context.Context, p *chaos.Platform) error {
	f := failures[b.strikes%len(failures)]
	b.strikes++
	if f.after == atStart {
		if err := p.Kill(); err != nil {
			return err
		}
		return b.start(ctx, f)
	}
	reached, err := b.trace(ctx, p, f)
	if err != nil {
		return err
	}
	ended, err := b.outcome(ctx, p, f, reached)
	if err != nil || ended || b.rnd.IntN(2) == 0 {
		return err
	}
	b.losses++ // what was not written, or not synced, shows when the power fails
	return lose(b.disk, p)
}

// outcome requires that the platform ended if it must, and is at work if it must be. It reports whether it has ended.
func (b *breaker) outcome(ctx context.Context, p *chaos.Platform, f failure, reached bool) (ended bool, err error) {
	limit := untilReady
	err = until(ctx, p, limit, func(ctx context.Context) error {
		if f.after == ends && reached {
			return errors.New("the disk has failed, and the platform goes on")
		}
		return ready(ctx, p)
	})
	if !errors.Is(err, errEnded) {
		b.t.Logf("%+v: reached %t, and the platform is at work", f, reached)
		b.lived++
		return false, err
	}
	b.ended++
	code, said := p.Exit()
	b.t.Logf("%+v: exit code %d: %s", f, code, strings.TrimSpace(said))
	if f.after == goesOn || code != cannotGoOn || !strings.Contains(said, "koban: ") {
		return true, fmt.Errorf("%+v: the platform ended with code %d and said: %s", f, code, said)
	}
	return true, nil
}

// How long a call that is to fail is waited for; and how often it fails where the platform is to go on.
const (
	untilReached = 5 * time.Second
	often        = 3
)

// trace lets calls of a platform fail until one has, or some have, and then no more. It reports whether any has.
func (b *breaker) trace(ctx context.Context, p *chaos.Platform, f failure) (reached bool, err error) {
	when, want := fmt.Sprint(1+b.rnd.IntN(4)), 1
	if f.after == goesOn {
		when, want = "1+", often
	}
	if err := b.forget(); err != nil {
		return false, err
	}
	tracer := exec.CommandContext(ctx, "strace", append(b.inject(f, when), "-p", fmt.Sprint(p.PID()))...)
	tracer.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := tracer.Start(); err != nil {
		return false, err
	}
	n := 0
	err = until(ctx, p, untilReached, func(context.Context) error {
		if n, err = b.injected(); err == nil && n < want {
			err = errors.New("not yet")
		}
		return err
	})
	release(tracer)
	if n, err = b.injected(); n > 0 {
		b.reached++
	}
	return n > 0, err
}

// release has strace let go of what it looks into. If that is just ending, strace may wait for it for ever: then the
// kernel lets go in its place.
func release(tracer *exec.Cmd) {
	done := make(chan struct{})
	go func() {
		_ = tracer.Wait() // how it ended says nothing
		close(done)
	}()
	_ = tracer.Process.Signal(syscall.SIGINT)
	select {
	case <-done:
	case <-clock.Pause(untilReached):
		_ = tracer.Process.Kill()
		<-done
	}
}

// inject returns the arguments of strace.
func (b *breaker) inject(f failure, when string) []string {
	args := []string{"-f", "-qq", "-o", b.log, "-e", "trace=" + f.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", f.calls, f.errno, when)}
	if f.file != "" {
		args = append(args, "-P", filepath.Join(b.program.Data, f.file))
	}
	return args
}

// forget removes what strace has told of the time before.
func (b *breaker) forget() error {
	err := os.Remove(b.log)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}

// injected returns how many calls have failed.
func (b *breaker) injected() (int, error) {
	text, err := os.ReadFile(b.log)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return strings.Count(string(text), "(INJECTED)"), err
}

// start starts a platform whose calls fail from the beginning. It has to say why it cannot go on, or to get ready all the
// same; then the power fails.
func (b *breaker) start(ctx context.Context, f failure) error {
	b.starts++
	if err := b.forget(); err != nil {
		return err
	}
	args := append(b.inject(f, fmt.Sprint(1+b.rnd.IntN(12))), "-D", b.program.Path, "run", "--data", b.program.Data, "--listen", "127.0.0.1:0")
	program := chaos.Program{Path: "strace", Args: args, Data: b.program.Data}
	p, err := program.Exec()
	if err != nil {
		return err
	}
	defer func() {
		if n, _ := b.injected(); n > 0 {
			b.reached++
		}
	}()
	select {
	case <-p.Ended():
		b.ended++
		code, said := p.Exit()
		b.t.Logf("%+v: exit code %d: %s", f, code, strings.TrimSpace(said))
		if code != cannotGoOn || !strings.Contains(said, "koban: ") {
			return fmt.Errorf("%+v: the platform was started, ended with code %d and said: %s", f, code, said)
		}
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.Kill())
	case <-clock.Pause(untilReached):
	}
	b.t.Logf("%+v: the platform started all the same", f)
	b.lived++
	b.losses++
	return lose(b.disk, p)
}
