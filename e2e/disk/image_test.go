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

	"golang.org/x/sys/unix"
)

// image is a file system of its own, in a file in memory: mounted by a loop device, it can be broken like a disk.
type image struct {
	fs     string // ext4 or xfs
	file   string
	dir    string // where it is mounted
	opened bool
}

// newImage makes a file system of so many bytes and mounts it until the test ends. Where that is impossible it skips the
// test, and says what is missing: there is no other reason for which a test of this package is skipped.
func newImage(t *testing.T, fs string, size int64, options ...string) *image {
	t.Helper()
	needRoot(t)
	mkfs := "mkfs." + fs
	if _, err := exec.LookPath(mkfs); err != nil {
		t.Skipf("this test needs %s: install the package e2fsprogs (ext4) or xfsprogs (xfs)", mkfs)
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("this test needs loop devices: %v", err)
	}
	i := &image{fs: fs, file: filepath.Join(memory(t), fs+".img"), dir: t.TempDir()}
	f, err := os.Create(i.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	command(t, mkfs, append(options, "-q", i.file)...)
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

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this test needs to mount file systems: run it as root")
	}
}

// memory returns a folder on a file system in memory, where there is one: what is broken here costs no disk.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "koban-disk-")
	if err != nil {
		return t.TempDir()
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

func (i *image) mount() error {
	err := call(context.Background(), "mount", "-t", i.fs, "-o", "loop", i.file, i.dir)
	i.opened = err == nil
	return err
}

// unmount does what a test may have done already. A file system on which somebody still has a file open goes later, by
// itself; that is an error all the same.
func (i *image) unmount() error {
	if !i.opened {
		return nil
	}
	i.opened = false
	err := call(context.Background(), "umount", i.dir)
	if err != nil {
		err = errors.Join(err, call(context.Background(), "umount", "-l", i.dir))
	}
	return err
}

// The request of ioctl that shuts a file system down, of ext4 and xfs alike: EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN in
// the kernel's headers. With noLogFlush nothing more reaches the device, not even what the file system's own log holds.
const (
	shutdown   = 0x8004587d
	noLogFlush = 2
)

// cut takes the power away: what was not synced is gone. Until it is mounted anew, everything on it is refused.
func (i *image) cut() error {
	d, err := os.Open(i.dir)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(d.Fd()), shutdown, noLogFlush); err != nil {
		err = fmt.Errorf("shut %s down: %w", i.dir, err)
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// back gives the power back: the file system is mounted anew, and recovers by its own log.
func (i *image) back() error { return errors.Join(i.unmount(), i.mount()) }
