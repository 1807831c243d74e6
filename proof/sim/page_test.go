package sim

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCataloguePage requires that every test that the catalogue names exists where it says.
func TestCataloguePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/catalogue.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for _, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.Trim(cells[1], " -n") == "" {
			continue
		}
		rows++
		for _, part := range strings.Split(cells[4], ";") {
			names := name.FindAllStringSubmatch(part, -1)
			if len(names) < 2 {
				t.Errorf("row %s names no test in %q", cells[1], part)
				continue
			}
			tests := testsIn(t, names[0][1])
			for _, n := range names[1:] {
				if !strings.Contains(tests, "func "+n[1]+"(") {
					t.Errorf("row %s: there is no %s in %s", cells[1], n[1], names[0][1])
				}
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
}

func testsIn(t *testing.T, folder string) string {
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("there are no tests in %s", folder)
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
