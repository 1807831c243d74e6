package version

import "testing"

// A program always says which it is.
func TestVersion(t *testing.T) {
	if got := String(); got == "" {
		t.Error("this program does not know which it is")
	}
}
