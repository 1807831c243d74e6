package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"strings"
)

// charters: each package has a doc.go, and its first sentence says what the package is for.
func charters(t *tree) (out []finding) {
	charter := map[string]bool{}
	first := map[string]*file{}
	for _, f := range t.code() {
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		text := f.ast.Doc.Text()
		switch {
		case f.base == "doc.go":
			charter[f.dir] = true
			start := "Package " + f.ast.Name.Name + " "
			if f.ast.Name.Name == "main" {
				start = "Command " + path.Base(f.dir) + " "
			}
			if sentence, _, ok := strings.Cut(text, "."); !ok || !strings.HasPrefix(sentence, start) || len(sentence) < len(start)+10 {
				out = append(out, t.at(f, f.ast.Package, "doc.go of %s must begin with a sentence %q", f.dir, start+"…"))
			}
		case text != "" && !f.test:
			out = append(out, t.at(f, f.ast.Package, "a second package comment: move it into doc.go"))
		}
	}
	for dir, f := range first {
		if !charter[dir] {
			out = append(out, t.at(f, f.ast.Package, "package %s has no doc.go: add one whose first sentence is its charter", dir))
		}
	}
	return out
}

// comments: whoever reads a root package's documentation finds every exported name explained.
func comments(t *tree) (out []finding) {
	for _, f := range t.code() {
		if f.test || f.in("internal", "cmd", "e2e") {
			continue
		}
		for _, d := range f.ast.Decls {
			for _, id := range bare(d) {
				out = append(out, t.at(f, id.Pos(), "exported %s has no comment: say what goes in, what comes out and every error", id.Name))
			}
		}
	}
	return out
}

// bare returns the exported names that d declares without a comment.
func bare(d ast.Decl) (out []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
			out = append(out, d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					out = append(out, s.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						out = append(out, n)
					}
				}
			}
		}
	}
	return out
}

// receiver returns the name of the type that d is a method of.
func receiver(d *ast.FuncDecl) string {
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// banned are words that speak of one machine, one registry or a debt. The patterns are written so that they do not
// find themselves.
var banned = []struct {
	pattern *regexp.Regexp
	advice  string
}{
	{regexp.MustCompile(`(^|[\s"'=(\x60])/(wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+|tm[p])(/|["'\s\x60]|$)`), "a path of one machine: take it from a flag, the environment or t.TempDir()"},
	{regexp.MustCompile(`prox[y]\.golang\.org|su[m]\.golang\.org|registr[y]\.npmjs|de[b]\.debian\.org|docke[r]\.io|ghc[r]\.io|GOPROX[Y]\s*:?=\s*http`), "a registry's host: whoever builds chooses where modules come from"},
	{regexp.MustCompile(`(?i)\brequiremen[t] S\d`), "a requirement that no page has: say what is required"},
	{regexp.MustCompile(`\b(TOD[O]|FIXM[E])\b|(?i)\bfor no[w]\b`), "a debt: finish it, or write the limit down as a decision"},
}

const proofPage = "docs/reference/invariants.md"

var (
	proofRow  = regexp.MustCompile(`^\| (B\d+) \|([^|]*)\|([^|]*)\|`)
	proofTest = regexp.MustCompile(`\b(?:Test|Fuzz)\w+`)
)

// proofs: the page that maps the rules of a book to tests has every rule, and names only tests that exist.
func proofs(t *tree) (out []finding) {
	declared := map[string]bool{}
	for _, f := range t.code() {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil {
				declared[fn.Name.Name] = true
			}
		}
	}
	for _, f := range t.files {
		if f.path != proofPage {
			continue
		}
		seen := map[string]bool{}
		for n, line := range strings.Split(string(f.text), "\n") {
			row := proofRow.FindStringSubmatch(line)
			if row == nil {
				continue
			}
			seen[row[1]] = true
			for _, name := range proofTest.FindAllString(row[3], -1) {
				if !declared[name] {
					out = append(out, finding{f, n + 1, name + " does not exist: name the test that holds " + row[1]})
				}
			}
		}
		for n := 1; n <= 15; n++ {
			if rule := fmt.Sprintf("B%d", n); !seen[rule] {
				out = append(out, finding{f, 1, rule + " has no row: add one that names its test"})
			}
		}
	}
	return out
}

// formatted: nobody argues about white space.
func formatted(t *tree) (out []finding) {
	for _, f := range t.code() {
		if text, err := format.Source(f.text); err == nil && !bytes.Equal(text, f.text) {
			out = append(out, finding{f, 1, "not formatted: run make fmt"})
		}
	}
	return out
}

// words: the text of the repository is about Koban, and about no machine it was written on.
func words(t *tree) (out []finding) {
	for _, f := range t.files {
		if f.in("gen") || f.base == "go.sum" || f.base == "LICENSE" {
			continue
		}
		for n, line := range bytes.Split(f.text, []byte("\n")) {
			for _, b := range banned {
				if hit := b.pattern.Find(line); hit != nil {
					out = append(out, finding{f, n + 1, "“" + strings.TrimSpace(string(hit)) + "” is " + b.advice})
				}
			}
		}
	}
	return out
}
