package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"
)

// source returns, from codes.go, the constants of type Code with their texts and the names in the rows of table.
func source(t *testing.T) (consts map[string]string, rows []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	consts = map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "Code" {
				return true
			}
			text, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			consts[n.Names[0].Name] = text
		case *ast.CompositeLit:
			list, ok := n.Type.(*ast.ArrayType)
			if !ok || list.Elt.(*ast.Ident).Name != "Info" {
				return true
			}
			for _, row := range n.Elts {
				rows = append(rows, row.(*ast.CompositeLit).Elts[0].(*ast.Ident).Name)
			}
		}
		return true
	})
	return consts, rows
}

func TestEveryCodeHasOneRow(t *testing.T) {
	consts, rows := source(t)
	if len(consts) < 50 || len(rows) < 50 {
		t.Fatalf("read %d constants and %d rows", len(consts), len(rows))
	}
	count := map[string]int{}
	for _, name := range rows {
		count[name]++
	}
	texts := map[string]string{}
	for name, text := range consts {
		if count[name] != 1 {
			t.Errorf("%s has %d rows in table", name, count[name])
		}
		if other, taken := texts[text]; taken {
			t.Errorf("%s and %s are both %q", name, other, text)
		}
		texts[text] = name
	}
	for _, name := range rows {
		if _, ok := consts[name]; !ok {
			t.Errorf("the row of %s has no constant", name)
		}
	}
	if len(All()) != len(consts) {
		t.Errorf("All has %d codes of %d", len(All()), len(consts))
	}
}

// statuses lists what each kind may be answered with (contract: HTTP).
var statuses = map[Kind][]int{
	Invalid: {400, 405, 413, 415}, Unauthenticated: {401}, Denied: {403}, NotFound: {404}, Refused: {402, 422},
	Conflict: {409, 422}, Busy: {409, 429, 503}, Unknown: {503}, Internal: {500},
}

func TestRowsAreSound(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	sentence := regexp.MustCompile(`^[A-Z][^|\n]*\.$`)
	last := Code("")
	for _, r := range All() {
		if r.Code <= last {
			t.Errorf("%s is out of order", r.Code)
		}
		last = r.Code
		if !code.MatchString(string(r.Code)) {
			t.Errorf("%q is not snake_case", r.Code)
		}
		if !sentence.MatchString(r.Summary) || !sentence.MatchString(r.Next) {
			t.Errorf("%s: not sentences: %q, %q", r.Code, r.Summary, r.Next)
		}
		fits := false
		for _, s := range statuses[r.Kind] {
			fits = fits || s == r.HTTP
		}
		if !fits {
			t.Errorf("%s: status %d does not fit kind %s", r.Code, r.HTTP, r.Kind)
		}
		if r.Code.Kind() != r.Kind || r.Code.Status() != r.HTTP || r.Code.Summary() != r.Summary || r.Code.Next() != r.Next {
			t.Errorf("%s: a method does not agree with its row", r.Code)
		}
	}
}

func TestEveryKindIsDescribed(t *testing.T) {
	described := map[Kind]bool{}
	for _, k := range kinds {
		described[k.Kind] = true
		if statuses[k.Kind] == nil || statuses[k.Kind][0] != k.Kind.status() && k.Kind != Refused && k.Kind != Busy {
			t.Errorf("%s is answered with %d", k.Kind, k.Kind.status())
		}
	}
	for _, r := range All() {
		if !described[r.Kind] {
			t.Errorf("%s of %s is missing from the page", r.Kind, r.Code)
		}
	}
	if len(described) != len(statuses) {
		t.Errorf("%d kinds described, expected %d", len(described), len(statuses))
	}
}
