package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Who rotates a log moves the file away and sends SIGHUP: what comes before is in the old file, what comes
// after in a new one.
func TestLogIsOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "koban.log")
	log, rotate, err := logTo(path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	if err := rotate(); err != nil {
		t.Fatal(err)
	}
	log.Info("three")
	if old, now := read(t, path+".1"), read(t, path); !strings.Contains(old, "two") || strings.Contains(old,
		"three") ||
		!strings.Contains(now, "three") || strings.Contains(now, "two") {
		t.Errorf("the old file has %q, the new one %q", old, now)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file: %v %v", info.Mode(), err)
	}
}

// A log that is a symbolic link, or that others can write to, is refused, also when it is opened anew.
func TestLogFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "koban.log")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := logTo(path, io.Discard); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link: %v", err)
	}
	own := filepath.Join(dir, "own.log")
	log, rotate, err := logTo(own, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, own); err != nil {
		t.Fatal(err)
	}
	if err := rotate(); err == nil {
		t.Error("a link is taken when the log is opened anew")
	}
	log.Info("still here") // into the file that is open
	if text := read(t, victim); text != "precious" {
		t.Errorf("what the link leads to is %q now", text)
	}
	open := filepath.Join(dir, "open.log")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o622); err != nil {
		t.Fatal(err)
	}
	if _, _, err := logTo(open, io.Discard); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("a log that others write to: %v", err)
	}
}

// TestLogIsWrittenBehindNothingElse: a key or a database is of no use with lines of a log behind it.
func TestLogIsWrittenBehindNothingElse(t *testing.T) {
	for text, ok := range map[string]bool{"": true, `{"time":"2026-12-01T00:00:00Z"}` + "\n": true, "0123abcd\n": false, "SQLite format 3\x00": false} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := logTo(path, io.Discard)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q has become %q (%v)", text, got, err)
		}
	}
}

// TestReportsAreWrittenOverTheirLikeAlone: what a flag names by mistake is left as it is.
func TestReportsAreWrittenOverTheirLikeAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	for text, ok := range map[string]bool{"": true, "<svg xmlns=": true, "0123abcd\n": false, "SQLite format 3\x00": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		bench := benchCmd{Payments: 1000, Mode: "inproc", Plot: path}
		if err := bench.check(); (err == nil) != ok {
			t.Errorf("--plot over %q: %v", text, err)
		}
		profile := benchCmd{CPUProfile: path}
		if err := profile.check(); text != "" && err == nil {
			t.Errorf("--cpu-profile over %q is taken", text)
		}
	}
}
