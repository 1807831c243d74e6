package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store/storetest"
)

// buildLater builds a program that is one release further than this tree.
func buildLater(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "koban-later")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", "later", "-o", path, "github.com/koban-pay/koban/cmd/koban")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the later release: %v\n%s", err, out)
	}
	return path
}

// TestOlderProgramOnNewerBooks: the next release takes the books over from this one, and this one, started on them by
// mistake, alone or as a standby, says what to do and changes nothing. Then the next release goes on.
func TestOlderProgramOnNewerBooks(t *testing.T) {
	later := buildLater(t)
	t.Run("sqlite", func(t *testing.T) { olderOnNewer(t, later, "") })
	t.Run("postgres", func(t *testing.T) { olderOnNewer(t, later, storetest.Postgres(t)("x").URL) })
}

func olderOnNewer(t *testing.T, later, url string) {
	p := &running{t: t, dir: t.TempDir(), url: url}
	p.start()
	p.buys(1)
	p.stop()
	p.with = later
	p.start()
	p.buys(2)
	p.stop()

	before := p.stands(later)
	for _, args := range [][]string{{"run", "--listen", "127.0.0.1:0"}, {"run", "--standby"}, {"verify"}} {
		said := p.refused(t.Context(), args...)
		if !strings.Contains(said, "newer") || !strings.Contains(said, "payment") {
			t.Errorf("koban %v, one release older than its books, says %s", args, said)
		}
	}
	if after := p.stands(later); !maps.Equal(before, after) {
		t.Errorf("the older program has changed %v into %v", before, after)
	}

	p.start()
	p.buys(1)
	standby := p.command(t.Context(), "run", "--standby")
	var said bytes.Buffer
	standby.Stdout, standby.Stderr = &said, &said
	if err := standby.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- standby.Wait() }()
	p.stop()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(said.String(), "newer") {
			t.Errorf("an older standby ended with %v and said %s", err, said.String())
		}
	case <-t.Context().Done():
		t.Fatal("an older standby goes on")
	}
	p.start()
	p.buys(1)
	p.stop()
	if out, err := p.run(t.Context(), later, "verify"); err != nil {
		t.Errorf("the later release finds its books wrong: %v %s", err, out)
	}
}

// command is one of this tree's program, on the platform's books.
func (p *running) command(ctx context.Context, args ...string) *exec.Cmd {
	return p.of(ctx, binary, args...)
}

func (p *running) of(ctx context.Context, program string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(ctx, patience)
	p.t.Cleanup(cancel)
	args = append(args, "--data", p.dir)
	if p.url != "" {
		args = append(args, "--store", p.url)
	}
	return exec.CommandContext(ctx, program, args...)
}

func (p *running) run(ctx context.Context, program string, args ...string) (string, error) {
	out, err := p.of(ctx, program, args...).CombinedOutput()
	return string(out), err
}

// refused runs a command of this tree's program that has to end by itself, and fail.
func (p *running) refused(ctx context.Context, args ...string) string {
	p.t.Helper()
	out, err := p.run(ctx, binary, args...)
	var code *exec.ExitError
	if !errors.As(err, &code) || code.ExitCode() < 1 {
		p.t.Errorf("koban %v ended with %v: %s", args, err, out)
	}
	return out
}

// stands returns what is on the disk, by file, or, on PostgreSQL, what the later release reads of every book.
func (p *running) stands(later string) map[string]string {
	p.t.Helper()
	out := map[string]string{}
	if p.url != "" {
		said, err := p.run(p.t.Context(), later, "verify", "--light", "--json")
		if err != nil {
			p.t.Fatalf("verify --light: %v %s", err, said)
		}
		out["books"] = said
		return out
	}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" || strings.HasSuffix(path, "-shm") {
			return err // who holds the lock is written there, and readers use the index of the log
		}
		text, err := os.ReadFile(path)
		if len(text) > 0 {
			out[path] = fmt.Sprintf("%x", sha256.Sum256(text))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}
