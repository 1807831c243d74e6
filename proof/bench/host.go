package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/internal/clock"
)

// Host says what the figures were measured on.
type Host struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	MaxProcs   int    `json:"gomaxprocs"`
	Memory     uint64 `json:"memory_bytes"`
	System     string `json:"os"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	GCPercent  int    `json:"gc_percent"`
	FileSystem string `json:"file_system"` // where SQLite's files stand
	SyncP50    int64  `json:"fsync_p50_us"`
	SyncP99    int64  `json:"fsync_p99_us"`
	Load       string `json:"load"` // how busy the machine was before: the averages of 1, 5 and 15 minutes
	Settings   struct {
		Journal string `json:"journal"`
		State   string `json:"state"`
	} `json:"settings"`
}

// What book/store sets; a connection that is not so is refused there.
const (
	sqliteJournal   = "sqlite: journal_mode=wal synchronous=full; postgres: synchronous_commit=on"
	sqliteState     = "sqlite: journal_mode=wal synchronous=normal; postgres: synchronous_commit=off"
	syncProbes      = 64
	syncProbeBytes  = 4096
	unknownHardware = "unknown"
)

func describe(dir string, clk clock.Clock) (*Host, error) {
	h := &Host{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), MaxProcs: runtime.GOMAXPROCS(0),
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
	h.GCPercent = debug.SetGCPercent(-1)
	debug.SetGCPercent(h.GCPercent)
	h.Settings.Journal, h.Settings.State = sqliteJournal, sqliteState
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		h.Memory = info.Totalram * uint64(info.Unit)
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		h.Load = strings.Join(strings.Fields(string(load))[:3], " ")
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil {
		h.FileSystem = fileSystem(fs.Type)
	}
	delays, err := syncDelays(dir, clk)
	if err != nil {
		return nil, err
	}
	h.SyncP50, h.SyncP99 = percentile(delays, 50), percentile(delays, 99)
	return h, nil
}

// field returns what a file of lines "name : value" says of name first.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknownHardware
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return unknownHardware
}

// fileSystem names what statfs(2) calls by a number.
func fileSystem(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs: it is memory, and a sync costs nothing"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	}
	return fmt.Sprintf("%#x", magic)
}

// syncDelays returns, sorted, how many microseconds it takes to append a page to a file and have it on the disk.
func syncDelays(dir string, clk clock.Clock) (out []uint32, err error) {
	path := filepath.Join(dir, "sync")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { _, _ = f.Close(), os.Remove(path) }() // the folder goes too
	page := make([]byte, syncProbeBytes)
	for range syncProbes {
		start := clk.Now()
		if _, err := f.Write(page); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		out = append(out, uint32(clk.Now()-start))
	}
	slices.Sort(out)
	return out, nil
}
