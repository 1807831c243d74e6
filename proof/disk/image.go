package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/clock"
)

// poll is how often something is looked at that cannot be waited for.
const poll = 20 * time.Millisecond

// Image is a file system of its own, in a file in memory: mounted by a loop device, it can be broken like a disk.
type Image struct {
	Dir     string // where it is mounted
	kind    string // ext4 or xfs
	file    string
	mounted bool
}

// NewImage makes a file system of so many bytes and mounts it until the test ends. Where that is impossible it skips the
// test and says what is missing.
func NewImage(t *testing.T, kind string, size int64) *Image {
	t.Helper()
	needRoot(t)
	need(t, "mkfs."+kind, "install the package e2fsprogs (ext4) or xfsprogs (xfs)")
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("this test needs loop devices: %v", err)
	}
	dir := home(t, kind)
	i := &Image{Dir: filepath.Join(dir, "mounted"), kind: kind, file: filepath.Join(dir, kind+".img")}
	if err := os.Mkdir(i.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(i.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs."+kind, "-q", i.file)
	t.Cleanup(func() {
		if err := i.unmount(); err != nil {
			t.Error(err)
		}
	})
	if err := i.mount(); err != nil {
		t.Fatal(err)
	}
	return i
}

// NewTmpfs mounts a file system in memory that takes so many bytes, until the test ends, and returns its folder.
func NewTmpfs(t *testing.T, size int64) string {
	t.Helper()
	needRoot(t)
	dir := filepath.Join(home(t, "tmpfs"), "mounted")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	places.Lock()
	err := call(t.Context(), "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", dir)
	places.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := call(context.Background(), "umount", dir); err != nil {
			t.Error(errors.Join(err, call(context.Background(), "umount", "-l", dir)))
		}
	})
	return dir
}

// A test of this package is skipped for one reason only: the machine cannot give it a disk to break.

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this test needs to mount file systems and to look into processes: run it as root")
	}
}

func need(t *testing.T, program, how string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("this test needs %s: %s", program, how)
	}
}

// home returns a folder of this run that goes with the test: in memory, where that is possible.
func home(t *testing.T, kind string) string {
	t.Helper()
	dir, err := inMemory(kind + "-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if err := call(t.Context(), name, args...); err != nil {
		t.Fatal(err)
	}
}

func call(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func (i *Image) mount() error {
	places.Lock()
	defer places.Unlock()
	err := call(context.Background(), "mount", "-t", i.kind, "-o", "loop", i.file, i.Dir)
	i.mounted = err == nil
	return err
}

// unmount does what a test may have done already. The kernel lets go of the files of a process a little after that has
// ended. A file system on which somebody still has a file open goes later, by itself; that is an error all the same.
func (i *Image) unmount() error {
	if !i.mounted {
		return nil
	}
	i.mounted = false
	var err error
	for range 100 {
		if err = call(context.Background(), "umount", i.Dir); err == nil {
			return nil
		}
		<-clock.Pause(poll)
	}
	return errors.Join(err, call(context.Background(), "umount", "-l", i.Dir))
}

// The request of ioctl that shuts a file system down, of ext4 and xfs alike: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN in
// the kernel's headers. With noLogFlush nothing more reaches the device, not even what the file system's own log holds.
const (
	shutdown   = 0x8004587d
	noLogFlush = 2
)

// Cut takes the power away: what was not synced is gone. Until it is mounted anew, everything on it is refused.
func (i *Image) Cut() error {
	d, err := os.Open(i.Dir)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(d.Fd()), shutdown, noLogFlush); err != nil {
		err = fmt.Errorf("shut %s down: %w", i.Dir, err)
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// Back gives the power back: the file system is mounted anew, and recovers by its own log.
func (i *Image) Back() error { return errors.Join(i.unmount(), i.mount()) }
