package arch

import (
	"bytes"
	"io/fs"
	"os"
	"testing"
)

// TestNoPrograms: the repository holds what programs are built from, and none that was built.
func TestNoPrograms(t *testing.T) {
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == ".git" || path == "bin"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		f, err := os.Open("../../" + path)
		if err != nil {
			return err
		}
		defer f.Close()
		head := make([]byte, 4)
		if n, _ := f.Read(head); n == 4 && (bytes.Equal(head, []byte("\x7fELF")) || bytes.Equal(head, []byte("\xcf\xfa\xed\xfe"))) {
			t.Errorf("%s is a program: remove it (git rm), and build into bin", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
