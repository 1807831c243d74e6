package platform

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// What a process looks at before it opens anything. What the databases promise is checked by
// book/store, the ends of the chains by book as it opens them.

// minFree is how much room the data folder's disk must have: enough for minutes of work, so that a full disk is found at
// the start and not in the middle of a payment.
const minFree = 64 << 20

// wellKnown is a time that no clock of a machine may stand before: this program did not exist then.
const wellKnown = clock.Micros(1735689600) * clock.Second // 2025-01-01

// checkMachine refuses to start on a machine that would lose money, and says what to change.
func checkMachine(dir string, clk clock.Clock, free uint64) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("platform: the data folder: %w", err)
	case !info.IsDir():
		return fmt.Errorf("platform: %s is not a folder; expected the data folder", dir)
	}
	if err := store.CheckOwner(dir, info); err != nil {
		return fmt.Errorf("platform: the data folder: %w (chmod 700 is best)", err)
	}
	have, err := roomOf(dir)
	if err != nil {
		return fmt.Errorf("platform: ask for the room on the disk of %s: %w", dir, err)
	}
	if have < free {
		return fmt.Errorf("platform: the disk of %s has room for %d MiB, at least %d are needed: make room", dir, have>>20, free>>20)
	}
	if now := clk.Now(); now < wellKnown {
		return fmt.Errorf("platform: the machine's clock says %s, which is in the past: set it", now)
	}
	return nil
}

// roomOf returns how many bytes the disk of a folder has room for.
func roomOf(dir string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
