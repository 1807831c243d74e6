package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPasswordOnACommandLine: a password that everybody on the machine can read is warned of, however it is written, and
// is never printed.
func TestPasswordOnACommandLine(t *testing.T) {
	const secret = "open-sesame"
	for _, c := range []struct {
		arg    string
		warned bool
	}{
		{"--store=postgres://koban:" + secret + "@127.0.0.1:1/koban", true},
		{"--store=postgresql://koban@127.0.0.1:1/koban?password=" + secret, true},
		{"--store=host=127.0.0.1 port=1 user=koban password=" + secret, true},
		{"--store=postgres://koban@127.0.0.1:1/koban", false},
		{"--store=postgres://koban@[broken/" + secret, false},
	} {
		code, said, _ := typed(t, "verify", c.arg)
		if code == exitDone || strings.Contains(said, "PGPASSFILE") != c.warned || strings.Contains(said, secret) {
			t.Errorf("koban verify %s ended with %d and said %s", c.arg, code, said)
		}
	}
}

// TestTwoStores: a folder with books and a store beside it are never taken for one another.
func TestTwoStores(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"verify", "run"} {
		code, said, _ := typed(t, word, "--store=postgres://koban@127.0.0.1:1/koban", "--data="+dir)
		if code != exitCannot || !strings.Contains(said, "named too") || !strings.Contains(said, dir) {
			t.Errorf("koban %s ended with %d and said %s", word, code, said)
		}
	}
}

// TestQuotedIsReadBack: what is printed to be typed again means the same to a shell.
func TestQuotedIsReadBack(t *testing.T) {
	for word, want := range map[string]string{
		"/srv/koban": "/srv/koban", "/srv/my books": "'/srv/my books'", "it's": `'it'\''s'`, "": "''", "$HOME": "'$HOME'",
		"postgres://koban@db/koban?sslmode=verify-full": "'postgres://koban@db/koban?sslmode=verify-full'",
	} {
		if got := quoted(word); got != want {
			t.Errorf("%s is printed as %s, expected %s", word, got, want)
		}
	}
}

// TestCheckpointIsWrittenOverNothingElse: a key, a journal, whatever is there, stays.
func TestCheckpointIsWrittenOverNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said, _ := typed(t, "verify", "--data="+t.TempDir(), "--export-checkpoint="+file)
	text, err := os.ReadFile(file)
	if code != exitCannot || !strings.Contains(said, "is no checkpoint") || err != nil || string(text) != "secret" {
		t.Errorf("it ended with %d, said %s, and the file holds %q (%v)", code, said, text, err)
	}
}
