package gateway

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// limiter gives each principal its rate. It keeps no more principals than maxLimited; beyond, it starts afresh.
type limiter struct {
	cfg *Config
	mu  sync.Mutex
	by  map[limited]*rate.Limiter
}

type limited struct {
	tenant id.Tenant
	name   string
}

const maxLimited = 1 << 16

func newLimiter(cfg *Config) *limiter {
	return &limiter{cfg: cfg, by: map[limited]*rate.Limiter{}}
}

// take takes one request of p at now. It returns 0, or how long to wait before the next.
func (l *limiter) take(p rpc.Principal, now clock.Micros) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := limited{p.Tenant, p.Name}
	one := l.by[k]
	if one == nil {
		if len(l.by) >= maxLimited {
			clear(l.by)
		}
		ease := l.cfg.Ease(p)
		one = rate.NewLimiter(l.cfg.Rate*rate.Limit(ease), l.cfg.Burst*ease)
		l.by[k] = one
	}
	at := now.Time()
	r := one.ReserveN(at, 1)
	wait := r.DelayFrom(at)
	if wait > 0 {
		r.CancelAt(at)
	}
	return wait
}
