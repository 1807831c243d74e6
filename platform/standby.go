package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/version"
)

// A process that stands by has its doors open from the start: whoever watches it sees that it lives and serves nobody,
// and what comes in while it takes over waits in the door instead of being turned away.

// standby is the doors of a process that stands by. The zero value has none.
type standby struct{ door, figures waitingDoor }

// leaderDesc is a figure of every process, so that one query shows who leads, and whether anybody does.
var leaderDesc = describe("leader", "1 while this process writes the books, 0 while it stands by.")

// standBy waits until nobody else holds the store.
func (a *App) standBy(ctx context.Context, leader *store.HeldError) (locks, error) {
	a.Log.Info("standing by", "leader", leader.Holder, "store", a.Books())
	life, stop := context.WithCancel(ctx)
	defer stop()
	g, err := a.standbyGateway()
	if err != nil {
		return locks{}, err
	}
	for _, d := range []struct {
		door    *waitingDoor
		flag    string
		address string
		server  *http.Server
	}{
		{&a.standby.door, "--listen", a.Listen, g.Server()},
		{&a.standby.figures, "--metrics-listen", a.MetricsListen, figuresServer(g)},
	} {
		if d.address != "" {
			d.door.open(life, a, d.flag, d.address, d.server)
		}
	}
	a.onStop(func(context.Context) error { return errors.Join(a.standby.door.close(), a.standby.figures.close()) })
	held, err := a.place.lock(ctx, true)
	if err == nil {
		a.Log.Warn("taking over", "from", leader.Holder)
	}
	return held, err
}

// standbyGateway returns what is behind the doors meanwhile.
func (a *App) standbyGateway() (*gateway.Gateway, error) {
	figures := prometheus.NewRegistry()
	if err := errors.Join(figures.Register(waiting{}), registerProcess(figures)); err != nil {
		return nil, err
	}
	return gateway.NewStandby(gateway.Config{
		Clock: a.place.clock, Log: a.Log, Metrics: figures, Version: version.String(),
		GuardMetrics: a.MetricsListen != "" || !loopback(a.Listen),
		Ready: func(context.Context) error {
			return fault.NotReady.New("standby: another process serves; this one takes over when that one ends")
		},
	})
}

// waiting is the figures of a process that stands by.
type waiting struct{}

// Describe implements prometheus.Collector.
func (waiting) Describe(ch chan<- *prometheus.Desc) { ch <- leaderDesc }

// Collect implements prometheus.Collector.
func (waiting) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(leaderDesc, prometheus.GaugeValue, 0)
}

// waitingDoor is a door that is handed over to whoever serves once this process leads.
type waitingDoor struct {
	mu      sync.Mutex
	keep    *os.File // the listening socket once more: it stays when the server of the standby closes
	server  *http.Server
	opening sync.WaitGroup
	stop    context.CancelFunc
}

// doorAgain is after how long an address that is taken is tried again.
const doorAgain = time.Second

// open opens the door as soon as the address is free: a leader on the same machine may have it.
func (d *waitingDoor) open(ctx context.Context, a *App, flag, address string, server *http.Server) {
	ctx, d.stop = context.WithCancel(ctx)
	d.opening.Go(func() {
		for told := false; ; told = true {
			err := d.try(ctx, a, address, server)
			if err == nil || ctx.Err() != nil {
				return
			}
			if !told {
				a.Log.Warn("the address is taken, by the process that leads perhaps; it is tried again each second", "flag", flag,
					"address", address, "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-clock.Pause(doorAgain):
			}
		}
	})
}

func (d *waitingDoor) try(ctx context.Context, a *App, address string, server *http.Server) error {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	keep, err := l.(*net.TCPListener).File()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	d.mu.Lock()
	d.keep, d.server = keep, server
	d.mu.Unlock()
	a.Log.Info("the door is open, and answers that this process stands by", "address", l.Addr().String())
	go func() {
		if err := server.Serve(a.certificate.listener(l)); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("the door of the standby is shut; it opens again when this process leads", "error", err)
		}
	}()
	return nil
}

// takeover is how long the address may still be taken by a process that has just ended.
const takeover = 5 * clock.Second

// take returns the socket to serve at: that of the standby, or a new one.
func (d *waitingDoor) take(ctx context.Context, address string) (net.Listener, error) {
	stoodBy := d.stop != nil
	if stoodBy {
		d.stop()
		d.opening.Wait()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keep != nil {
		l, err := net.FileListener(d.keep) // another descriptor: what waits in the socket is not lost
		if err != nil {
			return nil, fmt.Errorf("take the door of the standby over: %w", err)
		}
		return l, d.leave()
	}
	var listen net.ListenConfig
	for watch := clock.Stopwatch(); ; {
		l, err := listen.Listen(ctx, "tcp", address)
		if err == nil || !stoodBy || watch() > takeover {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-clock.Pause(doorAgain / 10):
		}
	}
}

// leave closes what the standby had.
func (d *waitingDoor) leave() error {
	if d.keep == nil {
		return nil
	}
	err := errors.Join(d.server.Close(), d.keep.Close())
	d.keep, d.server = nil, nil
	return err
}

func (d *waitingDoor) close() error {
	if d.stop != nil {
		d.stop()
		d.opening.Wait()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leave()
}
