package sim

import (
	"fmt"
	"hash"
	"hash/fnv"
	"io"
)

// trace is the history of one world as lines of text, and their hash: equal for equal seeds.
type trace struct {
	hash hash.Hash64
	out  io.Writer // nil: only hashed
	line []byte
}

func newTrace(out io.Writer) *trace { return &trace{hash: fnv.New64a(), out: out} }

func (t *trace) log(at int64, format string, args ...any) {
	t.line = fmt.Appendf(t.line[:0], "%d ", at)
	t.line = fmt.Appendf(t.line, format, args...)
	t.line = append(t.line, '\n')
	t.hash.Write(t.line)
	if t.out != nil {
		_, _ = t.out.Write(t.line) // who listens has to see to it
	}
}

func (t *trace) sum() string { return fmt.Sprintf("%016x", t.hash.Sum64()) }
