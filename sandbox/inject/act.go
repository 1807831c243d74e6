package inject

import (
	"context"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// deed makes a call, or what is left of it.
type deed func(context.Context) (tcc.Receipt, error)

// through makes a call through all faults that fit it (J2).
func (i *Injector) through(ctx context.Context, c call, next deed) (tcc.Receipt, error) {
	faults := i.all()
	for n := len(faults) - 1; n >= 0; n-- {
		if f := faults[n]; f.fits(c) {
			next = i.around(f, c, next)
		}
	}
	return next(ctx)
}

func (i *Injector) around(f *injected, c call, next deed) deed {
	return func(ctx context.Context) (tcc.Receipt, error) {
		drawn, hit := f.choose(c, i.clk.Now())
		if !hit {
			return next(ctx)
		}
		return i.act(ctx, &f.is.Spec, drawn, next)
	}
}

// act lets a call go wrong.
func (i *Injector) act(ctx context.Context, s *Spec, drawn uint64, next deed) (tcc.Receipt, error) {
	switch s.Do {
	case Slow:
		if !i.wait(ctx, s.Delay) {
			return silence()
		}
		return next(ctx)
	case Refuse:
		return tcc.Receipt{}, s.Code.New("an injected fault refuses it")
	case Lost:
		_, _ = next(ctx) // nobody hears the answer
		return silence()
	case Duplicate:
		return i.twice(ctx, drawn, next)
	case Dead:
		return tcc.Receipt{}, fault.Unavailable.New("an injected fault: the connection is refused")
	case Late:
		i.later(s.Delay, next)
		return silence()
	case Kill:
		return i.die(ctx, s.When, next)
	default: // Unknown
		return silence()
	}
}

// silence is the answer of nobody.
func silence() (tcc.Receipt, error) {
	return tcc.Receipt{}, fault.Timeout.New("an injected fault: no answer came")
}

// wait waits for d by the platform's clock. It reports false if ctx ended first.
func (i *Injector) wait(ctx context.Context, d time.Duration) bool { return i.timer(d)(ctx) }

// timer starts to wait; what it returns waits for the rest.
func (i *Injector) timer(d time.Duration) func(context.Context) bool {
	rang := make(chan struct{})
	stop := i.clk.AfterFunc(d, func() { close(rang) })
	return func(ctx context.Context) bool {
		defer stop()
		select {
		case <-rang:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// twice makes the call two times, and returns the answer to the second.
func (i *Injector) twice(ctx context.Context, drawn uint64, next deed) (tcc.Receipt, error) {
	if drawn>>63 == 0 {
		_, _ = next(ctx)
		return next(ctx)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = next(ctx)
	}()
	r, err := next(ctx)
	<-done
	return r, err
}

// later makes the call after d by the platform's clock, when nobody waits for it any more.
func (i *Injector) later(d time.Duration, next deed) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || i.late >= maxLate {
		return
	}
	i.late++
	i.work.Add(1)
	arrives := i.timer(d)
	go func() {
		defer i.work.Done()
		if arrives(i.life) {
			_, _ = next(i.life)
		}
		i.mu.Lock()
		i.late--
		i.mu.Unlock()
	}()
}

// die ends the process around a call.
func (i *Injector) die(ctx context.Context, when Moment, next deed) (tcc.Receipt, error) {
	switch when {
	case During:
		begun := make(chan struct{})
		go func() {
			close(begun)
			_, _ = next(ctx)
		}()
		<-begun
	case After:
		_, _ = next(ctx)
	case Before:
	}
	i.kill()
	return silence()
}
