package wiretest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var record = flag.Bool("record-fold", false, "record what this fold version may write, if nothing is recorded of it")

// Fold requires that what a service may write into its journal is what is recorded of its fold version, in
// testdata/fold/VERSION.txt: the fields of its messages, and the words that stand in them as numbers. Whoever adds one
// raises the version, so that an older program refuses the book when it opens it (rule B4), and records what the new
// version may write:
//
//	go test ./SERVICE -run TestFoldVersion -record-fold
//
// words lists each enumeration, from its first word to its last.
func Fold(t *testing.T, version uint32, file protoreflect.FileDescriptor, words map[string][]string) {
	t.Helper()
	path := filepath.Join("testdata", "fold", fmt.Sprintf("%d.txt", version))
	now := contents(file, words)
	then, err := os.ReadFile(path)
	switch {
	case os.IsNotExist(err) && *record:
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Fatalf("nothing is recorded of fold version %d: run this test with -record-fold, and read what it writes: %v", version, err)
	case string(then) != now:
		t.Fatalf("fold version %d may write something else than %s says: raise the version, and run this test with -record-fold\n%s",
			version, path, difference(string(then), now))
	}
}

// contents writes down what a version may write, one field or enumeration a line.
func contents(file protoreflect.FileDescriptor, words map[string][]string) string {
	var lines []string
	for i := range file.Messages().Len() {
		m := file.Messages().Get(i)
		for j := range m.Fields().Len() {
			f := m.Fields().Get(j)
			kind := f.Kind().String()
			switch {
			case f.Message() != nil:
				kind = string(f.Message().Name())
			case f.Enum() != nil:
				kind = string(f.Enum().Name())
			}
			lines = append(lines, fmt.Sprintf("%s.%d %s %s %s", m.Name(), f.Number(), f.Cardinality(), kind, f.Name()))
		}
	}
	for i := range file.Enums().Len() {
		e := file.Enums().Get(i)
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			lines = append(lines, fmt.Sprintf("%s %s = %d", e.Name(), v.Name(), v.Number()))
		}
	}
	for name, list := range words {
		lines = append(lines, name+": "+strings.Join(list, " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// difference returns the lines that only one of two texts has.
func difference(then, now string) string {
	old, new := strings.Split(then, "\n"), strings.Split(now, "\n")
	var out strings.Builder
	for _, l := range old {
		if !slices.Contains(new, l) {
			out.WriteString("- " + l + "\n")
		}
	}
	for _, l := range new {
		if !slices.Contains(old, l) {
			out.WriteString("+ " + l + "\n")
		}
	}
	return out.String()
}

// Words returns the words of an enumeration with their numbers, as Fold takes them: from 0 to the last that has a word.
func Words[W interface {
	~uint8
	String() string
}](last W) []string {
	var out []string
	for w := range int(last) + 1 {
		out = append(out, fmt.Sprintf("%d=%s", w, W(w)))
	}
	return out
}
