package clock

import "golang.org/x/sys/unix"

// slept returns how long the machine has slept since it came up: clock_gettime(2), CLOCK_BOOTTIME "is identical to
// CLOCK_MONOTONIC, except that it also includes any time that the system is suspended".
func slept() Micros {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	return Micros((boot.Nano() - mono.Nano()) / 1000)
}
