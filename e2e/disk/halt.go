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

// halt stops a process, and returns once no thread of a process can come back from the kernel any more.
func halt(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the platform: %w", err)
	}
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("stop the platform: it has no threads: %w", err)
		}
		if !slices.ContainsFunc(threads, runs) {
			return nil
		}
		<-clock.Pause(time.Millisecond)
	}
}

// runs reports whether a thread, named by its file in /proc, may be running: it is neither stopped nor waiting for the
// disk, after which it will stop (proc_pid_stat(5)).
func runs(stat string) bool {
	text, err := os.ReadFile(stat)
	if err != nil {
		return false // it is gone
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest == "" || !strings.ContainsRune("TtDZX", rune(rest[0]))
}
