package planted

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// names returns the constants of names.go, by the word that each stands for.
func names(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok {
			word, err := strconv.Unquote(s.Values[0].(*ast.BasicLit).Value)
			if err != nil || out[word] != "" {
				t.Errorf("%s is %q, as another is: %v", s.Names[0].Name, word, err)
			}
			out[word] = s.Names[0].Name
		}
		return true
	})
	return out
}

// TestEveryBugIsListedAndDescribed compares the constants, planted.txt and the page.
func TestEveryBugIsListedAndDescribed(t *testing.T) {
	page, err := os.ReadFile("../../docs/internals/planted-bugs.md")
	if err != nil {
		t.Fatal(err)
	}
	left := names(t)
	if len(left) < 25 {
		t.Errorf("only %d bugs", len(left))
	}
	rule := regexp.MustCompile(`^([IXPC]\d+|B\d+|BL\d+|no panic)$`)
	for _, e := range List() {
		if left[e.Bug] == "" {
			t.Errorf("planted.txt has %s, and names.go has not, or planted.txt has it twice", e.Bug)
		}
		delete(left, e.Bug)
		if e.Seeds < 1 || e.Seeds > 500 {
			t.Errorf("%s was found after %d worlds; it has to be within 500", e.Bug, e.Seeds)
		}
		row, _, _ := strings.Cut(after(string(page), "| `"+e.Bug+"` |"), "\n")
		for _, i := range e.Invariants {
			if !rule.MatchString(i) {
				t.Errorf("%s: %q is no invariant", e.Bug, i)
			}
			if !strings.Contains(row, strings.ReplaceAll(i, "no panic", "an assertion")) {
				t.Errorf("docs/internals/planted-bugs.md does not say that %s finds %s", i, e.Bug)
			}
		}
	}
	for word := range left {
		t.Errorf("planted.txt does not list %s", word)
	}
}

// after returns what follows a mark, "" where it is not.
func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}

// TestEveryBugIsPlanted requires that the page names a file for each in which it stands.
func TestEveryBugIsPlanted(t *testing.T) {
	page, err := os.ReadFile("../../docs/internals/planted-bugs.md")
	if err != nil {
		t.Fatal(err)
	}
	for word, name := range names(t) {
		row, _, _ := strings.Cut(after(string(page), "| `"+word+"` |"), "\n")
		files := regexp.MustCompile("`([a-z/_]+\\.go)`").FindAllStringSubmatch(row, -1)
		if len(files) == 0 {
			t.Errorf("the page does not say where %s is planted", word)
		}
		for _, f := range files {
			code, err := os.ReadFile("../../" + f[1])
			if err != nil || !regexp.MustCompile(`planted\.`+name+`\b`).Match(code) {
				t.Errorf("%s is not planted in %s: %v", word, f[1], err)
			}
		}
	}
}
