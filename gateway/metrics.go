package gateway

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/internal/clock"
)

// metrics counts requests. Labels are of closed sets: routes of the contracts, statuses, codes.
type metrics struct {
	seconds *prometheus.HistogramVec
	faults  *prometheus.CounterVec

	connections prometheus.Gauge
	turnedAway  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "koban_http_request_seconds",
			Help:    "Time from the request's head to its answer, by route and HTTP status.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}, []string{"route", "status"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "koban_http_faults_total",
			Help: "Requests answered with a fault, by its code.",
		}, []string{"code"}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "koban_http_connections",
			Help: "Connections to the door that are open.",
		}),
		turnedAway: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "koban_http_connections_refused_total",
			Help: "Connections closed at once, for there were too many in all or from their address.",
		}),
	}
	return m, errors.Join(reg.Register(m.seconds), reg.Register(m.faults), reg.Register(m.connections), reg.Register(m.turnedAway))
}

func (m *metrics) observe(x *exchange, took clock.Micros) {
	m.seconds.WithLabelValues(orElse(x.label, "none"), strconv.Itoa(x.status)).Observe(float64(took) / float64(clock.Second))
	if x.code != "" {
		m.faults.WithLabelValues(string(x.code)).Inc()
	}
}
