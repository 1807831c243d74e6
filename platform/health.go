package platform

import (
	"context"

	"github.com/koban-pay/koban/fault"
)

// probe is one thing that has to be so for new work to be taken. docs/reference/health.md has a row for each, by its name.
type probe struct {
	name string
	fail func(*App, context.Context) error // nil: as it should be; otherwise what is wrong, and what to do
}

// probes are asked in this order; the first that fails is what /readyz says.
var probes = []probe{
	{"process", (*App).probeProcess},
	{"clock", (*App).probeClock},
	{"journal", func(a *App, _ context.Context) error { return a.Journal.Trouble() }},
	{"store", (*App).probeStore},
	{"books", (*App).probeBooks},
	{"feeds", (*App).probeFeeds},
	{"payments", func(a *App, _ context.Context) error { return a.Payment.Undriven() }},
}

// Ready returns nil if new work would be done now; otherwise the first reason why not, as fault.NotReady.
func (a *App) Ready(ctx context.Context) error {
	for _, p := range probes {
		if err := p.fail(a, ctx); err != nil {
			return fault.NotReady.New("%s: %s", p.name, cause(err)).Because(err)
		}
	}
	return nil
}

// probeProcess fails once something has gone wrong that ends the process.
func (a *App) probeProcess(context.Context) error {
	if err := a.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// probeClock fails while it is not clear what time it is: nothing is written meanwhile (rule B7).
func (a *App) probeClock(context.Context) error {
	if c, ok := a.Clock.(interface{ Steady() error }); ok {
		return c.Steady()
	}
	return nil
}

// probeBooks fails once another process writes one of the books.
func (a *App) probeBooks(context.Context) error {
	for _, s := range a.shelves {
		for _, b := range s.books {
			if b.Stats().Fenced {
				return fault.Fenced.New("another process has taken book %s over", b.Name())
			}
		}
	}
	return nil
}

// probeFeeds fails if a feed cannot number events any more.
func (a *App) probeFeeds(context.Context) error {
	for _, s := range a.shelves {
		if err := s.feed.Err(); err != nil {
			return err
		}
	}
	return nil
}
