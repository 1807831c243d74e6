package platform

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// After a process that did not end in order, the files are looked at as soon as the platform serves: one that is broken inside
// is named, and payments go on.
func TestBrokenFileIsFoundAfterACrash(t *testing.T) {
	for name, broken := range map[string]bool{"whole": false, "broken": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "")
			r.stop()
			if broken { // its list of free pages has one page too many (SQLite's file format, section 1.5)
				path := filepath.Join(r.config.Data, "state", "code.feed.db")
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				binary.BigEndian.PutUint32(text[36:], binary.BigEndian.Uint32(text[36:])+1)
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(cardPath(r.config.Data), []byte("{}"), 0o600); err != nil { // as a process leaves it that died
				t.Fatal(err)
			}
			r.start()
			looks := func() int64 { r.app.pages.mu.Lock(); defer r.app.pages.mu.Unlock(); return r.app.pages.looks }
			r.eventually("the files are looked at", func() bool { return looks() > 0 })
			if got := slices.Contains(r.app.wrong(), FileDamaged); got != broken {
				t.Errorf("the platform says that a file is damaged: %v", got)
			}
			r.pay("after", 1200, 200)
		})
	}
}

// After a process that ended in order nothing is read: a start stays as quick as it is.
func TestFilesAreNotReadAfterAnOrderlyEnd(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	r.start()
	if r.app.unclean || r.app.firstLook() != pagesEvery {
		t.Errorf("the process before ended in order, and the files are read %s after the start", r.app.firstLook())
	}
}
