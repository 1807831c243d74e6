package points

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestTextIsJSON: what is written by hand is what encoding/json writes, and reads.
func TestTextIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lots := rapid.SliceOfN(rapid.Make[Lot](), 0, 5).Draw(t, "lots")
		taken := rapid.SliceOfN(rapid.Make[Taken](), 0, 5).Draw(t, "taken")
		for _, x := range []struct {
			list any
			text string
		}{{lots, lotsText(lots)}, {taken, takenText(taken)}} {
			want, err := json.Marshal(x.list)
			if err != nil || x.text != string(want) {
				t.Fatalf("%s, expected %s, %v", x.text, want, err)
			}
		}
	})
}
