package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/judge/watch"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
)

// Config says what a process runs. Data is required; the rest may be left at zero.
type Config struct {
	Data     string // the data folder
	StoreURL string // of PostgreSQL; "" keeps the books in the data folder
	KeyFile  string // of the root key; "" means root.key in the data folder, which is made for a new platform
	Standby  bool   // wait while another process holds the store, instead of failing
	Listen   string // address of the door, such as 127.0.0.1:8080; "" opens none
	// MetricsListen is an address where /metrics is served to whoever reaches it, and nothing else. With it, or if strangers
	// can reach Listen, the door itself shows the figures to operators' keys only. "" opens none.
	MetricsListen string
	Insecure      bool   // open the door to other machines without TLS
	TLSCert       string // file of the door's certificates, its own first; "" means no TLS
	TLSKey        string // file of their key
	Tenant        string // "demo" makes the demo company; "none" or "" makes nothing
	Volumes       int    // how many volumes a new platform's books are cut into; 0 means 8, or as it was created

	// Rehearsal makes a new platform one to rehearse on: participants can be broken there, and the clock be moved. It must
	// be set whenever that platform starts, and never for another.
	Rehearsal bool
	// StartOver makes a new platform where the journal of an old one is lost: its tables are set apart. Without
	// it, such a start is refused.
	StartOver bool

	Log   *slog.Logger // nil: none
	Clock clock.Clock  // nil: the machine's
	// Fatal is told when the process has to end at once: the record cannot be written, a disk has failed, or another process
	// has taken the books over. It should not return. Nil means panic.
	Fatal   func(error)
	Timing  payment.Timing // zero: payment.DefaultTiming
	MinFree uint64         // bytes of room that the disk must have; 0 means 64 MiB
	// Watchman says how much of the machine the judge of the running books may take.
	Watchman watch.Pace
	// Watch, if set, stands between the books and the journal: for dying at a chosen step.
	Watch func(book.Log) book.Log

	edit func(name string, c *store.Config) // of every database; for tests that let the store fail
}

// App is a running process of the platform.
type App struct {
	Config
	Journal *journal.Journal
	Writer  *book.Writer
	IDs     *id.Codec  // public text of ids
	Fresh   *id.Source // new ids
	Balance *balance.Service
	Points  *points.Service
	Code    *code.Service
	Payment *payment.Service
	Feeds   map[string]*feed.Feed // by service
	Gateway *gateway.Gateway      // nil without Listen
	Card    Card                  // what platform.json says

	Listening string // the address that the door is open on, as the machine names it

	record *store.DB // the journal's
	place  place

	mode string // production, rehearsing or demo: for good

	certificate *certificate // nil: no TLS

	constants constants
	keys      *gateway.Keys

	log book.Log // what the books write to: the journal, or Watch's

	metrics *prometheus.Registry

	virtual *clock.Virtual // Clock, where it can be moved
	machine *clock.System  // what Clock goes by; nil if that is not a machine's

	rehearsal *rehearsal // nil in production

	shelves map[string]*shelf

	watchman *watch.Watchman // nil: nobody watches

	handlers handlers

	driver atomic.Pointer[payment.Service] // set once it can be told of what expired

	stops    []func(context.Context) error // in the order of starting
	stopping sync.Once
	stopped  error

	failed atomic.Pointer[error]
	store  atomic.Pointer[error] // what the store said when it was asked last
	held   locks

	unclean bool // the process before did not end in order
	pages   pages

	standby standby

	lost atomic.Int64 // blocks that the tables knew of and the journal does not have
}

// Start starts a process: it returns once every book answers, and the door is open if there is to be one.
//
// Errors: a *store.HeldError if another process holds the data folder or the store; otherwise the reason why it cannot
// start, and what to change.
func Start(ctx context.Context, c Config) (*App, error) {
	if c.Clock == nil {
		c.Clock = clock.NewSystem()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MinFree == 0 {
		c.MinFree = minFree
	}
	dir, err := filepath.Abs(c.Data)
	if err != nil {
		return nil, fmt.Errorf("platform: the data folder: %w", err)
	}
	c.Data = dir
	a := &App{
		Config: c, Fresh: id.NewSource(nil), metrics: prometheus.NewRegistry(), Feeds: map[string]*feed.Feed{},
		place:   place{data: dir, key: c.KeyFile, url: c.StoreURL, clock: c.Clock, edit: c.edit},
		shelves: map[string]*shelf{},
	}
	a.place.fatal = a.fatal
	a.machine, _ = c.Clock.(*clock.System)
	if c.Rehearsal {
		a.virtual = clock.NewVirtual(c.Clock)
		a.Clock = a.virtual
	}
	steps := []func(context.Context) error{
		a.checkDoor, a.prepare, a.checkFree, a.checkRemains, a.removeCard, a.open,
		a.build, a.recover,
		a.welcome, a.guard, a.listen, a.listenForMetrics, a.watchPages, a.announce,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Close(ctx))
		}
	}
	return a, nil
}

// onStop has f called when the process stops, before whatever was started before it.
func (a *App) onStop(f func(context.Context) error) { a.stops = append(a.stops, f) }

// drainLimit is how long requests that are under way may take to finish when the process stops.
const drainLimit = 10 * time.Second

// Close stops the process: it takes no new requests, finishes those under way, saves, and lets go of the store. What is
// not finished goes on at the next start.
func (a *App) Close(ctx context.Context) error {
	a.stopping.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainLimit)
		defer cancel()
		var errs []error
		for i := len(a.stops) - 1; i >= 0; i-- {
			errs = append(errs, a.stops[i](ctx))
		}
		a.stopped = errors.Join(errs...)
		a.Log.Info("stopped", "error", a.stopped)
	})
	return a.stopped
}

// prepare makes the data folder, looks at the machine and takes the lock.
func (a *App) prepare(ctx context.Context) error {
	if err := a.place.prepare(); err != nil {
		return err
	}
	if err := checkMachine(a.Data, a.Clock, a.MinFree); err != nil {
		return err
	}
	if a.Standby {
		if err := a.checkSuccessor(ctx); err != nil {
			return err
		}
	}
	held, err := a.place.lock(ctx, false)
	var leader *store.HeldError
	if a.Standby && errors.As(err, &leader) {
		held, err = a.standBy(ctx, leader)
	}
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case err := <-held.lost():
			a.fatal(err)
		case <-life.Done():
		}
	}()
	a.held = held
	a.onStop(func(context.Context) error { stop(); return held.release() })
	return nil
}

// removeCard removes what a process left behind that did not end in order, and remembers that there was one: it would name
// a platform that does not run.
func (a *App) removeCard(context.Context) error {
	_, err := os.Lstat(cardPath(a.Data))
	a.unclean = err == nil
	return removeCard(a.Data)
}

// advise says what to do about an error that ends the process.
func advise(err error) error {
	var moved *store.MovedError
	if errors.As(err, &moved) {
		return err // it says what to do
	}
	switch store.Classify(err) {
	case store.Broken:
		return fmt.Errorf("%w: the disk or the database has failed. Look at the kernel's log or the server's, then start again: what was "+
			"acknowledged is kept", err)
	case store.ReadOnly:
		return fmt.Errorf("%w: the store does not take writes any more. Make it writable, then start again: what was acknowledged is kept", err)
	}
	return err
}

// fatal ends the process, as far as that is up to us.
func (a *App) fatal(err error) {
	err = advise(err)
	if !a.failed.CompareAndSwap(nil, &err) {
		return
	}
	if a.Fatal == nil {
		panic(err)
	}
	a.Fatal(err)
}

// recover lets payments go on that were unfinished when the platform stopped.
func (a *App) recover(ctx context.Context) error {
	a.driver.Store(a.Payment)
	return a.Payment.Recover(ctx)
}

// watchEvery is how often a process looks after itself.
const watchEvery = 200 * time.Millisecond

// watch ends the process once another one has taken a book over: what it would answer is unknown from then on. It says
// when nothing can be written, and when that is over. It also looks at the machine's clock, for a process that has nothing to
// write has nobody else who does.
func (a *App) watch(ctx context.Context) {
	var trouble error
	held, unsaved := heldLogs{}, unsavedTables{}
	var followed time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.Pause(watchEvery):
		}
		for _, s := range a.shelves {
			for _, b := range s.books {
				if b.Stats().Fenced && ctx.Err() == nil {
					a.fatal(&store.HeldError{What: "the store", Holder: "another process, which has taken the books over"})
					return
				}
			}
		}
		held.look(a)
		unsaved.look(a)
		followed = a.watchClock(followed)
		was := trouble
		switch trouble = a.Journal.Trouble(); {
		case was == nil && trouble != nil:
			a.Log.Error("the journal cannot be written; it is tried again until it can", "error", trouble)
		case was != nil && trouble == nil:
			a.Log.Warn("the journal can be written again")
		}
	}
}

// watchClock lets the platform's time follow a machine that slept, and says so; a clock that does not come back ends the
// process. It returns by how much time was carried forward in all.
func (a *App) watchClock(before time.Duration) time.Duration {
	if a.machine == nil {
		return 0
	}
	var step *clock.StepError
	if err := a.machine.Steady(); errors.As(err, &step) && step.Lasting {
		a.fatal(err)
	}
	now := a.machine.Followed()
	if now > before {
		a.Log.Warn("the machine slept, or its wall clock was set forward: the platform's time has followed", "by", (now - before).String())
	}
	return now
}

// listen opens the door.
func (a *App) listen(ctx context.Context) error {
	if a.Listen == "" {
		return nil
	}
	if err := a.openDoor(); err != nil {
		return err
	}
	l, err := a.standby.door.take(ctx, a.Listen)
	if err != nil {
		return fmt.Errorf("platform: listen on %s: %w: choose another address with --listen", a.Listen, err)
	}
	a.Listening = l.Addr().String()
	a.Card.Address, a.Card.Certificate = a.certificate.scheme()+reachable(l.Addr()), a.certificate.print()
	server := a.Gateway.Server()
	go func() {
		if err := server.Serve(a.Gateway.Listener(a.certificate.listener(l))); err != nil && !errors.Is(err,
			http.ErrServerClosed) {
			a.fatal(fmt.Errorf("platform: the door is shut: %w", err))
		}
	}()
	a.onStop(func(ctx context.Context) error {
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(fmt.Errorf("platform: some requests did not end in time: %w", err), server.Close())
		}
		return nil
	})
	return nil
}

// reachable returns an address that a script on this machine can use: every address, as 0.0.0.0 says, is none.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}
