package platform

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestHealthPageHasARowForEachProbe: what /readyz can say stands on the page, in the order in which it is asked; and
// nothing else does, but what a process says that stands by.
func TestHealthPageHasARowForEachProbe(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/health.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)## What /readyz asks.*?\n## `).Find(page)
	var rows, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllSubmatch(section, -1) {
		rows = append(rows, string(m[1]))
	}
	for _, p := range probes {
		want = append(want, p.name)
	}
	if want = append(want, "standby"); !slices.Equal(rows, want) {
		t.Errorf("the page has rows for %v, and asked are %v", rows, want)
	}
}
