package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// floors says who may import whom: strictly downwards. An entry covers its whole directory unless a longer entry
// covers a part of it. What lies under one entry is one thing and may import itself.
var floors = [][]string{
	0: {
		"money", "fault", "internal/aside", "internal/attic", "internal/clock", "internal/id", "internal/planted",
		"internal/score", "internal/term", "internal/version",
	},
	1: {"book/journal", "book/store", "tcc", "gen"},
	2: {"ledger", "book", "internal/rpc", "internal/wire"},
	3: {"code/emv", "book/feed", "tcc/branch", "tcc/verbs", "tcc/wire", "tcc/kit", "book/store/storetest", "book/booktest"},
	4: {
		"balance", "points", "deferred", "payment", "funding", "code", "card", "subscription", "campaign",
		"accounting", "reconcile", "settlement", "risk", "identity", "history", "notice",
	},
	5: {"gateway", "wallet", "till", "console", "sandbox", "client", "judge"},
	6: {"platform", "proof/sim"},
	7: {"proof"},
	8: {"cmd/koban", "e2e", "proto/openapi", "internal/arch"},
}

const services = 4

// beside lists the imports within one floor, each with its reason. It stays short.
var beside = map[string][]string{
	"internal/id":  {"internal/clock"}, // an id embeds its time
	"money":        {"fault"},          // an amount that does not fit is a fault
	"book/journal": {"book/store"},     // blocks stand in a database
	"tcc/verbs":    {"tcc/branch"},     // the commands that it takes to the books
}

// place returns the floor and the entry that cover dir; floor -1 if none does.
func place(dir string) (floor int, entry string) {
	floor = -1
	for n, entries := range floors {
		for _, e := range entries {
			if len(e) > len(entry) && (dir == e || strings.HasPrefix(dir, e+"/")) {
				floor, entry = n, e
			}
		}
	}
	return floor, entry
}

// kit reports whether dir is a conformance kit: tests of any floor may use it.
func kit(dir string) bool {
	return slices.ContainsFunc(strings.Split(dir, "/"), func(s string) bool { return strings.HasSuffix(s, "test") || s == "kit" })
}

// isService reports whether the file belongs to a service.
func isService(f *file) bool {
	floor, _ := place(f.dir)
	return floor == services
}

// onAFloor: every package stands on a floor, and none is named after nothing.
func onAFloor(t *tree) (out []finding) {
	seen := map[string]bool{}
	for _, f := range t.files {
		if f.ast == nil || seen[f.dir] {
			continue
		}
		seen[f.dir] = true
		switch path.Base(f.dir) {
		case "common", "util", "utils", "helper", "helpers", "misc", "pkg", "core", "models", "types":
			out = append(out, t.at(f, f.ast.Package, "a directory named %q says nothing: name it after what it holds", path.Base(f.dir)))
		}
		if floor, _ := place(f.dir); floor < 0 {
			out = append(out, t.at(f, f.ast.Package, "package %s stands on no floor: add it to floors in internal/arch/floors_test.go", f.dir))
		}
	}
	return out
}

// floorsHold: imports go strictly downwards, and siblings never import siblings.
func floorsHold(t *tree) []finding {
	return t.eachImport(func(f *file, i imported) string {
		dir, ok := i.own()
		if !ok || dir == f.dir {
			return ""
		}
		from, a := place(f.dir)
		to, b := place(dir)
		switch {
		case from < 0 || to < 0:
			return "" // onAFloor reports it
		case to < from || a == b || slices.Contains(beside[a], b):
			return ""
		case f.test && kit(dir):
			return ""
		case to == from && from == services:
			return fmt.Sprintf("%s imports its sibling %s: follow its feed, use tcc, or declare a narrow interface in peers.go", f.dir, dir)
		case to == from:
			return fmt.Sprintf("%s imports %s on the same floor %d: move what both need a floor down", f.dir, dir, to)
		}
		return fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports go downwards; let the upper one pass in what is needed", f.dir, from, dir, to)
	})
}
