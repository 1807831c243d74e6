package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/koban-pay/koban/internal/clock"
)

// poolerConfig lets everybody in as the role of the server. It is pgbouncer's as Debian has it, but for what is written.
const poolerConfig = `[databases]
* = host=%s port=%s user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
logfile = %s
`

// Pooler puts pgbouncer before the server of a URL, in the given mode (session or transaction), and returns the URL that
// leads through it. It ends with the test.
func Pooler(t testing.TB, direct, mode string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal("the URL of the server is none")
	}
	dir, err := os.MkdirTemp(tempRoot(), "koban-pooler-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	config, log := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "log")
	text := fmt.Sprintf(poolerConfig, u.Hostname(), u.Port(), u.User.Username(), port, mode, log)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	as, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	if as != nil {
		for _, path := range []string{dir, config} {
			if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	program := exec.Command("pgbouncer", "--quiet", config)
	program.Dir = dir
	program.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if err := program.Start(); err != nil {
		t.Fatalf("start pgbouncer, which make pooler installs: %v", err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
	})
	u.Host = fmt.Sprintf("127.0.0.1:%d", port)
	wall := clock.NewSystem()
	for deadline := wall.Now().Add(startLimit); ; {
		conn, err := pgx.Connect(context.Background(), u.String())
		if err == nil {
			_ = conn.Close(context.Background())
			return u.String()
		}
		<-wall.After(startPoll)
		if wall.Now() > deadline {
			said, _ := os.ReadFile(log)
			t.Fatalf("pgbouncer does not answer: %v\n%s", err, said)
		}
	}
}
