package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/koban-pay/koban/internal/clock"
)

// interrupted is the word of a run that mounts something, says where, and waits to be interrupted.
const interrupted = "interrupted"

func beInterrupted() error {
	tidyUpOnSignal()
	dir, err := inMemory("ext4-")
	if err != nil {
		return err
	}
	i := &Image{Dir: filepath.Join(dir, "mounted"), kind: "ext4", file: filepath.Join(dir, "ext4.img")}
	err = errors.Join(os.Mkdir(i.Dir, 0o700), os.WriteFile(i.file, nil, 0o600), os.Truncate(i.file, 16<<20))
	if err == nil {
		err = call(context.Background(), "mkfs.ext4", "-q", i.file)
	}
	if err = errors.Join(err, i.mount()); err != nil {
		return err
	}
	fmt.Println(filepath.Dir(dir))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// left returns what of a run's folder is there still: itself, what is mounted in it, loop devices.
func left(t *testing.T, dir string) (out []string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		out = append(out, dir)
	}
	mounts, err := mountsIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, mounts...)
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(text), dir+"/") {
			out = append(out, name)
		}
	}
	return out
}

// goes waits until nothing is left: the kernel lets go of a loop device a little after its file system is gone.
func goes(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), look)
	defer cancel()
	for len(left(t, dir)) > 0 {
		select {
		case <-clock.Pause(poll):
		case <-ctx.Done():
			t.Fatalf("left is %v", left(t, dir))
		}
	}
}

// TestInterruptedRunsLeaveNothing interrupts a run that has a file system mounted. One that is killed leaves it, until the next
// run begins; that one touches nothing of a run that lives.
func TestInterruptedRunsLeaveNothing(t *testing.T) {
	needRoot(t)
	need(t, "mkfs.ext4", "install the package e2fsprogs")
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(how.String(), func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), self)
			run.Env = append(os.Environ(), childVariable+"="+interrupted)
			run.Stderr = os.Stderr
			run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			in, err := run.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			out, err := run.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			said, err := bufio.NewReader(out).ReadString('\n')
			dir := strings.TrimSpace(said)
			if err != nil || len(left(t, dir)) != 3 {
				t.Fatalf("a run is in %q, and has there %v: %v", dir, left(t, dir), err)
			}
			if gone, err := clearLeft(); err != nil || slices.Contains(gone, dir) || len(left(t, dir)) != 3 {
				t.Fatalf("of a run that lives is left %v: %v", left(t, dir), err)
			}
			if err := run.Process.Signal(how); err != nil {
				t.Fatal(err)
			}
			_ = run.Wait() // how it ended follows
			if how != syscall.SIGKILL {
				if code := run.ProcessState.ExitCode(); code != 128+int(how) {
					t.Errorf("a run that is told to end by %v ends with %d", how, code)
				}
				goes(t, dir)
				return
			}
			if len(left(t, dir)) != 3 {
				t.Errorf("a run that is killed cannot take away what it has made, and left is %v", left(t, dir))
			}
			if gone, err := clearLeft(); err != nil || !slices.Contains(gone, dir) {
				t.Errorf("the next run takes away %v: %v", gone, err)
			}
			goes(t, dir)
		})
	}
}
