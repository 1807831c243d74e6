package arch

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	typesOf   = regexp.MustCompile(`(?s)// (\w+Event) is the public event.*?Its types on the feed\s*(?:// )?are(.*?)\.\s`)
	eventType = regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
)

// events: the contract of a public event names the types that its service announces, all of them and no other. Those of
// payment are made of its kinds and statuses; a test of its own compares them.
func events(t *tree) (out []finding) {
	for _, f := range t.files {
		service := path.Base(path.Dir(f.dir))
		if path.Ext(f.path) != ".proto" || service == "payment" {
			continue
		}
		for _, at := range typesOf.FindAllSubmatchIndex(f.text, -1) {
			line := 1 + strings.Count(string(f.text[:at[0]]), "\n")
			named := regexp.MustCompile(`[a-z]+\.[a-z_]+`).FindAllString(string(f.text[at[4]:at[5]]), -1)
			said := t.announced(service)
			for _, x := range named {
				if !slices.Contains(said, x) {
					out = append(out, finding{f, line, x + " is named and never announced"})
				}
			}
			for _, x := range said {
				if !slices.Contains(named, x) {
					out = append(out, finding{f, line, x + " is announced and not named"})
				}
			}
		}
	}
	return out
}

// announced returns the types that a service's function Announce gives.
func (t *tree) announced(service string) (out []string) {
	for _, f := range t.code() {
		if f.path != service+"/rpc.go" {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "Announce" {
				ast.Inspect(fn, func(n ast.Node) bool {
					if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
						if x, _ := strconv.Unquote(s.Value); eventType.MatchString(x) {
							out = append(out, x)
						}
					}
					return true
				})
			}
		}
	}
	return out
}
