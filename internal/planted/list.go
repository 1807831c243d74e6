package planted

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed planted.txt
var text string

// Entry is one line of planted.txt.
type Entry struct {
	Bug        string
	Invariants []string // any of which may find it first
	Seeds      int      // how many worlds it took to find it, from seed 1 on; 0 where nobody has measured
}

// List returns the lines of planted.txt, in their order.
func List() (out []Entry) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "#" {
			continue
		}
		seeds, _ := strconv.Atoi(f[2]) // "-" is not measured
		out = append(out, Entry{Bug: f[0], Invariants: strings.Split(strings.ReplaceAll(f[1], "_", " "), ","), Seeds: seeds})
	}
	return out
}
