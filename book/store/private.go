package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenPrivate opens a file of the data folder, as os.OpenFile does, and creates it for its owner alone. A
// name that leads elsewhere by a symbolic link is refused: whoever could write to the folder once would
// choose what we write to. So is a file of another user.
//
// Errors: fs.ErrNotExist; why the file is refused, and what to do.
func OpenPrivate(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600) // a pipe must not hold us up
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("store: %s is a symbolic link, and would lead elsewhere: remove it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		err = CheckOwner(path, info)
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("store: %s is not a file: remove it", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// OpenLog opens a file to append to, and creates it for its owner alone. It may be anywhere, and be a device
// or a pipe; a file has to be our own, and a symbolic link is refused: a process with many rights would write
// where it leads.
//
// Errors: why it is refused, and what to do.
func OpenLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("store: %s is a symbolic link, and would lead elsewhere: name the file itself", path)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = CheckOwner(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// CheckOwner refuses what belongs to another user, and what others can write to.
func CheckOwner(path string, info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch me := os.Geteuid(); {
	case ok && int(owner.Uid) != me:
		return fmt.Errorf("store: %s belongs to user %d, and this process runs as user %d: whoever owns it can "+
			"replace what is in it. "+
			"Run Koban as user %[2]d, or: chown %[3]d %[1]s", path, owner.Uid, me)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("store: others can write to %s (mode %04o): chmod go-w %[1]s", path, info.Mode().Perm())
	}
	return nil
}

// maxSecret is more than any file has that holds a key.
const maxSecret = 4096

// ReadPrivate reads a key of the data folder: a file as OpenPrivate takes it, that nobody else can read.
//
// Errors: fs.ErrNotExist; why the file is refused, and what to do.
func ReadPrivate(path string) ([]byte, error) {
	f, err := OpenPrivate(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return readSecret(f, 0o077)
}

// ReadSecret reads a key from a place that an administrator has chosen, such as a mounted secret: it may be
// reached by a symbolic link, belong to root, and be readable by the group that we are in.
//
// Errors: fs.ErrNotExist; why the file is refused, and what to do.
func ReadSecret(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %w", err), f.Close())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return nil, errors.Join(fmt.Errorf("store: %s belongs to user %d: a key has to belong to this user (%d) "+
			"or to root",
			path, owner.Uid, os.Geteuid()), f.Close())
	}
	return readSecret(f, 0o037)
}

// readSecret reads what a file holds, and closes it. Nobody may have one of the rights of closed.
func readSecret(f *os.File, closed fs.FileMode) (text []byte, err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("store: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("store: %s is not a file", f.Name())
	case info.Mode().Perm()&closed != 0:
		return nil, fmt.Errorf("store: others can get at %s (mode %04o): chmod 600 %[1]s, and take the key for "+
			"known to them",
			f.Name(), info.Mode().Perm())
	}
	text, err = io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("store: read %s: %w", f.Name(), err)
	}
	return text, nil
}
