package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/koban-pay/koban"

// file is one file of the repository; ast is nil for what is not Go.
type file struct {
	path    string // from the root, with slashes
	dir     string
	base    string
	test    bool // _test.go
	text    []byte
	ast     *ast.File
	imports []imported
	names   map[string]string // local name → import path
}

type imported struct {
	path string
	name string // "", "_", "." or an alias
	pos  token.Pos
}

// own returns the directory of an import of this module.
func (i imported) own() (string, bool) { return strings.CutPrefix(i.path, module+"/") }

// in reports whether the file lies in one of the directories or below.
func (f *file) in(dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return f.dir == d || strings.HasPrefix(f.dir, d+"/") })
}

// sel returns the import path and the name of a selector on an imported package, such as "time", "Now".
func (f *file) sel(n ast.Node) (pkg, name string) {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return f.names[x.Name], s.Sel.Name
}

// finding is one breach of a rule: where, and what to do.
type finding struct {
	file *file
	line int
	text string
}

func (x finding) String() string { return fmt.Sprintf("%s:%d: %s", x.file.path, x.line, x.text) }

type tree struct {
	fset  *token.FileSet
	files []*file
	// broken are files that do not parse.
	broken []finding
}

// at makes a finding.
func (t *tree) at(f *file, pos token.Pos, format string, args ...any) finding {
	return finding{f, t.fset.Position(pos).Line, fmt.Sprintf(format, args...)}
}

// skip names what is no part of the repository's own text.
func skip(p string) bool {
	switch p {
	case ".git", "bin", "koban-data", "internal/arch/testdata":
		return true
	}
	return false
}

// load reads and parses every file below root.
func load(root fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case skip(p) && d.IsDir():
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		if !bytes.ContainsRune(text, 0) {
			t.add(p, text)
		}
		return nil
	})
	return t, err
}

// add puts one file into the tree. Test data is text only: what looks like Go there is not built.
func (t *tree) add(p string, text []byte) {
	f := &file{path: p, dir: path.Dir(p), base: path.Base(p), text: text, names: map[string]string{}}
	t.files = append(t.files, f)
	f.test = strings.HasSuffix(p, "_test.go")
	if path.Ext(p) != ".go" || strings.Contains("/"+p, "/testdata/") {
		return
	}
	parsed, err := parser.ParseFile(t.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.broken = append(t.broken, finding{f, 1, "does not parse: " + err.Error()})
		return
	}
	f.ast = parsed
	for _, s := range parsed.Imports {
		i := imported{pos: s.Pos()}
		i.path, _ = strconv.Unquote(s.Path.Value)
		local := path.Base(i.path)
		if s.Name != nil {
			i.name, local = s.Name.Name, s.Name.Name
		}
		f.imports = append(f.imports, i)
		f.names[local] = i.path
	}
}

// code returns the Go files, generated ones left out.
func (t *tree) code() []*file {
	return slices.DeleteFunc(slices.Clone(t.files), func(f *file) bool { return f.ast == nil || f.in("gen") })
}

// eachImport collects what check says about every import of every hand-written Go file.
func (t *tree) eachImport(check func(*file, imported) string) (out []finding) {
	for _, f := range t.code() {
		for _, i := range f.imports {
			if text := check(f, i); text != "" {
				out = append(out, t.at(f, i.pos, "%s", text))
			}
		}
	}
	return out
}

// eachNode collects what check says about every node of every hand-written Go file that want accepts.
func (t *tree) eachNode(want func(*file) bool, check func(*file, ast.Node) string) (out []finding) {
	for _, f := range t.code() {
		if !want(f) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			if text := check(f, n); text != "" {
				out = append(out, t.at(f, n.Pos(), "%s", text))
			}
			return true
		})
	}
	return out
}
