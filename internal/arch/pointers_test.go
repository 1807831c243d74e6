package arch

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	page   = regexp.MustCompile(`[\w./-]+\.md\b`)
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	quoted = regexp.MustCompile("`([\\w./-]+)`")
	source = regexp.MustCompile(`^(docs|internal|cmd|e2e|proto|tcc|gateway|[a-z]+/schema|[a-z]+/testdata)/|/.*\.(go|proto|sql|sh)$`)
	title  = regexp.MustCompile(`^#+ (.*)`)
)

// pointers: whoever is sent to a page, a heading or a file finds it. Pages are looked for in comments and texts of Go and in
// all other text; headings and files in pages.
func pointers(t *tree) (out []finding) {
	at := places{}
	for _, f := range t.files {
		at.add(f)
	}
	for _, f := range t.files {
		switch {
		case f.in("gen", "docs/scoreboard") || f.base == "go.sum" || f.base == "LICENSE" || f.path == "internal/arch/arch_test.go":
		case f.ast != nil:
			for _, x := range texts(f.ast) {
				_, comment := x.(*ast.Comment)
				out = append(out, at.pages(f, t.fset.Position(x.Pos()).Line, said(x), !comment)...)
			}
		default:
			for n, line := range strings.Split(string(f.text), "\n") {
				if out = append(out, at.pages(f, n+1, line, false)...); path.Ext(f.path) == ".md" {
					out = append(out, at.links(f, n+1, line)...)
				}
			}
		}
	}
	return out
}

// texts returns the comments and the quoted texts of a Go file.
func texts(f *ast.File) (out []ast.Node) {
	for _, c := range f.Comments {
		for _, one := range c.List {
			out = append(out, one)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
			out = append(out, s)
		}
		return true
	})
	return out
}

// said returns what one of texts says.
func said(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Comment:
		return n.Text
	case *ast.BasicLit:
		return n.Value
	}
	return ""
}

// places are the files and folders that there are, and the headings of pages.
type places map[string]map[string]bool

func (at places) add(f *file) {
	heads := map[string]bool{}
	if path.Ext(f.path) == ".md" {
		for _, line := range strings.Split(string(f.text), "\n") {
			if m := title.FindStringSubmatch(line); m != nil {
				heads[slug(m[1])] = true
			}
		}
	}
	at[f.path] = heads
	for dir := f.dir; dir != "."; dir = path.Dir(dir) {
		at[dir] = nil
	}
}

// slug returns the anchor of a heading, as forges make it.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// has reports whether there is a place of this name, seen from the root or from the file.
func (at places) has(f *file, name string) bool {
	_, near := at[path.Join(f.dir, name)]
	_, root := at[path.Clean(name)]
	return near || root
}

// pages looks for every page that a text names. A quoted text may be put together with others: the end of its path will do.
func (at places) pages(f *file, line int, text string, quoted bool) (out []finding) {
	for _, name := range page.FindAllString(text, -1) {
		ok := at.has(f, strings.TrimLeft(name, "/")) || strings.Contains(name, "NNNN") || strings.HasPrefix(name, "//")
		for p := range at {
			ok = ok || quoted && strings.HasSuffix(p, "/"+strings.TrimLeft(name, "./"))
		}
		if !ok {
			out = append(out, finding{f, line, "there is no page " + name + ": name one that there is, or say it here"})
		}
	}
	return out
}

func (at places) links(f *file, line int, text string) (out []finding) {
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		name, head, _ := strings.Cut(m[1], "#")
		if strings.Contains(name, "://") {
			continue
		}
		to, ok := path.Join(f.dir, name), false
		if name == "" {
			to = f.path
		}
		heads, exists := at[to]
		if ok = exists && (head == "" || heads[head]); !ok {
			out = append(out, finding{f, line, "the link to " + m[1] + " leads nowhere"})
		}
	}
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		if !at.has(f, m[1]) && source.MatchString(m[1]) && path.Ext(m[1]) != ".md" {
			out = append(out, finding{f, line, "there is no " + m[1] + ": name a file or folder that there is"})
		}
	}
	return out
}
