package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sqlHomes are the packages whose trade is SQL.
var sqlHomes = []string{"book/store", "book/journal"}

func mayHoldSQL(f *file) bool { return f.test || f.base == "sql.go" || f.in(sqlHomes...) }

// sqlImports: database/sql stands in sql.go; drivers stand in book/store.
func sqlImports(t *tree) []finding {
	return t.eachImport(func(f *file, i imported) string {
		switch {
		case (i.path == "database/sql" || strings.HasPrefix(i.path, "database/sql/")) && !mayHoldSQL(f):
			return "database/sql outside sql.go: put the load, save or query into this package's sql.go"
		case (i.path == "modernc.org/sqlite" || strings.HasPrefix(i.path, "github.com/jackc/pgx")) && !f.in("book/store"):
			return "a database driver outside book/store: open databases through book/store"
		}
		return ""
	})
}

var statement = regexp.MustCompile(`^\s*(SELECT|INSERT INTO|INSERT OR|UPDATE|DELETE FROM|CREATE (OR |UNLOGGED |TEMP |UNIQUE )?(TABLE|INDEX|VIEW|SCHEMA|TRIGGER)|DROP (TABLE|INDEX|VIEW|SCHEMA)|ALTER TABLE|WITH (RECURSIVE )?\w+ ?(\([^)]*\) )?AS)\s`)

// sqlText: statements stand in sql.go, so that the two dialects are checked in one place.
func sqlText(t *tree) []finding {
	return t.eachNode(func(f *file) bool { return !mayHoldSQL(f) }, func(_ *file, n ast.Node) string {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(s+" ") {
				return "SQL text outside sql.go: move the statement into this package's sql.go"
			}
		}
		return ""
	})
}

// genImports: generated messages stop at the edge of a package.
func genImports(t *tree) []finding {
	edges := []string{"rpc.go", "peers.go", "codec.go"}
	homes := []string{"gateway", "console", "client", "sandbox", "platform", "judge", "proof", "internal/rpc", "tcc/wire", "cmd", "e2e"}
	return t.eachImport(func(f *file, i imported) string {
		dir, ok := i.own()
		if !ok || !strings.HasPrefix(dir, "gen/") || f.test || slices.Contains(edges, f.base) || f.in(homes...) {
			return ""
		}
		return "generated code outside rpc.go, peers.go and codec.go: convert to the package's own type there"
	})
}

// rpcImports: in a service only rpc.go knows the wire.
func rpcImports(t *tree) []finding {
	return t.eachImport(func(f *file, i imported) string {
		if dir, _ := i.own(); dir == "internal/rpc" && isService(f) && f.base != "rpc.go" && !f.test {
			return "internal/rpc outside rpc.go: a service does not know whether it is called over a wire"
		}
		return ""
	})
}

// generated: generated code stands under gen/, and nothing else does.
func generated(t *tree) (out []finding) {
	for _, f := range t.files {
		switch {
		case f.ast == nil:
		case ast.IsGenerated(f.ast) && !f.in("gen"):
			out = append(out, t.at(f, f.ast.Package, "generated code outside gen/: let the generator write there"))
		case !ast.IsGenerated(f.ast) && f.in("gen"):
			out = append(out, t.at(f, f.ast.Package, "written by hand inside gen/: generate it, or move it out"))
		}
	}
	return out
}

// pureStd and pureOwn are all that a pure file may import: nothing that reads, waits, or draws lots.
var (
	pureStd = []string{
		"bytes", "cmp", "container/heap", "crypto/sha256", "encoding/binary", "encoding/hex", "errors", "fmt", "hash",
		"hash/crc32", "iter", "maps", "math", "math/big", "math/bits", "slices", "sort", "strconv", "strings",
		"unicode", "unicode/utf16", "unicode/utf8",
	}
	pureOwn = []string{
		"money", "fault", "ledger", "tcc", "tcc/branch", "code/emv", "internal/clock", "internal/id", "book", "book/feed",
		"internal/planted",
	}
)

// edgeFiles are the files of a service that meet the world: the layers by name, and of some services more. Every other
// one is pure, also one that is new: what a machine decides with is not in machine.go alone.
var edgeFiles = map[string][]string{
	"":          {"service.go", "sql.go", "rpc.go", "peers.go", "events.go", "codec.go", "encode.go", "explain.go"},
	"code":      {"labels.go", "names.go", "shop.go"},
	"book/feed": {"feed.go", "follower.go", "read.go"},
	"payment": {
		"breaker.go", "call.go", "door.go", "driver.go", "figures.go", "histogram.go", "host.go", "lookout.go", "marks.go",
		"notes.go", "recovery.go", "run.go",
	},
}

// isPure reports whether the file decides: a machine of a book and its rules, or a package that is rules and nothing else.
func isPure(f *file) bool {
	switch {
	case f.test:
		return false
	case f.in("money", "ledger", "code/emv"):
		return true
	}
	return (isService(f) || f.in("book/feed")) && !slices.Contains(edgeFiles[""], f.base) && !slices.Contains(edgeFiles[f.dir], f.base)
}

// pureImports: what a decision needs arrives in the command (rule B1).
func pureImports(t *tree) []finding {
	return t.eachImport(func(f *file, i imported) string {
		if !isPure(f) {
			return ""
		}
		if i.path == "time" && f.base != "machine.go" {
			return "" // for durations: nobody but internal/clock may read it
		}
		if dir, ok := i.own(); ok && slices.Contains(pureOwn, dir) || !ok && slices.Contains(pureStd, i.path) {
			return ""
		}
		return i.path + " in reach of a pure decision: let what it gives arrive in the command (B1)"
	})
}

// pureNodes: no goroutine, no channel, no clock and no lots in a decision (rule B1).
func pureNodes(t *tree) []finding {
	return t.eachNode(isPure, func(f *file, n ast.Node) string {
		switch n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType:
			return "concurrency in a pure decision: the runner of book does the waiting (B1)"
		}
		switch pkg, name := f.sel(n); {
		case pkg == clockPkg && (name == "NewSystem" || name == "Pause"), pkg == module+"/internal/id" && name == "NewSource":
			return "a pure decision calls " + name + ": let the value arrive in the command (B1)"
		}
		return ""
	})
}
