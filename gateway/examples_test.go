package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/fault"
)

// What the document shows as a body is taken as one, and what it says of a method is about one that there is.
func TestExamplesAreTaken(t *testing.T) {
	table, err := routeTable(contracts)
	if err != nil {
		t.Fatal(err)
	}
	known, reg := map[string]bool{}, newDoor(t, nil).registry()
	for _, r := range table {
		known[r.Method] = true
		example := about[r.Method].example
		if (r.Verb == "POST") != (example != "") {
			t.Errorf("%s %s: example %q", r.Verb, r.Pattern, example)
		}
		if example == "" {
			continue
		}
		m := reg.handlers[r.Method].fresh().ProtoReflect()
		if err := decode(r.input, []byte(example), m); err != nil {
			t.Errorf("%s: %v", r.Pattern, err)
		}
	}
	for method := range about {
		if !known[method] {
			t.Errorf("%s is not a method", method)
		}
	}
}

// The document says what a strict reader asks for: where the API is, what each operation does in a line, what it is
// answered with; and 202 only where something can be under way.
func TestTheDocumentIsWhole(t *testing.T) {
	table, err := routeTable(contracts)
	if err != nil {
		t.Fatal(err)
	}
	text := string(openapi)
	for _, part := range []string{"servers:", "license:", "tags:", "security:"} {
		if !strings.Contains(text, "\n"+part) && !strings.Contains(text, "\n  "+part) {
			t.Errorf("the document has no %s", part)
		}
	}
	for _, r := range table {
		name := r.Method[strings.LastIndexByte(r.Method, '.')+1:]
		_, op, found := strings.Cut(text, "operationId: "+name+"\n")
		op, _, _ = strings.Cut(op, "operationId: ")
		if !found || !strings.Contains(op, "summary: ") {
			t.Errorf("%s has no summary", name)
		}
		if strings.Contains(op, `"202"`) != r.Policy.Later {
			t.Errorf("%s: 202 stands there: %v", name, !r.Policy.Later)
		}
		for _, c := range r.codes() {
			if !strings.Contains(op, string(c)) {
				t.Errorf("%s does not tell of %s", name, c)
			}
		}
		if slices.Contains(r.codes(), fault.IdempotencyKeyNeeded) != (r.Verb == "POST") {
			t.Errorf("%s: whether it needs a key", name)
		}
	}
}
