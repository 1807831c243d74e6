package main

import (
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/aside"
)

// gcPercent lets garbage grow to four times what is in use before it is collected. Payments make much garbage and little
// that stays, so collecting less often costs tens of megabytes and saves several percent of the CPU.
const gcPercent = 400

// tune prepares a process that runs a platform, unless the environment says otherwise (GOMAXPROCS, GOGC, GOMEMLIMIT).
func tune(env func(string) string) {
	tuneMemory(env)
	if env("GOMAXPROCS") == "" {
		aside.Open()
	}
}

// tuneMemory sets the garbage collector for a process that runs a platform, unless the environment says otherwise (GOGC,
// GOMEMLIMIT). It collects more often again once half of the machine's memory is taken.
func tuneMemory(env func(string) string) {
	if env("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil || env("GOMEMLIMIT") != "" {
		return
	}
	if total := info.Totalram * uint64(info.Unit); total > 0 {
		debug.SetMemoryLimit(int64(total / 2))
	}
}
