package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/clock"
)

// The states of threads that do not run (proc_pid_stat(5)): stopped or gone; or waiting for the disk, after which they stop.
const (
	stopped = "TtZX"
	waiting = stopped + "D"
)

// halt stops a process, and returns once no thread of it can come back from the kernel any more.
func halt(pid int) error { return stop(pid, waiting) }

// rest stops a process, and returns once all of its calls to the kernel have been answered. resume lets it go on.
func rest(pid int) error { return stop(pid, stopped) }

func resume(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		return fmt.Errorf("let the platform go on: %w", err)
	}
	return nil
}

// stop stops a process, and returns once all of its threads are in one of the states.
func stop(pid int, states string) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the platform: %w", err)
	}
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("stop the platform: it has no threads: %w", err)
		}
		if !slices.ContainsFunc(threads, func(stat string) bool { return !in(stat, states) }) {
			return nil
		}
		<-clock.Pause(time.Millisecond)
	}
}

// in reports whether a thread, named by its file in /proc, is in one of the states, or gone.
func in(stat, states string) bool {
	text, err := os.ReadFile(stat)
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return after != "" && strings.ContainsRune(states, rune(after[0]))
}
