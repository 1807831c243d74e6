package clock

import (
	"fmt"
	"time"
)

// Reading is what a machine's clocks say at one moment.
type Reading struct {
	Wall Micros // the wall clock: it may be set, and goes on while the machine sleeps
	Mono Micros // the monotonic clock, from any origin: nobody sets it, and it stands still while the machine sleeps
}

const (
	// maxDrift is how far the wall clock may stand from the monotonic one before nothing is stamped any more.
	maxDrift = 2 * Second
	// agrees is how alike two drifts are that count as the same.
	agrees = 100 * Millisecond
	// confirms is how long both clocks have to go alike again before a step forward is followed.
	confirms = 500 * Millisecond
	// patience is how long a clock may be in doubt: who set it wrong sets it right within seconds, or not at all.
	patience = 10 * Second
	// farthest is the longest step that is followed without a witness. The monotonic clock of a virtual machine that its host
	// has stopped for a night knows as little of that night as one whose wall clock somebody has set wrong.
	farthest = Day
)

// StepError says that the machine's wall clock does not stand where the monotonic one says it should.
type StepError struct {
	By      time.Duration // how far it stands ahead; negative: behind
	Lasting bool          // waiting does not help: the process has to end
}

// Error says what to do.
func (e *StepError) Error() string {
	if !e.Lasting {
		return fmt.Sprintf("the machine's wall clock stepped by %s; nothing is written until it is clear what time it is", e.By)
	}
	return fmt.Sprintf("the machine's wall clock stepped by %s and does not come back. Set it right (timedatectl, chronyc tracking), "+
		"then start again: what was acknowledged is kept", e.By)
}

// doubt judges the drift between a wall clock and a monotonic one, look by look (rule B7). A step forward after which both
// go alike again is a machine that slept, or one whose clock was set right: time has passed, and is followed. A step back
// cannot be followed, for books never are: either the clock comes back soon, or the process has to end.
type doubt struct {
	on    bool
	since Micros // when the doubt began, on the monotonic clock
	calm  Micros // since when the drift is what it was at the last look
	drift Micros // at the last look
}

// look takes one more drift, seen at mono. slept tells how much of it the machine is known to have slept. It returns by how
// much time is to be carried forward, or why nothing may be stamped now.
func (d *doubt) look(mono, drift Micros, slept func() Micros) (forward Micros, err *StepError) {
	if abs(drift) < maxDrift {
		d.on = false
		return 0, nil
	}
	if !d.on {
		*d = doubt{on: true, since: mono, calm: mono, drift: drift}
	}
	if abs(drift-d.drift) > agrees {
		d.calm = mono
	}
	d.drift = drift
	if drift > 0 && mono-d.calm >= confirms && (drift <= farthest || abs(drift-slept()) < maxDrift) {
		d.on = false
		return drift, nil
	}
	return 0, &StepError{By: time.Duration(drift) * time.Microsecond, Lasting: mono-d.since >= patience}
}

func abs(m Micros) Micros { return max(m, -m) }
