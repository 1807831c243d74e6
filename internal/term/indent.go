package term

import (
	"bytes"
	"io"
)

// Indent returns a writer that puts prefix before every line that is not empty.
func (w *Writer) Indent(prefix string) *Writer {
	return &Writer{Writer: &indented{w: w.Writer, prefix: []byte(prefix), fresh: true}, colour: w.colour, columns: max(1, w.columns-Width(prefix))}
}

type indented struct {
	w      io.Writer
	prefix []byte
	fresh  bool // at the beginning of a line
}

// Write writes b, line by line.
func (i *indented) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		out := line
		if i.fresh && len(bytes.TrimRight(line, "\n")) > 0 {
			out = append(append([]byte(nil), i.prefix...), line...)
		}
		i.fresh = line[len(line)-1] == '\n'
		if _, err := i.w.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
