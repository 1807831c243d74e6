package disk

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Whatever a run makes is in folders of its own: images, where they are mounted, the binary. Their names begin with marked,
// and as long as the run lives it holds the file lock in them locked; the kernel lets go of that however the run ends. So
// the next run knows what was left by one that was interrupted, and touches nothing else.
const (
	marked   = "koban-disk-"
	lockName = "lock"
)

// bases are where the folders of runs are. What is broken in memory costs no disk.
var bases = []string{"/dev/shm", os.TempDir()}

// places are the folders of this run. Who mounts something holds the lock.
var places struct {
	sync.Mutex
	by map[string]*place // by base
}

// place is a folder of a run, which is locked.
type place struct {
	dir  string
	lock *os.File
}

// inMemory returns a new folder on a file system in memory, where there is one.
func inMemory(pattern string) (string, error) {
	dir, err := onDisk(bases[0], pattern)
	if err != nil {
		return onDisk(bases[1], pattern)
	}
	return dir, nil
}

// onDisk returns a new folder of this run in a base.
func onDisk(base, pattern string) (string, error) {
	places.Lock()
	defer places.Unlock()
	p := places.by[base]
	if p == nil {
		var err error
		if p, err = newPlace(base); err != nil {
			return "", err
		}
		if places.by == nil {
			places.by = map[string]*place{}
		}
		places.by[base] = p
	}
	return os.MkdirTemp(p.dir, pattern)
}

func newPlace(base string) (*place, error) {
	dir, err := os.MkdirTemp(base, marked)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, lockName)
	lock, err := os.Create(name + ".new")
	if err == nil {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX); err == nil {
			err = os.Rename(lock.Name(), name) // a lock that anybody sees is held
		}
	}
	return &place{dir, lock}, err
}

// clearPlaces takes away what this run has made.
func clearPlaces() error {
	var errs []error
	for _, p := range places.by {
		errs = append(errs, clearPlace(p.dir), p.lock.Close())
	}
	places.by = nil
	return errors.Join(errs...)
}

// clearLeft takes away what runs have left that were interrupted, and returns their folders.
func clearLeft() (left []string, err error) {
	var errs []error
	for _, base := range bases {
		locks, err := filepath.Glob(filepath.Join(base, marked+"*", lockName))
		errs = append(errs, err)
		for _, name := range locks {
			dir := filepath.Dir(name)
			if !ours(dir) {
				continue
			}
			lock, err := os.Open(name)
			if err != nil {
				continue // gone, or not ours
			}
			if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil { // else its run lives
				left = append(left, dir)
				errs = append(errs, clearPlace(dir))
			}
			errs = append(errs, lock.Close())
		}
	}
	return left, errors.Join(errs...)
}

func ours(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Getuid()
}

// clearPlace unmounts what is mounted in a folder, lets go of loop devices whose files are there, and removes it. A file system on
// which a file is open goes when that is closed.
func clearPlace(dir string) error {
	mounts, err := mountsIn(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range slices.Backward(mounts) { // what was mounted last goes first
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", m, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err // what is in the folder is not to be removed from what is mounted there
	}
	return errors.Join(detach(dir), os.RemoveAll(dir))
}

// mountsIn returns what is mounted in a folder, in the order of mounting (proc_pid_mountinfo(5)).
func mountsIn(dir string) (out []string, err error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(plain.Replace(fields[4]), dir+"/") {
			out = append(out, plain.Replace(fields[4]))
		}
	}
	return out, nil
}

// detach lets go of loop devices whose files are in a folder, and that were never mounted: the others go with what is mounted.
func detach(dir string) error {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(text), dir+"/") {
			continue // gone, or not ours
		}
		device := filepath.Join("/dev", filepath.Base(filepath.Dir(filepath.Dir(name))))
		loop, err := os.Open(device)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
			errs = append(errs, fmt.Errorf("let go of %s: %w", device, err))
		}
		errs = append(errs, loop.Close())
	}
	return errors.Join(errs...)
}

// tidyUpOnSignal takes away what this run has made when somebody interrupts it. Platforms die with it, and what they have open
// goes with them. A run that times out or is killed leaves that to the next one.
func tidyUpOnSignal() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-told
		places.Lock() // for good: nothing is mounted any more
		if err := clearPlaces(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		code := 128
		if n, ok := s.(syscall.Signal); ok {
			code += int(n)
		}
		os.Exit(code)
	}()
}
