package platform

import (
	"errors"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/koban-pay/koban/internal/version"
)

var freeDesc = describe("disk_free_bytes", "Room left on the disk of the data folder, for this user. With less than 64 MiB no process starts.")

// registerProcess adds the figures that every process has, whatever it does: the usual ones of Go and of the system, and
// which program it is.
func registerProcess(reg prometheus.Registerer) error {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "koban_build_info", Help: "1, with the version of the program and of Go.",
		ConstLabels: prometheus.Labels{"version": version.String(), "go": runtime.Version()},
	})
	build.Set(1)
	return errors.Join(reg.Register(build), reg.Register(collectors.NewGoCollector()),
		reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})))
}
