package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/koban-pay/koban/gateway"
)

// listenForMetrics opens the door for figures, if there is to be one: for a monitor inside, which has no key.
func (a *App) listenForMetrics(ctx context.Context) error {
	if a.MetricsListen == "" || a.Gateway == nil {
		return nil
	}
	l, err := a.standby.figures.take(ctx, a.MetricsListen)
	if err != nil {
		return fmt.Errorf("platform: listen on %s for figures: %w: choose another address with --metrics-listen", a.MetricsListen, err)
	}
	a.Card.Metrics = a.certificate.scheme() + reachable(l.Addr()) + "/metrics"
	server := figuresServer(a.Gateway)
	go func() {
		if err := server.Serve(a.certificate.listener(l)); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.fatal(fmt.Errorf("platform: the door for figures is shut: %w", err))
		}
	}()
	a.onStop(func(context.Context) error { return server.Close() })
	return nil
}

// figuresServer serves the figures of a gateway, and nothing else.
func figuresServer(g *gateway.Gateway) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", g.Scrape())
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

// loopback reports whether only this machine reaches an address to listen on.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
