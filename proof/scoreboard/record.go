package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is one run of the scoreboard: a line of history.jsonl.
type record struct {
	Commit  string   `json:"commit"`
	Date    string   `json:"date"`              // of the commit
	Changed bool     `json:"changed,omitempty"` // there were changes that no commit has
	Machine string   `json:"machine"`           // in words
	Size    string   `json:"size"`
	Parts   []played `json:"parts"`
	Lines   []line   `json:"lines"`
}

// played is a part of a run.
type played struct {
	Name  string `json:"name"`
	TookS int64  `json:"took_s"`
}

func (r record) ran(part string) bool {
	return slices.ContainsFunc(r.Parts, func(p played) bool { return p.Name == part })
}

func (r record) took() map[string]time.Duration {
	out := map[string]time.Duration{}
	for _, p := range r.Parts {
		out[p.Name] = time.Duration(p.TookS) * time.Second
	}
	return out
}

// source says in words where the figures of a record come from.
func (r record) source() string {
	sum := time.Duration(0)
	for _, d := range r.took() {
		sum += d
	}
	day, _, _ := strings.Cut(r.Date, "T")
	changed := ""
	if r.Changed {
		changed = ", with changes that are not committed"
	}
	return fmt.Sprintf("size %s: commit %s of %s%s; %s; %s for %d parts", r.Size, r.Commit, day, changed, r.Machine, short(sum), len(r.Parts))
}

// The files that are kept.
const (
	historyFile = "history.jsonl"
	latestFile  = "latest.json"
	trendFile   = "trend.svg"
	pageFile    = "README.md"
)

// load reads the history; none if there is no file.
func load(dir string) (out []record, err error) {
	text, err := os.ReadFile(filepath.Join(dir, historyFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for one := range bytes.Lines(text) {
		var r record
		if err := json.Unmarshal(one, &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", historyFile, len(out)+1, err)
		}
		out = append(out, r)
	}
	return out, err
}

// save appends a record to the history.
func save(dir string, r record) error {
	text, err := encode(r, "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it is a folder of the repository
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, historyFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // of the repository
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// encode writes JSON as people read it: >= stays >=.
func encode(v any, indent string) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	err := e.Encode(v)
	return out.Bytes(), err
}

// current is the newest that is known: of each part the lines of the newest full run in which it was, or else of the newest
// small one; of each promise the newest full line, or else the newest small one.
func current(history []record) (lines []line, from []record) {
	seen := map[string]bool{} // parts and promises
	for _, size := range []string{full, small} {
		for _, r := range slices.Backward(history) {
			if r.Size != size {
				continue
			}
			var taken []line
			for _, l := range r.Lines {
				if of := l.topic(); !seen[of] {
					taken = append(taken, l)
				}
			}
			for _, l := range taken {
				seen[l.topic()] = true
			}
			if len(taken) > 0 {
				lines, from = append(lines, taken...), append(from, r)
			}
		}
	}
	return ordered(lines), from
}

// topic is what a line is replaced with: its part, or itself if it is made of other lines.
func (l line) topic() string {
	if l.Part != "" {
		return l.Part
	}
	return l.ID
}

// values returns a line's figures of the same size over time, and whether each was right.
func values(history []record, of line) (out []line) {
	for _, r := range history {
		for _, l := range r.Lines {
			if l.ID == of.ID && l.Size == of.Size {
				out = append(out, l)
			}
		}
	}
	return out
}

// draw writes what is made of the history.
func draw(dir string, history []record) error {
	lines, from := current(history)
	if len(lines) == 0 {
		return fmt.Errorf("%s has no run to draw", filepath.Join(dir, historyFile))
	}
	type kept struct {
		Runs  []string `json:"runs"` // where the lines come from, in words
		Lines []line   `json:"lines"`
	}
	k := kept{Lines: lines}
	for _, r := range from {
		k.Runs = append(k.Runs, r.source())
	}
	latest, err := encode(k, "  ")
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{latestFile: latest, trendFile: trend(history), pageFile: page(lines, from)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // of the repository
			return err
		}
	}
	return nil
}

// commit says which commit is tested, of when, and whether anything but the scoreboard was changed since.
func commit(ctx context.Context, r *record) error {
	text, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%h %cI").Output()
	if err != nil {
		return fmt.Errorf("ask git for the commit: %w", err)
	}
	r.Commit, r.Date, _ = strings.Cut(strings.TrimSpace(string(text)), " ")
	text, err = exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ".", ":!docs/scoreboard").Output()
	r.Changed = len(bytes.TrimSpace(text)) > 0
	return err
}

// machine says in words what this runs on.
func machine() string {
	words := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		words[0] += " of " + strings.NewReplacer("(R)", "", "(TM)", "").Replace(model)
	}
	kib, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
		words = append(words, fmt.Sprintf("%d GiB of memory", (n+1<<19)>>20))
	}
	return strings.Join(append(words, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version()), ", ")
}

// field returns the first value of a name in a file of the kernel; nothing where there is no such file.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for one := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(one, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
