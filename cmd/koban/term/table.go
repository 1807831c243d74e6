package term

import (
	"fmt"
	"strings"
)

// Table lines up columns.
type Table struct {
	w     *Writer
	head  []string
	right []bool
	rows  [][]string
}

// Table returns an empty table. A column whose head begins with > stands to the right. Heads that are all empty are not
// printed.
func (w *Writer) Table(heads ...string) *Table {
	t := &Table{w: w}
	for _, h := range heads {
		name, right := strings.CutPrefix(h, ">")
		t.head, t.right = append(t.head, name), append(t.right, right)
	}
	return t
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Len returns how many rows there are.
func (t *Table) Len() int { return len(t.rows) }

// Print prints the table.
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
	if strings.Join(t.head, "") != "" {
		heads := make([]string, len(t.head))
		for i, h := range t.head {
			heads[i] = t.w.Dim(h)
		}
		t.line(heads, widths)
	}
	for _, row := range t.rows {
		t.line(row, widths)
	}
}

func (t *Table) line(cells []string, widths []int) {
	out := make([]string, len(cells))
	for i, cell := range cells {
		out[i] = pad(cell, widths[i], t.right[i])
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(out, "  "), " "))
}
