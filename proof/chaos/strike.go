package chaos

import (
	"context"
	"math/rand/v2"
)

// strike lets happen to a life what the configuration says, and reports whether the platform lives on.
func (r *run) strike(ctx context.Context, p *Platform) (lives bool, err error) {
	r.aside.Wait() // what looks at the books has files open, and would be struck, too
	r.sum.Kills++
	if err := r.Strike(ctx, p); err != nil {
		return false, err
	}
	r.calm = r.clk.Now()
	select {
	case <-p.ended:
		r.line.Lead(nil)
		return false, nil
	default:
		return true, nil
	}
}

// Ended is closed when the process has ended.
func (l *Platform) Ended() <-chan struct{} { return l.ended }

// Wait returns once the platform is ready; with an error if it has ended, or ctx has.
func (l *Platform) Wait(ctx context.Context) error { return l.wait(ctx) }

// Exit returns the exit code of a process that has ended, -1 if a signal ended it, and the beginning of what it had
// written to its standard error.
func (l *Platform) Exit() (code int, said string) {
	<-l.ended
	return l.cmd.ProcessState.ExitCode(), l.said.String()
}

// PID returns the number of the process.
func (l *Platform) PID() int { return l.cmd.Process.Pid }

// Again returns a judge who knows what j knows, has found nothing yet, and looks at the platform that another line leads
// to: for copies of what j's platform has left. Nobody may be writing to the log.
func (j *Judge) Again(line *Line) *Judge {
	return &Judge{line: line, log: j.log, card: j.card, rnd: rand.New(rand.NewPCG(0, 0)), entries: j.entries, made: j.made, //nolint:gosec // a lot that can be drawn again
		start: j.start, Verdict: Verdict{Count: map[Breach]int{}, Ended: map[string]int{}}}
}
