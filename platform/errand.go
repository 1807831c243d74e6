package platform

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// errands are requests that span several books. What the first step has named must not stay half made because its caller
// went away: an errand goes on to its end without it. One that a crash has cut short is finished by sending it again.
type errands struct {
	log   *slog.Logger
	life  context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup
	slots chan struct{}
}

// errandsAtOnce bounds the errands whose callers have gone; while the books stand still, nobody else ends them.
const errandsAtOnce = 1024

func newErrands(log *slog.Logger) *errands {
	e := &errands{log: log, slots: make(chan struct{}, errandsAtOnce)}
	e.life, e.stop = context.WithCancel(context.Background())
	return e
}

// close ends the errands that are under way.
func (e *errands) close(context.Context) error {
	e.stop()
	e.work.Wait()
	return nil
}

// runErrand does f in the name of its caller, and waits for it as long as the caller does.
//
// Errors: f's; fault.Overloaded if too much is under way, and fault.ShuttingDown (nothing was begun); fault.Timeout
// (unknown) if ctx ends first.
func runErrand[R any](ctx context.Context, e *errands, f func(context.Context) (R, error)) (R, error) {
	var none R
	if e.life.Err() != nil {
		return none, fault.ShuttingDown.New("")
	}
	select {
	case e.slots <- struct{}{}:
	default:
		return none, fault.Overloaded.New("%d requests of this kind are under way; send this one again", errandsAtOnce)
	}
	type answer struct {
		r   R
		err error
	}
	heard := make(chan answer, 1) // room for an answer that nobody waits for any more
	e.work.Go(func() {
		defer func() { <-e.slots }()
		on, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(e.life, cancel)()
		r, err := f(on)
		heard <- answer{r, err}
	})
	select {
	case a := <-heard:
		return a.r, a.err
	case <-ctx.Done():
		return none, fault.Timeout.New("").Because(ctx.Err())
	}
}

const (
	insistFirst = 20 * time.Millisecond
	insistLast  = 2 * time.Second
	insistTries = 300 // some ten minutes: what fails for longer is finished by sending the request again
)

// firstStep makes the step that an errand begins with. While nobody knows whether it was made, it is followed up.
func firstStep[R any](ctx context.Context, e *errands, what string, step func() (R, error)) (R, error) {
	r, err := step()
	if fault.KindOf(err) != fault.Unknown { // where the platform was busy, nothing was begun
		return r, err
	}
	return nextStep(ctx, e, what, step)
}

// nextStep makes a step that follows from what is durable already, again and again until it is known how it ended.
func nextStep[R any](ctx context.Context, e *errands, what string, step func() (R, error)) (R, error) {
	for n, pause := 1, insistFirst; ; n, pause = n+1, min(2*pause, insistLast) {
		r, err := step()
		if tcc.OutcomeOf(err) != tcc.Unknown || fault.HasCode(err, fault.Fenced) {
			return r, err
		}
		if ctx.Err() != nil || n == insistTries {
			e.log.Error("a request was done in part; send it again with the same key to finish it", "missing", what, "error", err)
			return r, err
		}
		select {
		case <-ctx.Done():
		case <-clock.Pause(pause):
		}
	}
}
