package bench

import (
	"maps"
	"slices"
	"strconv"
)

// shape is what a run wrote, as far as the bound has to write it too.
type shape struct {
	perCommit  float64 // payments, or transfers, that share a commit of the journal
	blocks     float64 // in a commit
	blockBytes float64
	states     []stateShape
}

// stateShape is what the tables of one service took.
type stateShape struct {
	service  string
	perOne   float64 // rows for one payment, or transfer
	perSave  float64 // rows in one transaction
	rowBytes float64
}

// shapeOf derives the shape of a run from what it wrote while it was measured.
func shapeOf(t *tally, rowBytes map[string]float64) shape {
	commits, blocks := float64(t.after.commits-t.before.commits), float64(t.after.blocks-t.before.blocks)
	s := shape{
		perCommit:  max(1, ratio(float64(t.count), commits)),
		blocks:     max(1, ratio(blocks, commits)),
		blockBytes: ratio(float64(t.after.bytes-t.before.bytes), blocks),
	}
	for _, name := range slices.Sorted(maps.Keys(t.after.rows)) {
		rows, saves := float64(t.after.rows[name]-t.before.rows[name]), float64(t.after.saves[name]-t.before.saves[name])
		if rows == 0 || t.count == 0 {
			continue
		}
		s.states = append(s.states, stateShape{name, rows / float64(t.count), max(1, ratio(rows, max(1, saves))), rowBytes[name]})
	}
	return s
}

// thousands returns n with a comma before every third digit.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
