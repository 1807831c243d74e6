package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/score"
)

var flips = flag.Int("flips", 4, "how many bits TestFlippedBits flips, one at a time, in what a platform left that stopped, and in what a killed one left")

// TestFlippedBits flips one bit, of one file after another, in what a platform has left. Either verify finds it, or the
// platform refuses to start, or the bit meant nothing: then everything acknowledged is there, and every answer is the same.
func TestFlippedBits(t *testing.T) {
	for _, killed := range []bool{false, true} {
		name := map[bool]string{false: "stopped", true: "killed"}[killed]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &flipper{remains: remain(t, killed), by: map[string]*tally{}}
			seed := luck(t)
			for n := range *flips {
				f.flip(t, rand.New(rand.NewPCG(seed, uint64(n))), n)
			}
			all := f.report(t)
			score.Report(t, score.Line{
				ID: "bit-flips-" + name, Name: "flipped bits in what a " + name + " platform left",
				Figure: fmt.Sprintf("%d bits in %d files: %d found by verify, %d by the platform, %d meant nothing, %d MISSED", *flips, len(f.by), all.verify, all.refused, all.harmless, all.missed),
				Target: "0 missed", Value: int64(all.missed), Seeds: fmt.Sprint(seed), OK: all.missed == 0,
			})
		})
	}
}

// tally counts what became of flipped bits.
type tally struct{ verify, refused, harmless, missed int }

func (t *tally) add(u *tally) {
	t.verify, t.refused, t.harmless, t.missed = t.verify+u.verify, t.refused+u.refused, t.harmless+u.harmless, t.missed+u.missed
}

// flipper flips bits in copies.
type flipper struct {
	*remains
	by map[string]*tally // by file
}

// flip flips a bit of the n-th file, in turn, and says what became of it.
func (f *flipper) flip(t *testing.T, rnd *rand.Rand, n int) {
	dir := f.copied(t)
	defer func() {
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Error(err)
		}
	}()
	files := filesOf(t, dir)
	name := files[n%len(files)]
	at, bit, err := flipBit(filepath.Join(dir, name), rnd)
	if err != nil {
		t.Fatal(err)
	}
	one := f.judgeCopy(t, dir, fmt.Sprintf("flip %d: bit %d of byte %d of %s", n, bit, at, name))
	if f.by[name] == nil {
		f.by[name] = &tally{}
	}
	f.by[name].add(&one)
}

// judgeCopy says what became of a copy that was damaged.
func (r *remains) judgeCopy(t *testing.T, dir, what string) (one tally) {
	code, said := r.verify(t.Context(), dir, r.with...)
	if code == 1 || code == cannotGoOn {
		t.Logf("%s: %s", what, lastLines(said))
		return tally{verify: 1}
	}
	if code != 0 {
		t.Fatalf("%s: verify ended with code %d: %s", what, code, said)
	}
	err := r.right(t.Context(), dir)
	var refused *refusedError
	switch {
	case err == nil:
		return tally{harmless: 1}
	case errors.Is(err, context.Canceled):
		t.Fatal(err)
	case errors.As(err, &refused) && refused.code == cannotGoOn:
		t.Logf("%s: verify finds nothing, and the platform says: %s", what, refused)
		return tally{refused: 1}
	}
	t.Logf("MISSED: %s: verify finds nothing, and %.1500v\nthe damaged copy is kept in %s", what, err, keep(t, dir))
	return tally{missed: 1}
}

// keep moves a copy to where it stays when the test has ended: what is in the books differs from run to run, and a seed
// alone would not bring it back.
func keep(t *testing.T, dir string) string {
	t.Helper()
	to, err := os.MkdirTemp("", "koban-missed-")
	if err == nil {
		err = os.CopyFS(to, os.DirFS(dir))
	}
	if err != nil {
		t.Error(err)
	}
	return to
}

func (f *flipper) report(t *testing.T) (all tally) {
	for _, name := range slices.Sorted(maps.Keys(f.by)) {
		one := f.by[name]
		all.add(one)
		t.Logf("%-28s %3d found by verify, %3d by the platform, %3d meant nothing, %3d missed", name, one.verify, one.refused, one.harmless, one.missed)
	}
	return all
}

// filesOf returns the files of a folder that have bytes.
func filesOf(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			out = append(out, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// flipBit flips one bit of a file, drawn by lot, and returns where it stands.
func flipBit(path string, rnd *rand.Rand) (at, bit int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	if at, bit = rnd.IntN(len(text)), rnd.IntN(8); filepath.Ext(path) == ".db" && rnd.IntN(4) > 0 {
		at = aim(text, at/page*page, rnd)
	}
	text[at] ^= 1 << bit
	return at, bit, os.WriteFile(path, text, 0o600)
}

// page is the size of SQLite's pages.
const page = 4096

// aim returns a byte of the page at start that holds something: of its header, its list of cells, or a cell. Most of a
// page is empty, and of no interest (sqlite.org/fileformat2.html section 1.6).
func aim(text []byte, start int, rnd *rand.Rand) int {
	header := start
	if start == 0 {
		header = 100 // behind the header of the file
	}
	switch text[header] {
	case 2, 5, 10, 13: // of an index or a table, inside or leaf
	default:
		return start + rnd.IntN(page) // what did not fit into a cell
	}
	cells, content := int(binary.BigEndian.Uint16(text[header+3:])), int(binary.BigEndian.Uint16(text[header+5:]))
	if rnd.IntN(4) == 0 || content >= page {
		return header + rnd.IntN(8+2*cells)
	}
	return start + content + rnd.IntN(page-content)
}

// TestFlippedBitsOfConstantsAndNotes flips bits of what stands in the journal's file beside the blocks: what
// tells the key that the platform was created with, and what callers wrote to their payments.
func TestFlippedBitsOfConstantsAndNotes(t *testing.T) {
	t.Parallel()
	r := remain(t, false)
	root := constant(t, r.dir, "platform.root")
	seed := luck(t)
	all := tally{}
	for n, what := range []string{
		"order 5", "order 7", root, "platform.root", "platform.volumes",
		"journal.format",
	} {
		dir := r.copied(t)
		path := filepath.Join(dir, "journal.db")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		places := occurrences(text, what)
		if len(places) == 0 {
			t.Fatalf("%q is not in the journal's file", what)
		}
		rnd := rand.New(rand.NewPCG(seed, uint64(n)))
		for _, at := range places {
			text[at+rnd.IntN(len(what))] ^= 1 << rnd.IntN(8)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		one := r.judgeCopy(t, dir, fmt.Sprintf("a bit of %q", what))
		all.add(&one)
	}
	score.Report(t, score.Line{
		ID: "bit-flips-constants", Name: "flipped bits of the platform's constants and notes",
		Figure: fmt.Sprintf("%d found by verify, %d by the platform, %d meant nothing, %d MISSED", all.verify, all.refused, all.harmless, all.missed),
		Target: "0 missed", Value: int64(all.missed), Seeds: fmt.Sprint(seed), OK: all.missed == 0,
	})
}

// occurrences returns where what stands in text.
func occurrences(text []byte, what string) (out []int) {
	for at := 0; ; at++ {
		n := bytes.Index(text[at:], []byte(what))
		if n < 0 {
			return out
		}
		at += n
		out = append(out, at)
	}
}

// constant returns what a platform was created with.
func constant(t *testing.T, dir, name string) string {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "journal.db"), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	j, err := journal.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	value, ok, err := j.Constant(t.Context(), name)
	if err != nil || !ok {
		t.Fatalf("the constant %s: %t %v", name, ok, err)
	}
	return string(value)
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-2):], " | ")
}
