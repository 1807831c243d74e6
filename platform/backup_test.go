package platform

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/koban-pay/koban/book/store"
)

// TestBackupsDoNotMeet: two backups into one folder would take each other's files; the second is refused. What one that was
// cut short has left is in nobody's way, nor is a slash at the end of a name.
func TestBackupsDoNotMeet(t *testing.T) {
	r := newRig(t, "")
	r.pay("one", 1200, 200)
	to := filepath.Join(t.TempDir(), "monday")
	part := to + ".unfinished"
	if err := os.MkdirAll(filepath.Join(part, "state", "old"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := store.LockDir(t.Context(), part, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var held *store.HeldError
	if _, err := BackUp(t.Context(), BackupConfig{Data: r.config.Data, To: to}); !errors.As(err, &held) {
		t.Errorf("a second backup to the same place: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := BackUp(t.Context(), BackupConfig{Data: r.config.Data, To: to + "/"}); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{part, filepath.Join(to, "lock"), filepath.Join(to, "state", "old")} {
		if _, err := os.Lstat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there: %v", gone, err)
		}
	}
	if report, err := Verify(t.Context(), VerifyConfig{Data: to}); err != nil || !report.OK {
		t.Errorf("the copy: %+v, %v", report, err)
	}
}
