package arch

import (
	"fmt"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rules are the shape of the repository. The name is what a fixture's "// want" says.
var rules = []struct {
	name  string
	check func(*tree) []finding
}{
	{"floor", onAFloor},
	{"import", floorsHold},
	{"sqlimport", sqlImports},
	{"sqltext", sqlText},
	{"gen", genImports},
	{"rpc", rpcImports},
	{"generated", generated},
	{"pure", pureImports},
	{"decide", pureNodes},
	{"clock", clocks},
	{"float", floats},
	{"planted", plantedOnly},
	{"test", tests},
	{"wiring", wiring},
	{"charter", charters},
	{"comment", comments},
	{"words", words},
	{"format", formatted},
	{"proof", proofs},
	{"pointer", pointers},
	{"event", events},
}

// TestRepository holds the repository to every rule.
func TestRepository(t *testing.T) {
	repo, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(repo.code()) < 10 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(repo.code()))
	}
	for _, f := range repo.broken {
		t.Error(f)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.check(repo) {
				t.Error(f)
			}
		})
	}
}

var want = regexp.MustCompile(`// (two below )?want (\w+(?: \w+)*)`)

// TestRulesFire holds the rules to the fixture: each fires where a line is marked for it, and nowhere else.
func TestRulesFire(t *testing.T) {
	bad, err := load(os.DirFS("testdata/bad"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range bad.broken {
		t.Error(f)
	}
	marks := map[string][]string{} // rule → places
	for _, f := range bad.files {
		for n, line := range strings.Split(string(f.text), "\n") {
			if m := want.FindStringSubmatch(line); m != nil {
				at := n + 1
				if m[1] != "" {
					at += 2 // a comment on the line itself would be the one that is missing
				}
				for _, rule := range strings.Fields(m[2]) {
					marks[rule] = append(marks[rule], fmt.Sprintf("%s:%d", f.path, at))
				}
			}
		}
	}
	for _, r := range rules {
		if slices.Contains([]string{"words", "format", "proof", "pointer", "event"}, r.name) {
			continue // TestTextRulesFire: their fixtures may not stand in the repository
		}
		t.Run(r.name, func(t *testing.T) {
			same(t, r.check(bad), marks[r.name])
		})
		delete(marks, r.name)
	}
	for rule, places := range marks {
		t.Errorf("%v want a rule %q that does not exist", places, rule)
	}
}

// TestTextRulesFire holds the rules on text to fixtures in memory, put together from pieces.
func TestTextRulesFire(t *testing.T) {
	rows := "a page\n\n"
	for n := 4; n <= 15; n++ {
		rows += fmt.Sprintf("| B%d | not proved yet | | |\n", n)
	}
	bad := &tree{fset: token.NewFileSet()}
	for name, text := range map[string]string{
		"path":        "read /wo" + "rk/data",
		"home":        "see \"/ho" + "me/alice/x\"",
		"temp":        "out=/tm" + "p/x",
		"registry":    "https://prox" + "y.golang.org",
		"packages":    "http://de" + "b.debian.org",
		"variable":    "GOPROX" + "Y=https://example.com",
		"required":    "(requiremen" + "t S9)",
		"debt":        "// TO" + "DO: finish",
		"soon":        "good enough for" + " now",
		"good":        "GET /v1/homes/x, a temporary folder, work done, written for nowhere",
		"crooked.go":  "package  crooked",
		"straight.go": "package straight",
		"docs/a.md": "see [b](b.md)\nand [here](#nowhere), `internal/nothing/x.go`\n# A heading: one\n[there](../docs/a.md#a-heading-two)\n" +
			"[it](#a-heading-one), [it](a.md), `docs/a.md`, [far](https://example.com/x.md#y), `balance/00`",
		"pointing.go":   "package pointing\n\n// See gone.md.\n//\n// See docs/a.md.\nvar x, y, z = \"lost.md\", \"../a.md\", c.md",
		"proto/a.proto": "// See gone.md.",
		"shop/rpc.go":   "package shop\n\nfunc Announce() []string { return []string{\"shop.opened\", \"shop.moved\"} }\n\nvar other = \"shop.else\"",
		"proto/koban/shop/v1/shop.proto": "package shop;\n\n// ShopEvent is the public event of a shop. Its types on the feed are shop.opened and\n" +
			"// shop.closed. All else is not.\nmessage ShopEvent {}",
		"a_test.go": "package a\n\nfunc TestThere() {}",
		proofPage:   rows + "| B2 | said | `TestThere` | a |\n| B3 | said | `TestGone` | a |",
	} {
		bad.add(name, []byte(text+"\n"))
	}
	same(t, words(bad), []string{"debt:1", "home:1", "packages:1", "path:1", "registry:1", "required:1", "soon:1", "temp:1", "variable:1"})
	same(t, formatted(bad), []string{"crooked.go:1"})
	same(t, pointers(bad), []string{"docs/a.md:1", "docs/a.md:2", "docs/a.md:4", "pointing.go:3", "pointing.go:6", "proto/a.proto:1"})
	same(t, events(bad), []string{"proto/koban/shop/v1/shop.proto:3", "proto/koban/shop/v1/shop.proto:3"})
	same(t, proofs(bad), []string{proofPage + ":1", proofPage + ":16"}) // no row for B1; a test that is gone
}

// same compares what was found with the places where something is wrong.
func same(t *testing.T, found []finding, want []string) {
	t.Helper()
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s:%d", f.file.path, f.line))
	}
	if len(want) == 0 {
		t.Error("the fixture does not break this rule: add a line that does")
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%s: found where nothing is wrong", g)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s: not found", w)
		}
	}
}
