package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/width"
)

// TestTablesFitATerminal: what people look at, of a platform that has done something, fits 80 columns.
func TestTablesFitATerminal(t *testing.T) {
	t.Setenv("COLUMNS", "")
	p := &running{t: t, dir: filepath.Join(t.TempDir(), "data")}
	p.start()
	p.buys(3)
	out, err := p.koban("payments", "--data", p.dir, "--json")
	if err != nil {
		t.Fatal(out)
	}
	var page struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Items) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := p.koban("refund", page.Items[0].ID, "50", "--data", p.dir); err != nil {
		t.Fatal(out)
	}
	for _, words := range []string{
		"payments", "payments --suspense", "accounts", "explain " + page.Items[0].ID, "verify", "verify --light", "backup --to " + p.dir + "-copy",
	} {
		out, err := p.koban(append(strings.Fields(words), "--data", p.dir)...)
		if err != nil || out == "" {
			t.Errorf("koban %s: %v %s", words, err, out)
		}
		for line := range strings.Lines(out) {
			if line = strings.TrimRight(line, "\n"); columns(line) > 80 && !strings.Contains(line, p.dir) {
				t.Errorf("koban %s prints a line of %d columns:\n%s", words, columns(line), line)
			}
		}
	}
	p.stop()
}

// columns returns how wide a line is: a Japanese character takes two columns.
func columns(line string) (n int) {
	for _, r := range line {
		n++
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}
