package disk

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/platform"
	"github.com/koban-pay/koban/proof/chaos"
)

var (
	seedFlag = flag.Uint64("seed", 0, "the lots of all tests; 0 draws one")
	given    = flag.String("binary", "", "the binary to run; it is built if none is named")
)

// clients is how many pay at the same time: enough that something is always under way, and no more, for every start and every
// look at the books takes as long as what they have paid.
const clients = 4

// A test binary that finds one of these words in the environment variable is a platform in the data folder that
// dataVariable names, and wrong on purpose. The real binary has no such switch.
const (
	childVariable = "KOBAN_DISK_CHILD"
	dataVariable  = "KOBAN_DISK_DATA"
)

// children are the platforms that are wrong on purpose, by their words: each takes the configuration of a platform, and
// returns what makes it wrong once it is ready.
var children = map[string]func(*platform.Config) func() error{
	unsynced: syncLess,
	hasty:    answerFirst,
}

func TestMain(m *testing.M) {
	if word := os.Getenv(childVariable); word != "" {
		run := beInterrupted
		if word != interrupted {
			run = func() error { return child(children[word], os.Getenv(dataVariable)) }
		}
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	flag.Parse()
	os.Exit(inPlace(m.Run))
}

// inPlace runs the tests between taking away what earlier runs have left and what this one has made.
func inPlace(run func() int) (code int) {
	left, err := clearLeft()
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "An earlier run was interrupted. What it left was taken away:", strings.Join(left, " "))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "What an earlier run left cannot be taken away:", err)
		return 1
	}
	tidyUpOnSignal()
	code = run()
	places.Lock() // for good
	if err := clearPlaces(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func child(spoil func(*platform.Config) func() error, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c := platform.Config{
		Data: dir, Listen: "127.0.0.1:0", Tenant: "demo",
		Log:   slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Fatal: func(err error) { fmt.Fprintln(os.Stderr, err); os.Exit(2) },
	}
	lie := spoil(&c)
	platform, err := platform.Start(ctx, c)
	if err != nil {
		return err
	}
	if err := lie(); err != nil {
		return err
	}
	<-ctx.Done()
	return platform.Close(context.Background())
}

// spoiled returns the program of a platform that is wrong on purpose.
func spoiled(t *testing.T, word, data string) chaos.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return chaos.Program{
		Path: self, Args: []string{"-test.run=^$"},
		Env: []string{childVariable + "=" + word, dataVariable + "=" + data}, Data: data,
	}
}

var build = sync.OnceValues(func() (path string, err error) {
	if *given != "" {
		return *given, nil
	}
	dir, err := onDisk(bases[1], "binary-") // file systems in memory may forbid to run what is on them
	if err != nil {
		return "", err
	}
	return chaos.Build(context.Background(), dir)
})

// koban returns the path of the real binary.
func koban(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// luck returns the seed of a test, and logs it.
func luck(t *testing.T) uint64 {
	t.Helper()
	s := *seedFlag
	if s == 0 {
		s = rand.Uint64N(1 << 32)
	}
	t.Logf("seed %d", s)
	return s
}

// A run ends long before; these bound one that hangs, on a busy machine too.
const (
	perLife = 20 * time.Second
	perRun  = 6 * time.Minute
)

// played is what a run came to.
type played struct {
	*chaos.Summary
	seed uint64
}

// right reports whether a run has left nothing to complain of.
func (p *played) right() bool { return p.Right() && p.Verify == "ok" }

// play makes a run of c.Kills lives. What the judge has found stands in the summary.
func play(t *testing.T, c chaos.Config) *played {
	t.Helper()
	c.Seed = luck(t)
	c.Log, c.Clients, c.Check, c.Say = filepath.Join(t.TempDir(), "acknowledged.jsonl"), clients, 10, t.Logf
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(c.Kills)*perLife+perRun)
	defer cancel()
	s, err := chaos.Run(ctx, c)
	if err != nil {
		t.Fatalf("seed %d: %v", c.Seed, err)
	}
	for n, e := range s.Examples {
		if c.Binary != "" || n < 3 { // of a control, a few are enough
			t.Log(e)
		}
	}
	t.Logf("%d lives: %d asks, %d acks, %d payments; %s; verify %s; slowest start %s; %s", s.Kills, s.Asks, s.Acks, s.Payments,
		&s.Verdict, s.Verify, s.Slowest.Round(time.Millisecond), s.Took.Round(time.Millisecond))
	return &played{s, c.Seed}
}

// report says what became of a control: the judge has to have found that it lost something.
func report(t *testing.T, s *played, id, name string) {
	t.Helper()
	lost := s.Count[chaos.Lost]
	score.Report(t, score.Line{
		ID: id, Name: name,
		Figure: fmt.Sprintf("%d lives, %d acknowledged, %d losses found", s.Kills, s.Acks, lost),
		Target: "losses are found", Value: int64(lost), Seeds: fmt.Sprint(s.seed), OK: lost > 0,
	})
}
