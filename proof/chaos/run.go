package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// Config says what a run does.
type Config struct {
	Program Program
	Binary  string // the real binary, for verify; "" leaves the books alone
	Log     string // path of the acknowledgement log, which must not exist
	Kills   int
	Clients int // at least 1
	Seed    uint64
	Check   int  // kills between two full checks
	Random  bool // die at moments drawn by lot only
	// Life is the longest time between the moment when the platform is ready and the end of its life; 0 means half a second.
	Life time.Duration
	// CallLimit is how long clients wait for an answer; 0 means longer than a platform takes for any.
	CallLimit time.Duration
	// Cut, if set, cuts the platform's connections to its store.
	Cut func(context.Context) error
	// Rival, if set, is a second process on the same store, with a data folder of its own, that takes the platform over
	// while that is at work. Usurp gives it the lock.
	Rival *Program
	Usurp func(context.Context) error
	// Stopped, if set, lets every life, Kills in all, end with a takeover: the platform is stopped by SIGSTOP, and goes on
	// only when the rival has been at work for that long.
	Stopped time.Duration
	// Strike, if set, is what ends a life instead of SIGKILL: it may leave the platform dead, however that died, or alive.
	// Where it has to be repaired before the next start, Strike does that.
	Strike func(context.Context, *Platform) error
	// Say is told how the run goes.
	Say func(format string, args ...any)
}

// Summary is what a run came to.
type Summary struct {
	Kills     int   // of a platform that was ready
	Placed    int   // of them, at the instant when a decision was durable
	Undecided int   // of all, those that left a payment before its decision
	Between   int   // of all, those that left a payment between its decision and the end of its confirmation
	Early     int   // further kills, of a platform that was starting
	Frozen    int   // lives with a pause of the whole process in them
	Cuts      int   // lives in which the connections to the store were cut
	Takeovers int   // lives that ended because another process took over
	Silent    int64 // calls that got no answer
	Asks      int64
	Acks      int64
	Payments  int
	Slowest   time.Duration // start
	Handover  time.Duration // the slowest takeover, from when the rival may have the lock until it is ready
	Verify    string        // what koban verify said: ok, FAILED, or "not asked"
	Took      time.Duration
	Judge     *Judge // who has looked at everything
	Verdict
}

// String returns the summary on one line.
func (s *Summary) String() string {
	books := "verify " + s.Verify
	return fmt.Sprintf("%d kills, %d of them between decision and last Confirm (%d placed there), %d more while starting; %d pauses, %d cuts, %d takeovers; "+
		"%d asks, %d acks, %d payments, %d answers repeated; %s; %s; slowest start %s; %.1f s",
		s.Kills, s.Between, s.Placed, s.Early, s.Frozen, s.Cuts, s.Takeovers, s.Asks, s.Acks, s.Payments, s.Checks, &s.Verdict, books,
		s.Slowest.Round(time.Millisecond), s.Took.Seconds())
}

// run is a run under way.
type run struct {
	Config
	clk   clock.Clock
	rnd   *rand.Rand
	line  *Line
	log   *Log
	judge *Judge
	crowd *crowd
	aside sync.WaitGroup // verify, beside the platform at work
	looks atomic.Bool    // it is at work: its connections are not for cutting
	calm  clock.Micros   // when the last trouble ended that the platform lived through
	sum   Summary
}

// Run kills a platform again and again and judges it. What the judge has found stands in the summary; an error means
// that the run could not be made.
func Run(ctx context.Context, c Config) (_ *Summary, err error) {
	r := &run{Config: c, clk: clock.NewSystem(), rnd: rand.New(rand.NewPCG(c.Seed, 0)), line: NewLine()} //nolint:gosec // a lot that can be drawn again
	r.line.limit = cmp.Or(c.CallLimit, callLimit)
	if c.Program.Lies {
		r.line.patience = LittlePatience
	}
	began := r.clk.Now()
	if r.log, err = OpenLog(c.Log); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.log.Close()) }()
	if c.Rival != nil {
		if err := shareKey(&c.Program, c.Rival); err != nil {
			return nil, err
		}
	}
	p, err := r.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p != nil {
			_ = p.Kill() // what is left of a run that has failed
		}
	}()
	if err := r.prepare(ctx, p); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for n := range c.Clients {
		one := &client{crowd: r.crowd, n: n, rnd: rand.New(rand.NewPCG(c.Seed, uint64(n+1)))} //nolint:gosec // as above
		clients.Go(func() { one.work(life) })
	}
	for err == nil && r.ends() < c.Kills {
		p, err = r.life(ctx, p)
	}
	if err == nil {
		r.crowd.turn.Lock()
		err = r.check(ctx, true)
		stop() // before they are let in again
		r.crowd.turn.Unlock()
	}
	stop()
	clients.Wait()
	r.aside.Wait()
	if err != nil {
		return nil, err
	}
	if err = r.end(ctx, p); err != nil {
		return nil, err
	}
	p = nil
	r.sum.Judge, r.sum.Verdict, r.sum.Took = r.judge, r.judge.Verdict, r.clk.Now().Sub(began)
	r.sum.Asks, r.sum.Acks, r.sum.Payments, r.sum.Silent = r.log.asks.Load(), r.log.acks.Load(), len(r.judge.made), r.line.silent.Load()
	return &r.sum, nil
}

// ends counts the lives that have ended as they had to.
func (r *run) ends() int {
	if r.Stopped > 0 {
		return r.sum.Takeovers
	}
	return r.sum.Kills
}

// start starts the platform and leads the line to it.
func (r *run) start(ctx context.Context) (*Platform, error) {
	p, err := r.Program.Start(ctx)
	if err != nil {
		return nil, err
	}
	r.sum.Slowest = max(r.sum.Slowest, p.Ready)
	r.calm = p.Started.Add(p.Ready)
	r.line.Lead(p)
	return p, nil
}

// prepare makes the judge, and the customers rich.
func (r *run) prepare(ctx context.Context, p *Platform) (err error) {
	r.crowd = &crowd{line: r.line, log: r.log, card: p.Card, run: fmt.Sprintf("run-%d", r.Seed)}
	if r.judge, err = NewJudge(ctx, r.line, r.log, p.Card, r.Seed); err != nil {
		return err
	}
	return Enrich(ctx, r.line, r.log, p.Card)
}

// When a life ends: 50 to 500 milliseconds after the platform was ready, unless Life says otherwise.
const (
	shortLife = 50 * time.Millisecond
	longLife  = 500 * time.Millisecond
	armLimit  = 30 * time.Second
)

// After every 50th kill the platform stays away for so long that what is undecided is given up.
const (
	outageEvery = 50
	outage      = 31 * time.Second
)

// life lets the platform p live, kills it, starts the next one, and lets the judge look at that.
func (r *run) life(ctx context.Context, p *Platform) (*Platform, error) {
	if err := r.trouble(ctx, p); err != nil {
		return p, err
	}
	select {
	case <-ctx.Done():
		return p, ctx.Err()
	case <-clock.Pause(shortLife + time.Duration(r.rnd.Int64N(int64(cmp.Or(r.Life, longLife)-shortLife)))):
	}
	if r.Rival != nil && (r.Stopped > 0 || r.rnd.IntN(5) == 0) {
		return r.takeover(ctx, p)
	}
	if r.Strike != nil {
		lives, err := r.strike(ctx, p)
		if err == nil && lives {
			err = r.judge.Sample(ctx, 20)
		}
		if err != nil || lives {
			return p, err
		}
	} else if err := r.kill(ctx, p); err != nil {
		return p, err
	}
	if err := r.autopsy(ctx); err != nil {
		return p, err
	}
	if r.Strike == nil && r.rnd.IntN(6) == 0 {
		if err := r.killEarly(ctx); err != nil {
			return p, err
		}
	}
	if r.Strike == nil && r.sum.Kills%outageEvery == 0 {
		r.Say("nobody is there for %s", outage)
		select {
		case <-ctx.Done():
		case <-clock.Pause(outage):
		}
	}
	p, err := r.start(ctx)
	if err != nil {
		return nil, err
	}
	if r.sum.Kills%r.Check == 0 && r.sum.Kills < r.Kills {
		r.crowd.turn.Lock()
		defer r.crowd.turn.Unlock()
		r.verifyAside(ctx)
		return p, r.check(ctx, false)
	}
	return p, r.judge.Sample(ctx, 20)
}

// longFreeze bounds a pause of the process.
const longFreeze = 2 * time.Second

// trouble makes some lives hard.
func (r *run) trouble(ctx context.Context, p *Platform) error {
	switch n := r.rnd.IntN(8); {
	case n == 0:
		r.sum.Frozen++
		return p.Freeze(ctx, time.Duration(r.rnd.Int64N(int64(longFreeze))))
	case n < 3 && r.Cut != nil && !r.looks.Load():
		r.sum.Cuts++
		return r.Cut(ctx)
	default:
		return nil
	}
}

// verifyAside judges the books while the platform is at work, and killed.
func (r *run) verifyAside(ctx context.Context) {
	if r.Binary == "" {
		return
	}
	r.aside.Wait() // of the time before
	program := r.Program
	r.looks.Store(true)
	r.aside.Go(func() {
		defer r.looks.Store(false)
		wrong, err := program.Verify(ctx, r.Binary)
		if err != nil && ctx.Err() == nil {
			r.judge.breach(Wrong, "verify beside the platform: %v", err)
		}
		for _, w := range wrong {
			r.judge.breach(Wrong, "verify beside the platform: %s", w)
		}
	})
}

// kill ends a life: every fourth one at the instant when a decision is durable, the others at once.
func (r *run) kill(ctx context.Context, p *Platform) error {
	defer r.line.Lead(nil)
	if r.sum.Kills++; r.Random || r.sum.Kills%4 != 1 {
		return p.Kill()
	}
	ctx, cancel := context.WithTimeout(ctx, armLimit)
	defer cancel()
	r.sum.Placed++
	return p.DieAtDecision(ctx)
}

// takeover lets another process take the store over while p is at work, or frozen. p must notice and end.
func (r *run) takeover(ctx context.Context, p *Platform) (*Platform, error) {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	next, err := r.Rival.Exec()
	if err != nil {
		return p, err
	}
	r.sum.Takeovers++
	frozen := r.Stopped > 0 || r.rnd.IntN(2) == 0
	if frozen {
		err = p.cmd.Process.Signal(syscall.SIGSTOP)
	}
	if err == nil {
		began := r.clk.Now()
		err = r.usurp(ctx, next)
		r.sum.Handover = max(r.sum.Handover, r.clk.Now().Sub(began))
	}
	if err == nil && r.Stopped > 0 {
		r.line.Lead(next) // whoever waits for the one that was stopped waits on
		select {
		case <-ctx.Done():
		case <-clock.Pause(r.Stopped):
		}
	}
	if err == nil && frozen {
		err = p.cmd.Process.Signal(syscall.SIGCONT) // it still believes that the books are its own
	}
	if err != nil {
		return p, errors.Join(err, next.Kill())
	}
	r.line.Lead(next)
	r.calm = r.clk.Now()
	if err := p.Replaced(ctx); err != nil {
		return next, err
	}
	*r.Rival, r.Program = r.Program, *r.Rival
	return next, r.judge.Sample(ctx, 20)
}

// usurp returns once next is ready. A platform whose connections were cut has no lock any more: there, next does not
// wait for one.
func (r *run) usurp(ctx context.Context, next *Platform) error {
	ready, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.Usurp(ready) }()
	err := next.wait(ctx)
	stop()
	if bad := <-done; bad != nil && ready.Err() == nil {
		err = errors.Join(err, bad)
	}
	return err
}

// killEarly starts the platform and kills it while it is starting, and recovering from the kill before.
func (r *run) killEarly(ctx context.Context) error {
	p, err := r.Program.Exec()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-p.ended:
	case <-clock.Pause(time.Duration(r.rnd.Int64N(int64(300 * time.Millisecond)))):
	}
	r.sum.Early++
	return p.Kill()
}

// autopsy counts what the kill has left unfinished.
func (r *run) autopsy(ctx context.Context) error {
	left, err := platform.Autopsy(ctx, r.Program.Data, r.Program.Store)
	if err != nil {
		return fmt.Errorf("autopsy: %w", err)
	}
	var between, undecided int
	for _, u := range left {
		switch u.Decision {
		case "confirm":
			between++
		case "":
			undecided++
		}
	}
	if between > 0 {
		r.sum.Between++
	}
	if undecided > 0 {
		r.sum.Undecided++
	}
	if r.sum.Kills%10 == 0 {
		r.Say("%d kills, %d of them between decision and last Confirm; %d acks; the last one left %d unfinished, %d of them decided",
			r.sum.Kills, r.sum.Between, r.log.acks.Load(), len(left), between)
	}
	return nil
}

// check lets the judge look at everything that is new, or at all. The caller has the turn: no client is at work, and
// each has had its answer.
func (r *run) check(ctx context.Context, all bool) error {
	if err := r.judge.Settle(ctx, r.calm); err != nil {
		return err
	}
	if err := r.judge.Check(ctx, all); err != nil {
		return err
	}
	r.Say("checked %d requests after %d kills: %s", len(r.judge.entries), r.sum.Kills, &r.judge.Verdict)
	return nil
}

// stopLimit bounds an orderly stop.
const stopLimit = 30 * time.Second

// end stops the platform in order. Nothing may be unfinished then, and the books must be right.
func (r *run) end(ctx context.Context, p *Platform) error {
	r.line.Lead(nil)
	limit, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := p.Stop(limit); err != nil {
		return err
	}
	left, err := platform.Autopsy(ctx, r.Program.Data, r.Program.Store)
	if err != nil {
		return fmt.Errorf("autopsy: %w", err)
	}
	for _, u := range left {
		r.judge.breach(Stuck, "%s is WORK_IN_PROGRESS, decision %q", u.ID, u.Decision)
	}
	if r.sum.Verify = "not asked"; r.Binary == "" {
		return nil
	}
	wrong, err := r.Program.Verify(ctx, r.Binary)
	if r.sum.Verify = "ok"; err != nil || len(wrong) > 0 {
		r.sum.Verify = "FAILED"
	}
	for _, w := range wrong {
		r.judge.breach(Wrong, "verify: %s", w)
	}
	return err
}
