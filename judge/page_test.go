package judge_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestInvariantsPage requires that the page has every invariant, and names only tests that are where it says.
func TestInvariantsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| ([IXPC]\d+)[^|]*\|[^|]*\|([^|]*)\|([^|]*)\|$`)
	quoted := regexp.MustCompile("`([^`]+)`")
	seen := map[string]bool{}
	for _, cells := range row.FindAllStringSubmatch(string(page), -1) {
		seen[cells[1]] = true
		folder := ""
		for _, q := range quoted.FindAllStringSubmatch(cells[3], -1) {
			switch {
			case !strings.HasPrefix(q[1], "Test"):
				folder = q[1]
			case folder != "internal/arch" && !strings.Contains(tests(t, folder), "func "+q[1]+"("):
				t.Errorf("%s: there is no %s in %s", cells[1], q[1], folder)
			}
		}
		if folder == "" && !strings.HasPrefix(strings.TrimSpace(cells[2]), "waits for") {
			t.Errorf("%s names no test, and does not say what it waits for", cells[1])
		}
	}
	for n := 1; n <= 33; n++ {
		if rule := fmt.Sprintf("I%d", n); !seen[rule] {
			t.Errorf("%s has no row", rule)
		}
	}
}

func tests(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
