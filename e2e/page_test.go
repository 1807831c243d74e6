package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// step is a command of a page, and what the page says it prints.
type pageStep struct {
	command string
	prints  []string
	line    int
}

// readPage returns the commands of a page: indented lines that begin with "$ ", each with the indented lines below it.
func readPage(t *testing.T, path string) (steps []pageStep) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		body, indented := strings.CutPrefix(line, "    ")
		if !indented {
			continue
		}
		if command, ok := strings.CutPrefix(body, "$ "); ok {
			steps = append(steps, pageStep{command: command, line: n + 1})
		} else if len(steps) > 0 {
			last := &steps[len(steps)-1]
			last.prints = append(last.prints, body)
		}
	}
	return steps
}

// runPage runs the commands of a page in one shell, in dir, and compares what each prints with what the page says.
func runPage(t *testing.T, path, dir string) {
	t.Helper()
	steps := readPage(t, path)
	if len(steps) == 0 {
		t.Fatalf("%s has no commands", path)
	}
	const mark = "--- end of step"
	var script strings.Builder
	for n, s := range steps {
		fmt.Fprintf(&script, "%s\nprintf '\\n%s %d\\n'\n", s.command, mark, n)
	}
	sh := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	sh.Dir = dir
	sh.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := sh.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	rest := string(out)
	for n, s := range steps {
		said, after, found := strings.Cut(rest, fmt.Sprintf("\n%s %d\n", mark, n))
		if !found {
			t.Fatalf("%s:%d: the shell ended: %s", path, s.line, rest)
		}
		rest = after
		said = strings.Trim(blankLines.ReplaceAllString(said, "\n"), "\n") // a page breaks its blocks at them
		if problem := compareOutput(s.prints, said); problem != "" {
			t.Errorf("%s:%d: %s\n%s", path, s.line, problem, s.command)
		}
	}
}

var blankLines = regexp.MustCompile(`\n(\s*\n)+`)

// compareOutput says how what was printed differs from what a page says: "…" stands for anything within a line, and for any lines where it
// stands alone.
func compareOutput(want []string, said string) string {
	var pattern bytes.Buffer
	for n, line := range want {
		if n > 0 {
			pattern.WriteString("\n")
		}
		if line == "…" {
			pattern.WriteString("(?s:.*)")
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	if !regexp.MustCompile("^(?:" + pattern.String() + ")$").MatchString(said) {
		return fmt.Sprintf("it prints\n%s\nand not\n%s", said, strings.Join(want, "\n"))
	}
	return ""
}

// The page of the API is true.
func TestTheAPIInTenMinutes(t *testing.T) {
	dir := t.TempDir()
	p := &running{t: t, dir: filepath.Join(dir, "koban-data")}
	p.start()
	runPage(t, filepath.Join("..", "docs", "reference", "api.md"), dir)
	p.stop()
}

// What a page says is compared with what is printed: a control.
func TestPagesThatLieAreFound(t *testing.T) {
	for said, ok := range map[string]bool{
		"{\"id\":\"pay_1\",\"a\":2}\nHTTP 201": true, "{\"id\":\"pay_1\"}\nHTTP 202": false, "HTTP 201": false,
		"{\"id\":\"pay_1\"}\nHTTP 201\nmore": false,
	} {
		if problem := compareOutput([]string{`{"id":"pay_…`, "HTTP 201"}, said); (problem == "") != ok {
			t.Errorf("%q: %q", said, problem)
		}
	}
}
