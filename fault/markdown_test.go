package fault_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/koban-pay/koban/fault"
)

var update = flag.Bool("update", false, "write docs/reference/errors.md anew")

func TestErrorsPage(t *testing.T) {
	page := filepath.Join("..", "docs", "reference", "errors.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(fault.Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != fault.Markdown() {
		t.Errorf("%s is not what the table says; run: go test ./fault -run TestErrorsPage -update", page)
	}
}
