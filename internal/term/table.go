package term

import (
	"fmt"
	"slices"
	"strings"
)

// Table lines up columns.
type Table struct {
	w     *Writer
	head  []string
	right []bool
	first []bool // go below the row before others do
	rows  [][]string
}

// Table returns an empty table. A column whose head begins with > stands to the right; one whose head begins with ~ is
// the first to go below its row where there is no room. Heads that are all empty are not printed.
func (w *Writer) Table(heads ...string) *Table {
	t := &Table{w: w}
	for _, h := range heads {
		name, first := strings.CutPrefix(h, "~")
		name, right := strings.CutPrefix(name, ">")
		t.head, t.right, t.first = append(t.head, name), append(t.right, right), append(t.first, first)
	}
	return t
}

// WithoutEmpty leaves out columns, but for the first, that say nothing in any row.
func (t *Table) WithoutEmpty() *Table {
	for i := len(t.head) - 1; i > 0; i-- {
		if slices.ContainsFunc(t.rows, func(row []string) bool { return i < len(row) && strings.TrimSpace(row[i]) != "" }) {
			continue
		}
		t.head, t.right, t.first = slices.Delete(t.head, i, i+1), slices.Delete(t.right, i, i+1), slices.Delete(t.first, i, i+1)
		for n, row := range t.rows {
			if i < len(row) {
				t.rows[n] = slices.Delete(row, i, i+1)
			}
		}
	}
	return t
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Len returns how many rows there are.
func (t *Table) Len() int { return len(t.rows) }

// Print prints the table. Where it is wider than the terminal, the widest texts go below their row, each under its
// head; then the last columns do.
func (t *Table) Print() {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = Width(h)
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], Width(cell))
		}
	}
	below := t.fold(widths)
	if strings.Join(t.head, "") != "" {
		heads := make([]string, len(t.head))
		for i, h := range t.head {
			heads[i] = t.w.Dim(h)
		}
		t.line(heads, widths, below)
	}
	for _, row := range t.rows {
		t.line(row, widths, below)
		t.under(row, below)
	}
}

// fold returns which columns go below the row so that the others fit.
func (t *Table) fold(widths []int) []bool {
	below := make([]bool, len(widths))
	all := -gap
	for _, w := range widths {
		all += w + gap
	}
	for left := len(widths); all > t.w.columns && left > 1; left-- {
		widest := slices.Index(t.first, true)
		if widest >= 0 && below[widest] {
			widest = -1
		}
		for i, w := range widths {
			if (widest < 0 || !t.first[widest]) && !below[i] && !t.right[i] && i > 0 && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		for i := len(widths) - 1; widest < 0; i-- {
			if !below[i] {
				widest = i
			}
		}
		below[widest] = true
		all -= widths[widest] + gap
	}
	return below
}

// gap is how many blanks stand between columns.
const gap = 2

func (t *Table) line(cells []string, widths []int, below []bool) {
	var out []string
	for i, cell := range cells {
		if !below[i] {
			out = append(out, pad(cell, widths[i], t.right[i]))
		}
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(out, strings.Repeat(" ", gap)), " "))
}

// under prints what has no room in the row, as much on a line as there is room for.
func (t *Table) under(cells []string, below []bool) {
	indent := 4 + max(leading(t.head[0]), leading(t.rows[0][0])) // the same below every row, also one whose first cell is empty
	room := t.w.columns - indent
	var lines []string
	for i, cell := range cells {
		if !below[i] || strings.TrimSpace(cell) == "" {
			continue
		}
		if head := strings.TrimSpace(t.head[i]); head != "" {
			cell = t.w.Dim(head) + " " + cell
		}
		last := len(lines) - 1
		switch {
		case last >= 0 && Width(lines[last])+gap+Width(cell) <= room:
			lines[last] += strings.Repeat(" ", gap) + cell
		case Width(cell) > room && strings.Contains(strings.TrimSpace(cell), " "):
			lines = append(lines, Wrap(cell, room)...)
		default:
			lines = append(lines, cell)
		}
	}
	for _, line := range lines {
		fmt.Fprintln(t.w, strings.Repeat(" ", indent)+line)
	}
}

// leading returns how many blanks a text begins with.
func leading(text string) int { return len(text) - len(strings.TrimLeft(text, " ")) }
