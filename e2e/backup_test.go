package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/platform"
)

// The page of backups is true: of a platform in files, and of one on PostgreSQL.
func TestBackUpAndRestore(t *testing.T) {
	dir := t.TempDir()
	files := &running{t: t, dir: filepath.Join(dir, "koban-data")}
	files.start()
	files.buys(3)
	t.Setenv("DATABASE", storetest.Postgres(t)("x").URL)
	t.Setenv("RESTORED", storetest.Postgres(t)("x").URL)
	server := &running{t: t, dir: filepath.Join(dir, "from-postgres"), url: os.Getenv("DATABASE")}
	server.start()
	server.buys(3)
	runPage(t, filepath.Join("..", "docs", "guides", "back-up-and-restore.md"), dir)
	server.stop()
	files.stop()
}

// buys makes payments.
func (p *running) buys(n int) {
	p.t.Helper()
	for i := range n {
		out, err := p.koban("pay", "--data", p.dir, fmt.Sprintf("%d", 100+i))
		if err != nil {
			p.t.Fatalf("pay: %v: %s", err, out)
		}
	}
}

// koban runs a command to its end.
func (p *running) koban(args ...string) (string, error) {
	cmd := exec.CommandContext(context.WithoutCancel(p.t.Context()), binary, args...)
	cmd.Env = append(os.Environ(), "KOBAN_STORE=")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A backup that is taken while payments go on is right, starts with the key, and holds what was acknowledged before it
// began; while it is taken, payments go on. It never writes over anything, and has no secret in it.
func TestBackupBesidePayments(t *testing.T) {
	dir := t.TempDir()
	p := &running{t: t, dir: filepath.Join(dir, "data")}
	p.start()
	p.buys(5)
	var stop atomic.Bool
	var during atomic.Int64
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for !stop.Load() {
				if out, err := p.koban("pay", "--data", p.dir, "7"); err != nil {
					t.Errorf("pay: %v: %s", err, out)
					return
				}
				during.Add(1)
			}
		})
	}
	p.wait("payments go on", func() bool { return during.Load() > 4 })
	for n, args := range [][]string{nil, {"--journal-only"}} {
		to := filepath.Join(dir, fmt.Sprintf("copy-%d", n))
		before := during.Load()
		if out, err := p.koban(append([]string{"backup", "--data", p.dir, "--to", to}, args...)...); err != nil {
			t.Fatalf("backup: %v: %s", err, out)
		}
		p.wait("payments went on", func() bool { return during.Load() > before })
		if out, err := p.koban("backup", "--data", p.dir, "--to", to); err == nil || !strings.Contains(out, "is not empty") {
			t.Errorf("a backup was written over: %v: %s", err, out)
		}
		if _, err := os.Stat(filepath.Join(to, platform.RootKeyFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the root key is in the backup: %v", err)
		}
	}
	stop.Store(true)
	work.Wait()
	p.stop()
	key, err := os.ReadFile(filepath.Join(p.dir, platform.RootKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		copied := &running{t: t, dir: filepath.Join(dir, fmt.Sprintf("copy-%d", n))}
		copied.proves("the copy")
		if err := os.WriteFile(filepath.Join(copied.dir, platform.RootKeyFile), key, 0o600); err != nil {
			t.Fatal(err)
		}
		copied.start()
		copied.buys(1)
		list := copied.call("GET", "/v1/payments?limit=100", "", nil)
		if strings.Count(string(list.body), `"CAPTURED"`) < 10 {
			t.Errorf("the copy lacks payments that were acknowledged before: %s", list.body)
		}
		copied.stop()
		copied.proves("the copy, after it ran")
	}
}

// A copy whose tables are broken inside is no backup.
func TestBackupRefusesWhatIsBroken(t *testing.T) {
	dir := t.TempDir()
	p := &running{t: t, dir: filepath.Join(dir, "data")}
	p.start()
	p.buys(3)
	p.stop()
	path := filepath.Join(p.dir, "journal.db")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 8 << 10; at+4096 <= len(text); at += 4096 { // the heads of most pages
		copy(text[at:at+12], "broken inside")
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "copy")
	if out, err := p.koban("backup", "--data", p.dir, "--to", to); err == nil {
		t.Errorf("a broken journal was backed up: %s", out)
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a backup that failed stands there: %v", err)
	}
}
