package gateway

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/koban-pay/koban/internal/clock"
)

// NewStandby returns the door of a process that waits for another one to end. /healthz says that it lives; everything
// else is answered with what cfg.Ready returns, a fault.NotReady, so that a balancer in front leaves it out and a caller
// who comes nonetheless knows when to ask again. Of cfg it uses Clock, Log, Metrics, Ready, Version and the limits on
// connections.
func NewStandby(cfg Config) (*Gateway, error) {
	if cfg.Ready == nil {
		return nil, errors.New("gateway: a standby has to say why it serves nobody")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.NewSystem()
	}
	cfg.fill()
	g := &Gateway{cfg: cfg, limits: newLimiter(&cfg), standby: true}
	g.draining, g.drain = context.WithCancel(context.Background())
	var err error
	if g.errors, err = (schemas{}).of(errorDescriptor); err != nil {
		return nil, err
	}
	if g.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, err
	}
	g.scrape = promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{})
	return g, nil
}
