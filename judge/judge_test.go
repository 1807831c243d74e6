package judge_test

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/judge"
)

// line is a block of the stored journals (docs/internals/testing.md).
type line struct {
	Book   string `json:"book"`
	Seq    uint64 `json:"seq"`
	Epoch  uint64 `json:"epoch"`
	At     int64  `json:"at"`
	Prev   string `json:"prev"`
	Hash   string `json:"hash"`
	Events []struct {
		Type uint32 `json:"type"`
		Body string `json:"body"`
	} `json:"events"`
}

func raw(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// day returns the blocks of a day on a platform of one volume: charges with points and codes, refunds, voids, refusals.
func day(t testing.TB) (out []*journal.Block) {
	t.Helper()
	f, err := os.Open("../e2e/journals/testdata/v0/journal.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		b := &journal.Block{Book: l.Book, Seq: l.Seq, Epoch: l.Epoch, At: clock.Micros(l.At), Prev: journal.Hash(raw(t, l.Prev)), Hash: journal.Hash(raw(t, l.Hash))}
		for _, e := range l.Events {
			b.Events = append(b.Events, journal.Event{Type: e.Type, Body: raw(t, e.Body)})
		}
		out = append(out, b)
	}
	if err := lines.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%d blocks: %v", len(out), err)
	}
	return out
}

// sideBySide returns blocks in the order of their times, as they are fed where what ended is given up.
func sideBySide(blocks []*journal.Block) []*journal.Block {
	slices.SortStableFunc(blocks, func(a, b *journal.Block) int { return cmp.Compare(a.At, b.At) })
	return blocks
}

// bench is a judge in a test, and what it found.
type bench struct {
	*judge.Judge
	found []judge.Violation
}

func newBench(c judge.Config) *bench {
	b := &bench{}
	c.Volumes = max(c.Volumes, 1)
	c.Found = func(v judge.Violation) { b.found = append(b.found, v) }
	b.Judge = judge.New(c)
	return b
}

// right requires that nothing was found.
func (b *bench) right(t *testing.T) {
	t.Helper()
	for _, v := range b.found {
		t.Errorf("found %v", v)
	}
}

func TestStoredDayIsRight(t *testing.T) {
	files := func() *attic.Attic { return attic.New(t.TempDir(), 4<<10) }
	for name, c := range map[string]judge.Config{
		"all is kept": {}, "little of what ended is kept": {Keep: 1, Remember: 1 << 20},
		"nothing that ended is kept": {Keep: 1, Remember: 1 << 20, Forget: 1},
		"accounts are in files":      {Keep: 1, Remember: 1 << 20, Attic: files(), InUse: 1},
		"everything is in files":     {Keep: 1, Full: 1, Remember: 1 << 20, Attic: files(), InUse: 1, Deep: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(c)
			blocks := sideBySide(day(t))
			for _, x := range blocks {
				b.Block(x)
				if c.Attic != nil {
					b.Tidy()
				}
			}
			b.Cut()
			b.Sums()
			b.Bound()
			b.right(t)
			for _, i := range []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I10", "I11", "I12", "I13", "I16", "I18", "I21", "I25", "X1", "X2", "X3", "P1", "C1"} {
				if b.Checked()[i] == 0 {
					t.Errorf("%s was never checked", i)
				}
			}
			t.Logf("%d blocks, kept %+v", len(blocks), b.Size())
		})
	}
}
