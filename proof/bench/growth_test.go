package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestGrowth: a run of a number of payments ends when they are stored, says how each part of them went, and leaves the
// books where it says.
func TestGrowth(t *testing.T) {
	dir := t.TempDir()
	const payments = 600
	report, err := Measure(t.Context(), Config{Dir: dir, Modes: []Mode{InProcess}, Customers: 100, Concurrency: []int{8}, Payments: payments, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	r := report.Runs[0]
	if !r.Verified || r.Count < payments || len(r.Growth) == 0 || len(r.Growth) > growthSteps {
		t.Fatalf("%d payments in %d steps, verified: %v", r.Count, len(r.Growth), r.Verified)
	}
	last := int64(0)
	for _, s := range r.Growth {
		if s.Stored < last+payments/growthSteps || s.PerSecond <= 0 || s.CPU <= 0 || s.Heap <= 0 || s.Resident < 0 {
			t.Errorf("after %d: %+v", last, s)
		}
		last = s.Stored
	}
	if last < payments || last > r.Count {
		t.Errorf("the steps end at %d of %d payments", last, r.Count)
	}
	if _, err := os.Stat(filepath.Join(report.Kept, string(InProcess), "journal.db")); err != nil {
		t.Errorf("the books were not kept: %v", err)
	}
	if filepath.Dir(report.Kept) != dir {
		t.Errorf("the books are in %s, not in a folder of %s", report.Kept, dir)
	}
}

// TestPlot: the picture is well-formed, has a line and a name for each run, and nothing is drawn of nothing.
func TestPlot(t *testing.T) {
	steps := []Step{{Stored: 100_000, PerSecond: 9000}, {Stored: 200_000, PerSecond: 8700}}
	var out bytes.Buffer
	if err := Plot(&out, Series{"now <&>", steps}, Series{"before", steps[:1]}); err != nil {
		t.Fatal(err)
	}
	lines, names := 0, ""
	for d := xml.NewDecoder(&out); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			if x.Name.Local == "polyline" {
				lines++
			}
		case xml.CharData:
			names += string(x)
		}
	}
	if lines != 2 || !bytes.Contains([]byte(names), []byte("now <&>")) || !bytes.Contains([]byte(names), []byte("before")) {
		t.Errorf("%d lines, and these texts: %s", lines, names)
	}
	for _, bad := range [][]Series{nil, {{Name: "nothing"}}, make([]Series, 4)} {
		if err := Plot(&out, bad...); err == nil {
			t.Errorf("%d series were drawn", len(bad))
		}
	}
}

func TestRoundUp(t *testing.T) {
	for _, c := range [][2]int64{{1, 1}, {3, 4}, {9, 10}, {9300, 10_000}, {11_500, 20_000}, {3_000_000, 4_000_000}} {
		if got := roundUp(c[0]); got != c[1] {
			t.Errorf("%d is rounded to %d, not %d", c[0], got, c[1])
		}
	}
}
