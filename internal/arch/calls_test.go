package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

var (
	wallClock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	deadlines = []string{"WithTimeout", "WithDeadline", "WithTimeoutCause", "WithDeadlineCause"}
	// edges may end their patience by context: they stand between the platform and a person, a socket or a disk.
	edges = []string{
		"gateway", "console", "client", "sandbox", "cmd", "e2e", "platform", "internal/rpc", "book/store", "tcc/wire",
		"proof/bench", "proof/chaos", "proof/conform", "proof/disk", "proof/linear", "proof/sample", "proof/scoreboard",
	}
)

const clockPkg = module + "/internal/clock"

// clocks: time is an input (rule B7). Tests may wait for something with a deadline, never for time to pass.
func clocks(t *tree) []finding {
	sleeping := map[ast.Node]bool{} // the callee of a "<-time.After(…)" that stands alone
	raced := map[ast.Node]bool{}    // the same as a case of a select: a deadline
	return t.eachNode(func(f *file) bool { return !f.in("internal/clock") || f.test }, func(f *file, n ast.Node) string {
		switch n := n.(type) {
		case *ast.CommClause:
			raced[n.Comm] = true
		case *ast.ExprStmt:
			if u, ok := n.X.(*ast.UnaryExpr); ok && u.Op == token.ARROW && !raced[n] {
				if c, ok := u.X.(*ast.CallExpr); ok {
					sleeping[c.Fun] = true
				}
			}
		}
		pkg, name := f.sel(n)
		switch {
		case pkg == "time" && f.test && (name == "Sleep" || name == "Tick" || name == "After" && sleeping[n]):
			return "time." + name + " in a test: wait for the thing itself, or move a clock.Manual"
		case pkg == "time" && !f.test && slices.Contains(wallClock, name):
			return "time." + name + " outside internal/clock: take a clock.Clock (B7)"
		case pkg == clockPkg && name == "Pause" && (f.test && sleeping[n] || !f.test && isService(f)):
			return "clock.Pause is real time: a service waits on its clock.Clock, a test for the thing itself (B7)"
		case pkg == "context" && !f.test && slices.Contains(deadlines, name) && !f.in(edges...) && f.base != "service.go":
			return "context." + name + " away from the edge: let the caller's context carry the deadline, or set it in service.go"
		}
		return ""
	})
}

// exact are the packages where every number counts money or blocks.
var exact = []string{"money", "ledger", "balance", "points", "payment", "code", "tcc", "book", "book/journal"}

// floats: no float comes near an amount.
func floats(t *tree) []finding {
	const advice = ": count in integers; ratios for people belong to internal/obs or the gateway"
	want := func(f *file) bool { return !f.test && f.in(exact...) }
	return t.eachNode(want, func(f *file, n ast.Node) string {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				return "the float " + n.Value + " near money" + advice
			}
		case *ast.Ident:
			switch n.Name {
			case "float32", "float64", "complex64", "complex128":
				return n.Name + " near money" + advice
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok {
				switch s.Sel.Name {
				case "Seconds", "Minutes", "Hours", "Float32", "Float64", "ParseFloat", "FormatFloat", "AppendFloat":
					return s.Sel.Name + " is a float near money" + advice
				}
			}
		case *ast.SelectorExpr:
			pkg, name := f.sel(n)
			limit := strings.HasPrefix(name, "MaxInt") || strings.HasPrefix(name, "MinInt") || strings.HasPrefix(name, "MaxUint")
			if pkg == "math" && !limit || pkg == "math/big" && (name == "Float" || name == "NewFloat" || name == "ParseFloat") {
				return pkg + "." + name + " is a float near money" + advice
			}
		}
		return ""
	})
}

// tests: none is skipped, and none is empty.
func tests(t *tree) []finding {
	return t.eachNode(func(f *file) bool { return f.test }, func(f *file, n ast.Node) string {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, n.Sel.Name) {
				return "a skipped test proves nothing: provide what it needs, or delete it"
			}
			if pkg, name := f.sel(n); pkg == "testing" && name == "Short" {
				return "testing.Short hides tests: make the test small enough to run always"
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Body != nil && len(n.Body.List) == 0 && strings.HasPrefix(n.Name.Name, "Test") {
				return n.Name.Name + " is empty: let it check something, or delete it"
			}
		}
		return ""
	})
}

// wiring: nothing happens because a package was imported.
func wiring(t *tree) []finding {
	out := t.eachNode(func(*file) bool { return true }, func(_ *file, n ast.Node) string {
		if d, ok := n.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == "init" {
			return "init() is state that nobody passed in: build it in a constructor or a var, and pass it"
		}
		return ""
	})
	return append(out, t.eachImport(func(f *file, i imported) string {
		switch {
		case i.name == ".":
			return "a dot import hides where names come from: import it by name"
		case i.name == "_" && i.path != "embed" && !f.in("book/store"):
			return "a blank import is a hidden constructor: call one"
		}
		return ""
	})...)
}

const plantedPkg = module + "/internal/planted"

// plantedOnly: what is broken on purpose is asked for in one way alone, "planted.Bug == planted.X", and only where an ordinary
// build does not look: in the twin of a file of rules, or in what stands for the world in the simulator.
func plantedOnly(t *tree) []finding {
	asked := map[ast.Node]bool{} // both sides of such a question
	want := func(f *file) bool { return !f.test && !f.in("internal/planted") }
	return t.eachNode(want, func(f *file, n ast.Node) string {
		if pkg, name := f.sel(n); pkg == plantedPkg && !strings.HasSuffix(f.base, "_planted.go") && !f.in("proof/sim") {
			return "planted." + name + " outside of a file _planted.go: make the rule a function with a name, and break its twin"
		}
		if b, ok := n.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
			bug, is := f.sel(b.X)
			name, x := f.sel(b.Y)
			asked[b.X] = bug == plantedPkg && is == "Bug" && name == plantedPkg && x != "Bug"
			asked[b.Y] = asked[b.X]
		}
		if pkg, name := f.sel(n); pkg == plantedPkg && !asked[n] {
			return "planted." + name + " is asked for as planted.Bug == planted.X alone"
		}
		return ""
	})
}
