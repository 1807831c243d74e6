package platform

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAStartThatFailedLeavesNoBooks: whoever mends what was wrong starts as if it had been right the first time; books of a
// demo would be a demo's for good.
func TestAStartThatFailedLeavesNoBooks(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, spoil := range map[string]func(*Config){
		"--listen " + taken.Addr().String(): func(c *Config) { c.Listen = taken.Addr().String() },
		"--metrics-listen":                  func(c *Config) { c.MetricsListen = taken.Addr().String() },
		"holds no key":                      func(c *Config) { c.KeyFile = key },
	} {
		dir := filepath.Join(t.TempDir(), "data")
		config := Config{Data: dir, Tenant: "demo", Listen: "127.0.0.1:0", Volumes: 1, MinFree: 1}
		spoil(&config)
		if a, err := Start(t.Context(), config); err == nil {
			t.Errorf("%s: it starts: %v", says, a.Close(t.Context()))
		} else if !strings.Contains(err.Error(), says) {
			t.Errorf("it says %v, want %q", err, says)
		}
		list, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, f := range list {
			if inside, err := os.ReadDir(filepath.Join(dir, f.Name())); f.Name() != "lock" && (err != nil || len(inside) > 0) {
				t.Errorf("%s: %s is left behind", says, f.Name())
			}
		}
	}
}
